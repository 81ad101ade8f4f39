"""`wavemore score`: how typical lines or texts are for a model, character by character."""

import os
import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from tyro.conf import Positional, arg

from wavemore.cli.options import NO_HINT, File, Flag, Text
from wavemore.cli.progress import busy
from wavemore.cli.screen import Screen, cells, padded, print_json
from wavemore.errors import UnknownCharacterError, UsageError
from wavemore.signs import visible

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Score as Scored
    from wavemore.nn.model import Model
    from wavemore.runs.run import Run
    from wavemore.text.vocabulary import Vocabulary

MAX_INPUT = 1 << 26
"""Bytes of standard input, which could be endless."""
SHADES = "▁▂▃▄▅▆▇█"
FULL_BAR_NATS = 6.0
MAX_CHARACTERS = 4_000
"""Characters of a line that are drawn."""
MAX_REPORTED = 5
"""Lines with an unknown character that are named."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Show how typical lines or texts are for a model, letter by letter.

    Examples:
      wavemore score runs/names-1 emma xqzt
      wavemore score runs/names-1 others.txt -o ranked.csv
      cat names.txt | wavemore score runs/names-1
    """

    words: Annotated[Positional[tuple[str, ...]], arg(name="run-and-lines", metavar="[RUN] [LINE ...]"), NO_HINT] = ()
    """a run (default: the latest), then lines or a file (default: standard input); lines like --this go after --"""
    output: Annotated[File, arg(aliases=("-o",))] = None
    """write a table (CSV) of a list's items to this file, the most typical first, instead of showing them"""
    label: Text = None
    """for a run with labels: the label of all lines (default: the likeliest one of each)"""
    unknown: Literal["skip", "error"] = "skip"
    """a line with a character that the model does not know: skip and report it, or stop"""
    json: Flag = False
    """print JSON: text, nats, nats_per_char, rank, percentile_rank, characters, label and label_p, or an error"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print one row per line, in the order given."""
        from wavemore.engine.evaluate import percentile_rank, score

        run, texts = self._split_words()
        text_format = run.config.data.format
        if self.output is not None:
            return self._write(run, texts)
        readable = set(run.vocabulary().characters)
        if len(texts) == 1 and set(texts[0]) - readable and os.path.isfile(texts[0]):  # noqa: PTH113 (false for no name)
            texts = _items_of(run, texts[0])  # it cannot be an item
        numbers = list(range(1, len(texts) + 1))
        if not texts:
            numbers, texts = _standard_input(text_format)
        from wavemore.text.layout import LINE_BREAK

        if run.config.data.layout.kind == "separated":
            texts = [text.strip("\n").replace("\n", LINE_BREAK) for text in texts]
        if text_format == "text" and "" in texts:
            raise UsageError("an empty text has no score; give one with at least one character")
        model, vocabulary = run.model(), run.vocabulary()
        unknown = self._unknown(texts, numbers, vocabulary, text_format)
        known = [text for number, text in zip(numbers, texts, strict=True) if number not in unknown]
        labels = self._labels(model, vocabulary, known)
        scores = score(model, vocabulary, known, text_format, None if labels is None else [name for name, _ in labels])
        summary = run.summary()
        percentiles = None if summary is None else summary.val_line_percentiles
        nats = sorted(scored.nats_per_char for scored in scores)
        rows = []
        for scored, (_, p) in zip(scores, labels or [("", None)] * len(scores), strict=True):
            percentile = None if percentiles is None else percentile_rank(percentiles, scored.nats_per_char)
            rows.append(Row(scored, 1 + bisect_left(nats, scored.nats_per_char), percentile, p))
        if self.json:
            records = map(_record, rows)
            pairs = zip(numbers, texts, strict=True)
            print_json([{"text": t, "error": str(unknown[n])} if n in unknown else next(records) for n, t in pairs])
        else:
            _show(rows, "⏎ is a line end" if text_format == "text" else "⏎ is the end of the line")
        _report(unknown, len(texts))
        return 0

    def _labels(
        self, model: "Model", vocabulary: "Vocabulary", texts: Sequence[str]
    ) -> Sequence[tuple[str, float | None]] | None:
        """Return the label of each text, and how likely it is if it was not given; None if the run has no labels."""
        from wavemore.engine.labels import labels_of

        if self.label is not None:
            name = vocabulary.labels.names[vocabulary.labels.number(self.label)]
            return [(name, None)] * len(texts)
        return labels_of(model, vocabulary, texts) if vocabulary.labels else None

    def _write(self, run: "Run", texts: list[str]) -> int:
        """Write a ranked table of a list's items."""
        from wavemore.runs.ranking import rank, write_ranking
        from wavemore.text.lines import Lines
        from wavemore.text.other_data import of_lines, read_items
        from wavemore.text.reports import pluralize

        assert self.output is not None
        if self.json or self.unknown == "error":
            raise UsageError("--output writes a table of what can be scored: leave out --json and --unknown")
        if run.config.data.format == "text":
            raise UsageError("--output is for lists, and the run is one of continuous text: leave it out")
        vocabulary = run.vocabulary()
        if len(texts) == 1 and os.path.isfile(texts[0]):  # noqa: PTH113
            lines, how = read_items(texts[0], vocabulary, own_layout=replace(run.config.data.layout, label=None))
        else:
            given = texts or _standard_input("lines")[1]
            lines, how = Lines.from_iterable(map(vocabulary.clean, given)), ""
        other = of_lines(lines, vocabulary, run.line_hashes(), how=how)
        with busy("scores", Screen(stderr=True)):
            ranking = rank(run, other.part, self.label)
        write_ranking(ranking, Path(self.output))
        screen = Screen()
        screen.say(f"{self.output}: {pluralize(len(ranking.order), 'item')}, the most typical for {run.path} first")
        for words in filter(None, [how and f"read {how}", other.note]):
            screen.say(words)
        return 0

    def _unknown(
        self, texts: Sequence[str], numbers: Sequence[int], vocabulary: "Vocabulary", text_format: str
    ) -> dict[int, UnknownCharacterError]:
        """Return what is unknown in a text, by the text's number. Raises the first one if no text can be scored."""
        encode = vocabulary.encode if text_format == "lines" else vocabulary.encode_text
        errors: dict[int, UnknownCharacterError] = {}
        for number, text in zip(numbers, texts, strict=True):
            try:
                encode(vocabulary.clean(text))
            except UnknownCharacterError as error:
                if text in self.words and os.path.isfile(text):  # noqa: PTH113
                    raise UsageError(f"{text} is a file; to score its items, name it alone after the run") from None
                if self.unknown == "error" and len(texts) > 1:
                    raise UnknownCharacterError(f"line {number:,}: {error}") from None
                errors[number] = error
        if len(errors) == len(texts):
            raise errors[numbers[0]]
        return errors

    def _split_words(self) -> "tuple[Run, list[str]]":
        """Return the run and the lines; the first word is the run if it names one."""
        from wavemore.runs.find import find_run, find_runs, is_run, nearest

        if self.words and (is_run(self.words[0]) or self.words[0].startswith("runs/")):
            return find_run(self.words[0]), list(self.words[1:])
        run = find_run("latest")
        first, *lines = self.words or ("",)
        is_line = not set(first) - set(run.vocabulary().characters)
        if not is_line and ("/" in first or (lines and nearest(first, find_runs()))):
            find_run(first)  # raises: this is a path, or the name of a run with a typing error
        return run, list(self.words)


class Row(NamedTuple):
    """A score with its rank, 1 for the most typical line, and the fraction of the val lines that are less typical."""

    score: "Scored"
    rank: int
    percentile_rank: float | None
    label_p: float | None
    """How likely its label is, if that was not given."""


def _report(unknown: dict[int, UnknownCharacterError], count: int) -> None:
    if not unknown:
        return
    screen = Screen(stderr=True)
    screen.say(f"wavemore: {len(unknown):,} of {count:,} lines not scored (--unknown error stops at the first):")
    for number, error in list(unknown.items())[:MAX_REPORTED]:
        screen.say(f"  line {number:,}: {error}")
    if len(unknown) > MAX_REPORTED:
        screen.say(f"  and {len(unknown) - MAX_REPORTED:,} more")


def _record(row: Row) -> dict[str, Any]:
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


def _characters(scored: "Scored") -> list[tuple[str, float]]:
    """Return each character and its nats; the end of a line is empty, and that of a text is not scored."""
    return list(zip([*scored.text, ""], scored.char_nats, strict=False))


def _items_of(run: "Run", file: str) -> list[str]:
    """Return the items of a file, or its whole text."""
    from wavemore.text.opening import open_file
    from wavemore.text.other_data import read_items
    from wavemore.text.reading import TextReader

    Screen(stderr=True).say(f"wavemore: {file} is a file; what follows is for what is in it")
    if run.config.data.format == "text":
        with open_file(Path(file)) as opened:
            return ["".join(TextReader(opened).pieces())]
    return list(read_items(file, run.vocabulary(), own_layout=replace(run.config.data.layout, label=None))[0])


def _standard_input(text_format: str) -> tuple[list[int], list[str]]:
    """Return the lines with a character and their numbers, or the whole text."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no lines to score: give them after the run, or on standard input")
    content = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(content) > MAX_INPUT:
        raise UsageError(f"standard input has more than {MAX_INPUT:,} bytes; score it in parts")
    try:
        text = re.sub("\r\n?", "\n", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UsageError(f"standard input is not UTF-8: byte {error.start + 1:,} is 0x{byte:02x}") from None
    lines = [text] if text_format == "text" else [line.strip() for line in text.split("\n")]
    numbers = [number for number, line in enumerate(lines, start=1) if line]
    if not numbers:
        raise UsageError("no lines to score: standard input was empty")
    return numbers, [lines[number - 1] for number in numbers]


def _show(rows: list[Row], sign: str) -> None:
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
