"""The picture of scores: each line with its numbers, and a bar below each letter."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wavemore.cli.screen import Screen, cells, padded
from wavemore.signs import visible

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Score

SHADES = "▁▂▃▄▅▆▇█"
FULL_BAR_NATS = 6.0
MAX_CHARACTERS = 4_000
"""Characters of a line that are drawn."""


class Row(NamedTuple):
    """A score with its rank, 1 for the most typical line, and the fraction of the val lines that are less typical."""

    score: "Score"
    rank: int
    percentile_rank: float | None
    label_p: float | None
    """How likely its label is, if that was not given."""


def record_of(row: Row) -> dict[str, Any]:
    """Return a row as it is printed with --json."""
    scored = row.score
    label: dict[str, Any] = {"label": scored.label} if scored.label else {}
    return {
        "text": scored.text,
        "nats": scored.nats,
        "nats_per_char": scored.nats_per_char,
        "rank": row.rank,
        "percentile_rank": row.percentile_rank,
        "characters": [{"character": character, "nats": nats} for character, nats in _characters(scored)],
        **(label | ({} if row.label_p is None else {"label_p": row.label_p})),
    }


def _characters(scored: "Score") -> list[tuple[str, float]]:
    """Return each character and its nats; the end of a line is empty, and that of a text is not scored."""
    return list(zip([*scored.text, ""], scored.char_nats, strict=False))


def show_letters(rows: list[Row], sign: str) -> None:
    """Print a row per line, with the letters of each; `sign` explains that of the end."""
    from rich.text import Text

    screen = Screen()
    several = len(rows) > 1
    if several:
        label = f"{'label':<{_label_width(rows)}}" if rows[0].score.label else ""
        screen.say(f"{'rank':>6}  {'nats/char':>9}  {'nats':>8}  {'typical':>7}  {label}{sign}", style="dim")
    else:
        screen.say(_describe(rows[0], sign))
    for row in rows:
        numbers = _numbers(row, _label_width(rows)) if several else ""
        indent = len(numbers)
        characters = _characters(row.score)
        for part in _parts(_letters(characters[:MAX_CHARACTERS]), screen.width - indent):
            letters, bars = Text(f"{numbers:<{indent}}"), Text(" " * indent)
            for shown, nats in part:
                style = "bold red" if nats > 4.5 else "yellow" if nats > 3 else "green"
                letters.append(shown, style)
                bars.append(_bar(nats) * cells(shown), style)
            screen.say(letters)
            screen.say(bars)
            numbers = ""
        if len(characters) > MAX_CHARACTERS:
            screen.say(f"… and {len(characters) - MAX_CHARACTERS:,} more characters: --json gives all", style="dim")
    if several and rows[0].percentile_rank is not None:
        screen.say("typical: percentage of the validation lines that are less typical than this one", style="dim")


def _describe(row: Row, sign: str) -> str:
    words = f"{row.score.nats_per_char:.3f} nats per character, {row.score.nats:.3f} in total"
    if row.percentile_rank is not None:
        words += f"; more typical than {row.percentile_rank:.0%} of the validation lines"
    if row.score.label:
        words += f"; label {_label(row)}"
    return f"{words} ({sign})"


def _label(row: Row) -> str:
    """Return a row's label and, if that was not given, how likely it is."""
    return visible(row.score.label) + ("" if row.label_p is None else f" {row.label_p:.0%}")


def _label_width(rows: Sequence[Row]) -> int:
    """Return the columns that the labels take, spaces after them included; 0 without labels."""
    return 2 + max(cells("label"), *(cells(_label(row)) for row in rows)) if rows[0].score.label else 0


def _numbers(row: Row, label_width: int) -> str:
    label = padded(_label(row), label_width) if label_width else ""
    typical = "" if row.percentile_rank is None else f"{row.percentile_rank:.0%}"
    return f"{row.rank:>6}  {row.score.nats_per_char:>9.3f}  {row.score.nats:>8.3f}  {typical:>7}  {label}"


def _letters(characters: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return what is printed above each bar, and its nats; accents, which take no column, join the letter before."""
    letters: list[tuple[str, float]] = []
    for character, nats in characters:
        shown = "⏎" if character in ("", "\n") else visible(character)
        if cells(shown) == 0 and letters:
            letter, letter_nats = letters.pop()
            letters.append((letter + shown, letter_nats + nats))
        else:
            letters.append((shown if cells(shown) else f"◌{shown}", nats))
    return letters


def _parts(letters: list[tuple[str, float]], width: int) -> Iterator[list[tuple[str, float]]]:
    """Yield the letters in rows of at most `width` columns; a line end ends a row."""
    part: list[tuple[str, float]] = []
    columns = 0
    for letter in letters:
        columns += cells(letter[0])
        if part and (part[-1][0] == "⏎" or columns > max(10, width)):
            yield part
            part, columns = [], cells(letter[0])
        part.append(letter)
    yield part


def _bar(nats: float) -> str:
    return SHADES[int(nats / FULL_BAR_NATS * len(SHADES))] if nats < FULL_BAR_NATS else SHADES[-1]
