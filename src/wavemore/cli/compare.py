"""`wavemore compare`: is B better than A?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from wavemore.cli.options import File, Flag, MovedData
from wavemore.cli.progress import busy
from wavemore.cli.screen import Screen, checked_figure_path, print_json, table

if TYPE_CHECKING:
    from pathlib import Path

    from wavemore.comparison.result import Comparison, LineDifference, SliceResult

INTERVAL = "95 % interval"
OVER_LINES = "95 % over lines"
MAX_LINE = 40


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Tell whether B is better than A, by how much, and on which lines.

    Better means: other seeds and other lines are unlikely to reverse the result.

    Losses are nats per character.

    Example:
      wavemore compare baseline wider
    """

    a: Annotated[Positional[str], arg(metavar="A")]
    """a run, an experiment (train --experiment), or a folder with the runs of one experiment"""
    b: Annotated[Positional[str], arg(metavar="B")]
    """another one, on the same data and split"""
    split: Literal["val", "test"] = "val"
    """the lines to predict; look at test once, after all decisions"""
    data: MovedData = None
    """where the data of the runs is now, if it was moved"""
    json: Flag = False
    """print JSON: verdict, better, overall, leak_free, kinds, positions, wins, losses, ..."""
    plot: File = None
    """draw the difference by position in the line: .png, .svg or .pdf"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the verdict, and where B wins."""
        from wavemore.comparison.compare import compare

        path = checked_figure_path(self.plot)
        screen = Screen(stderr=self.json)
        with busy("losses of both", screen):
            comparison = compare(self.a, self.b, self.split, self.data or "")
        if path is not None:
            _draw(comparison, path)
        if self.json:
            print_json(comparison.to_dict())
            return 0
        _show(screen, comparison)
        if path is not None:
            screen.say("", f"wrote {path}")
        return 0


def _draw(comparison: "Comparison", path: "Path") -> None:
    from wavemore.plots import Difference, difference_by_position
    from wavemore.plots.save import write_figure

    differences = []
    for result in comparison.positions:
        low, high = (result.interval.low, result.interval.high) if result.interval else (None, None)
        differences.append(Difference(result.name, result.difference, low, high, result.num_targets))
    a, b = f"A ({comparison.a.name})", f"B ({comparison.b.name})"
    write_figure(difference_by_position(differences, a=a, b=b, overall=comparison.difference), path)


def _show(screen: Screen, comparison: "Comparison") -> None:
    from wavemore.comparison.result import CAUTION, describe_side

    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        screen.say(describe_side(letter, side))
    if comparison.changed_settings:
        screen.say(f"B differs in: {', '.join(comparison.changed_settings)}")
    targets = comparison.overall.num_targets
    screen.say(f"{comparison.data}, {comparison.split}: {comparison.num_lines:,} lines, {targets:,} targets", "")
    header = ["nats per character", "A", "B", "B - A", INTERVAL, "p"]
    screen.say(table(screen, header, comparison.loss_rows(), left=header[:1], spare=("p", INTERVAL)))
    screen.say("", f"{comparison.verdict}.", style="bold")
    if comparison.leak_free is not None and comparison.leak_free.better != comparison.better:
        screen.say(f"On the lines that are not in train: {comparison.leak_free.verdict}.")
    for title, results in (("kinds of lines", comparison.kinds), ("position in the line", comparison.positions)):
        if results:
            screen.say("", _slices(screen, title, results, targets))
    screen.say("", CAUTION, style="dim")
    for title, lines in (("B gains most on", comparison.wins), ("B loses most on", comparison.losses)):
        if lines:
            screen.say("", _lines(screen, title, lines))


def _slices(screen: Screen, title: str, results: "Sequence[SliceResult]", targets: int) -> object:
    rows = []
    for result in results:
        losses = [f"{result.a:.4f}", f"{result.b:.4f}", f"{result.difference:+.4f}", str(result.interval or "")]
        rows.append([result.name, f"{result.lines:,}", f"{result.num_targets / targets:.0%}", *losses])
    header = [title, "lines", "targets", "A", "B", "B - A", OVER_LINES]
    return table(screen, header, rows, left=header[:1], spare=("targets", "lines", "A", "B", OVER_LINES))


def _lines(screen: Screen, title: str, lines: "Sequence[LineDifference]") -> object:
    rows = []
    for line in lines:
        text = line.text if len(line.text) <= MAX_LINE else f"{line.text[: MAX_LINE - 1]}…"
        rows.append([text, f"{line.a:.2f}", f"{line.b:.2f}", f"{line.difference:+.2f}"])
    header = [title, "A: nats per line", "B", "B - A"]
    return table(screen, header, rows, left=header[:1])
