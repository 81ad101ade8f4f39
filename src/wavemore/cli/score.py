"""`wavemore score`: how usual a model finds lines or texts, letter by letter."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from wavemore.cli.options import Flag
from wavemore.cli.screen import Screen, cells, visible
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Score

SHADES = "▁▂▃▄▅▆▇█"
NATS_OF_FULL_BAR = 6.0


@dataclass(frozen=True, kw_only=True)
class ScoreLines:
    """Say how usual lines, or texts, are to a model: nats per character, rank, and the surprise of each letter.

    Example: wavemore score runs/names-1 emma xqzt   (or: cat names.txt | wavemore score runs/names-1)
    """

    words: Annotated[
        Positional[tuple[str, ...]], arg(name="run-and-lines", metavar="[RUN] [LINE ...]", help_behavior_hint="")
    ] = ()
    """A run folder (without one: the latest run), then the lines; without lines they are read from standard input
    (for a model of continuous text: as one text). Lines that begin with - stand after --."""
    json: Flag = False
    """Print a JSON list of objects with text, nats, nats_per_char, rank, more_usual_than_val, characters."""

    def run_command(self) -> int:
        """Print one row a line, in the order given."""
        from wavemore.engine.evaluate import more_usual_than, score, score_texts
        from wavemore.runs.find import find_run, is_run

        if self.words and (is_run(self.words[0]) or self.words[0].startswith("runs/")):
            run, lines = find_run(self.words[0]), list(self.words[1:])
        else:
            run, lines = find_run("latest"), list(self.words)
            if lines and "/" in lines[0] and "/" not in run.vocabulary().characters:
                find_run(lines[0])  # a path, and no line that the model could read: says that there is no such run
        model, vocabulary, summary = run.model(), run.vocabulary(), run.summary()
        is_text = run.config.data.text == "stream"
        if is_text:
            scores = score_texts(model, vocabulary, lines or [_standard_input_text()])
        else:
            scores = score(model, vocabulary, lines or _standard_input())
        if any(not one.char_nats for one in scores):
            raise UsageError("a text without a character has no surprise: give one that is not empty")
        rows = []
        for one, rank in zip(scores, _ranks(scores), strict=True):
            known = None if summary is None else summary.val_line_percentiles
            share = None if known is None else more_usual_than(known, one.nats_per_char)
            rows.append(Row(one.text, one.nats, one.nats_per_char, rank, share, _characters(one)))
        if self.json:
            print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1))
        else:
            _show(rows, "⏎ is a line end" if is_text else "⏎ is the end of the line")
        return 0


@dataclass(frozen=True)
class Row:
    """What is said of a line."""

    text: str
    nats: float
    nats_per_char: float
    rank: int
    """Among the lines that were given; 1 is the most usual one."""
    more_usual_than_val: float | None
    """The share of the run's val lines that are less usual; None for a run that was not finished, or of a text."""
    characters: tuple["Character", ...]


@dataclass(frozen=True)
class Character:
    """A character, or the end of the line as an empty one, and its surprise."""

    character: str
    nats: float


def _standard_input() -> list[str]:
    text = _standard_input_text()
    lines = [line.strip() for line in text.split("\n") if line.strip()]  # as files of lines are read
    if not lines:
        raise UsageError("no lines to score: standard input was empty")
    return lines


def _standard_input_text() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no lines to score: give them after the run, or on standard input")
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8: byte {error.start + 1:,} is 0x{error.object[error.start]:02x}"
        ) from None
    if not text:
        raise UsageError("no lines to score: standard input was empty")
    return re.sub("\r\n?", "\n", text)


def _ranks(scores: list["Score"]) -> list[int]:
    """1 for the most usual line, the one with the fewest nats per character."""
    order = sorted(range(len(scores)), key=lambda i: scores[i].nats_per_char)
    ranks = [0] * len(scores)
    for rank, i in enumerate(order, start=1):
        ranks[i] = rank
    return ranks


def _characters(score: "Score") -> tuple[Character, ...]:
    characters = [*score.text, ""][: len(score.char_nats)]  # the end is scored where the model knows ends
    return tuple(Character(c, nats) for c, nats in zip(characters, score.char_nats, strict=True))


def _show(rows: list[Row], sign: str) -> None:
    from rich.text import Text

    screen = Screen()
    if len(rows) == 1:
        screen.say(_about(rows[0], sign))
    else:
        screen.say(f"{'rank':>6}  {'nats/char':>9}  {'nats':>8}  {'usual':>5}  {sign}", style="dim")
    indent = 0 if len(rows) == 1 else len(_numbers(rows[0]))
    for row in rows:
        numbers = "" if len(rows) == 1 else _numbers(row)
        for part in _in_parts(_letters(row), screen.width - indent):
            letters, bars = Text(f"{numbers:<{indent}}"), Text(" " * indent)
            for shown, nats in part:
                style = "bold red" if nats > 4.5 else "yellow" if nats > 3 else "green"
                letters.append(shown, style)
                bars.append(SHADES[_shade(nats)] * cells(shown), style)
            screen.say(letters)
            screen.say(bars)
            numbers = ""
    if len(rows) > 1 and rows[0].more_usual_than_val is not None:
        screen.say("usual: the share of the run's val lines that are less usual", style="dim")


def _about(row: Row, sign: str) -> str:
    said = f"{row.nats_per_char:.3f} nats a character, {row.nats:.3f} in all"
    if row.more_usual_than_val is not None:
        said += f"; more usual than {row.more_usual_than_val:.0%} of the val lines"
    return f"{said} ({sign})"


def _numbers(row: Row) -> str:
    usual = "" if row.more_usual_than_val is None else f"{row.more_usual_than_val:.0%}"
    return f"{row.rank:>6}  {row.nats_per_char:>9.3f}  {row.nats:>8.3f}  {usual:>5}  "


def _letters(row: Row) -> list[tuple[str, float]]:
    """What stands above a bar, and its nats: accents, which take no column, with the letter before them."""
    letters: list[tuple[str, float]] = []
    for character in row.characters:
        shown = "⏎" if character.character in ("", "\n") else visible(character.character)
        if cells(shown) == 0 and letters:
            before, nats = letters.pop()
            letters.append((before + shown, nats + character.nats))
        else:
            letters.append((shown if cells(shown) else f"◌{shown}", character.nats))
    return letters


def _in_parts(letters: list[tuple[str, float]], width: int) -> Iterator[list[tuple[str, float]]]:
    """The letters in rows of at most `width` columns; a line end ends a row."""
    part: list[tuple[str, float]] = []
    for letter in letters:
        if part and part[-1][0] == "⏎":
            yield part
            part = []
        if part and sum(cells(shown) for shown, _ in part) + cells(letter[0]) > max(10, width):
            yield part
            part = []
        part.append(letter)
    yield part


def _shade(nats: float) -> int:
    return min(len(SHADES) - 1, int(nats / NATS_OF_FULL_BAR * len(SHADES)))
