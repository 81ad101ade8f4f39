"""`wavemore score`: how typical items or texts are for a model: ranked, or letter by letter."""

import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from wavemore.cli.letters import Row, record_of, show_letters
from wavemore.cli.options import NO_HINT, File, Flag, MovedData, Text, with_flags
from wavemore.cli.progress import busy
from wavemore.cli.run_words import is_file_name, say_run, split_words
from wavemore.cli.screen import Screen, cells, padded, print_error, print_json, print_lines
from wavemore.errors import RunError, UnknownCharacterError, UsageError

if TYPE_CHECKING:
    from wavemore.nn.model import Model
    from wavemore.runs.item_file import Item
    from wavemore.runs.ranking import Ranking
    from wavemore.runs.run import Run
    from wavemore.text.nearest import NearLines
    from wavemore.text.other_data import OtherData
    from wavemore.text.vocabulary import Vocabulary

MAX_INPUT = 1 << 26
"""Bytes of standard input, which could be endless."""
FEW = 10
"""Lines that are shown letter by letter; more are ranked."""
MAX_REPORTED = 5
"""Lines with an unknown character that are named."""
MAX_COLUMN = 40
"""Columns of a terminal up to which the column of the items grows."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Rank items by how typical they are, or show words letter by letter.

    Examples:
      wavemore score runs/names-1 emma xqzt
      wavemore score runs/names-1 others.txt
      wavemore score runs/names-1 others.txt --csv > ranked.csv
    """

    words: Annotated[Positional[tuple[str, ...]], arg(name="run-and-lines", metavar="[RUN] [LINE ...]"), NO_HINT] = ()
    """a run (default: the latest), then lines or a file (default: standard input); lines like --this go after --"""
    output: Annotated[File, arg(aliases=("-o",))] = None
    """write the ranked items to this file instead: .csv, .jsonl or .txt (the items alone)"""
    csv: Flag = False
    """print the ranked items as CSV"""
    label: Text = None
    """for a run with labels: the label of all lines (default: the likeliest one of each)"""
    unknown: Literal["skip", "error"] = "skip"
    """a line with a character that the model does not know: skip and report it, or stop"""
    data: MovedData = None
    """where the data of the run is now, if it was moved: the nearest known items are from there"""
    json: Flag = False
    """print JSON: text, nats, nats_per_char, rank, percentile_rank, characters, label and label_p, or an error"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print a file or many lines ranked, a few lines in the order given."""
        from wavemore.text.layout import joined

        run, texts, is_named = split_words(self.words, self.data or "")
        is_list, as_table = run.config.data.format == "lines", bool(self.output or self.csv)
        if as_table and (self.json or not is_list):
            what = "leave out --json" if self.json else f"{run.path} is a run of continuous text"
            raise UsageError(f"--output and --csv are for ranked lists: {what}")
        file = texts[0] if len(texts) == 1 and is_file_name(texts[0], run.vocabulary()) else None
        numbers = list(range(1, len(texts) + 1))
        if not texts:
            numbers, texts = _standard_input(run.config.data.format)
        if run.config.data.layout.kind == "separated":
            texts = [joined(text.strip("\n")) for text in texts]
        if is_list and (as_table or (not self.json and (file is not None or len(texts) > FEW))):
            self._rank(run, file, texts)
        else:
            if file is not None:
                texts = _items_of(run, file)
                numbers = list(range(1, len(texts) + 1))
            self._show_letters(run, numbers, texts)
        say_run(run, is_named=is_named)
        return 0

    def _rank(self, run: "Run", file: str | None, texts: Sequence[str]) -> None:
        """Print or write the items of a list, the most typical first."""
        from wavemore.runs.item_file import check_item_file, write_csv, write_items
        from wavemore.runs.ranking import rank
        from wavemore.text.reports import pluralize

        if self.output is not None:
            check_item_file(Path(self.output))
        with busy("scores", Screen(stderr=True)):
            other = self._other(run, file, texts)
            ranking = rank(run, other.part, self.label, self._near_lines(run))
            if self.output is not None:
                layout = run.config.data.layout
                separator = layout.separator if layout.kind == "separated" else None
                write_items(Path(self.output), ranking.items(), ranking.columns, separator=separator)
        notes = list(filter(None, [other.how and f"read {other.how}", other.note]))
        if self.output is not None:
            items = pluralize(len(ranking.order), "item")
            Screen().say(f"{self.output}: {items}, the most typical for {run.path} first", *notes)
            return
        for note in notes:
            print_error(f"wavemore: {note}")
        if self.csv:
            write_csv(sys.stdout, ranking.items(), ranking.columns)
        else:
            lines = _table(ranking)
            while batch := list(islice(lines, 1_000)):
                print_lines("\n".join(batch))

    def _other(self, run: "Run", file: str | None, texts: Sequence[str]) -> "OtherData":
        """Return the items of a file, or some lines, without those that have unknown characters."""
        from wavemore.text.lines import collect
        from wavemore.text.other_data import of_lines, read_items

        vocabulary = run.vocabulary()
        if file is not None:
            lines, how = read_items(file, vocabulary, own_layout=replace(run.config.data.layout, label=None))
        else:
            lines, how = collect(texts, replace(vocabulary.cleaning, min_count=1))[0], ""
        if self.unknown == "error" and set(lines.characters) - set(vocabulary.characters):
            self._unknown(list(lines), range(1, len(lines) + 1), vocabulary, "lines")
        return of_lines(lines, vocabulary, run.line_hashes(), how=how, name=file or "the list")

    def _near_lines(self, run: "Run") -> "NearLines | None":
        """Return the lines of the run's data; None, with a note, if they cannot be read."""
        from wavemore.runs.known_lines import known_lines
        from wavemore.text.nearest import NearLines

        try:
            return NearLines(known_lines(run))
        except RunError as error:
            print_error(f"wavemore: without the nearest known items: {with_flags(str(error), self)}")
            return None

    def _show_letters(self, run: "Run", numbers: Sequence[int], texts: Sequence[str]) -> None:
        """Print the lines in the order given, each with a bar per letter, or as JSON."""
        from wavemore.engine.evaluate import percentile_rank, score

        text_format = run.config.data.format
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
            records = map(record_of, rows)
            pairs = zip(numbers, texts, strict=True)
            print_json([{"text": t, "error": str(unknown[n])} if n in unknown else next(records) for n, t in pairs])
        else:
            show_letters(rows, "⏎ is a line end" if text_format == "text" else "⏎ is the end of the line")
        _report(unknown, len(texts))

    def _labels(
        self, model: "Model", vocabulary: "Vocabulary", texts: Sequence[str]
    ) -> Sequence[tuple[str, float | None]] | None:
        """Return the label of each text, and how likely it is if it was not given; None if the run has no labels."""
        from wavemore.engine.labels import labels_of

        if self.label is not None:
            name = vocabulary.labels.names[vocabulary.labels.number(self.label)]
            return [(name, None)] * len(texts)
        return labels_of(model, vocabulary, texts) if vocabulary.labels else None

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
                if text in self.words and is_file_name(text, vocabulary):
                    raise UsageError(f"{text} is a file; to score its items, name it alone after the run") from None
                if self.unknown == "error" and len(texts) > 1:
                    raise UnknownCharacterError(f"line {number:,}: {error}") from None
                errors[number] = error
        if len(errors) == len(texts):
            raise errors[numbers[0]]
        return errors


def _report(unknown: dict[int, UnknownCharacterError], count: int) -> None:
    if not unknown:
        return
    screen = Screen(stderr=True)
    screen.say(f"wavemore: {len(unknown):,} of {count:,} lines not scored (--unknown error stops at the first):")
    for number, error in list(unknown.items())[:MAX_REPORTED]:
        screen.say(f"  line {number:,}: {error}")
    if len(unknown) > MAX_REPORTED:
        screen.say(f"  and {len(unknown) - MAX_REPORTED:,} more")


def _items_of(run: "Run", file: str) -> list[str]:
    """Return the items of a file, or its whole text."""
    from wavemore.text.opening import open_file
    from wavemore.text.other_data import read_items
    from wavemore.text.reading import TextReader

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


def _table(ranking: "Ranking") -> Iterator[str]:
    """Yield the lines of a table of ranked items."""
    wide = any(cells(character) > 1 for character in ranking.lines.characters)
    width = min(MAX_COLUMN, (2 if wide else 1) * int(ranking.lines.lengths.max(initial=4)))
    label_width = 2 + max(map(cells, ["label", *ranking.labels])) + 5 if ranking.labels else 0
    titles = padded("label" if label_width else "", label_width) + f"{'item':<{width}}"
    nearest = "known" if ranking.nearest is None else "nearest known item"
    yield f"{'rank':>7}  {'typical':>7}  {'nats/char':>9}  {titles}  {nearest}"
    for rank, item in enumerate(ranking.items(), 1):
        text, label, typical = item["text"], item.get("label", ""), item["percentile_rank"]
        if item.get("label_p") is not None:
            label += f" {item['label_p']:.0%}"
        shown = "" if typical is None else f"{typical:.0%}"
        start = f"{rank:>7,}  {shown:>7}  {item['nats_per_char']:>9.3f}  {padded(label, label_width) if label else ''}"
        yield f"{start}{text.ljust(width) if text.isascii() else padded(text, width)}  {_nearest(item)}".rstrip()
    if ranking.percentile_ranks is not None:
        yield "typical: percentage of the validation lines that are less typical than this one"
    if ranking.nearest is not None:
        few = "" if ranking.most_edits is None else "; only items one edit away are found, as the lists are so long"
        yield f"nearest known item: the most similar one in the run's data, and the number of edits{few}"


def _nearest(item: "Item") -> str:
    if item["known"]:
        return "known"
    return f"{item['nearest']} {item['distance']}" if item.get("nearest") else ""
