"""`wavemore compare`: is B better than A?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from wavemore.cli.options import Flag
from wavemore.cli.screen import Screen, table, visible

if TYPE_CHECKING:
    from pathlib import Path

    from wavemore.comparison.result import Comparison, LineDifference, Seen


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Say whether B is better than A, by how much and how surely: by the seeds of each, and by the lines.

    Losses are nats per character. Better is said where neither other seeds nor other lines would be likely to turn it.

    Example: wavemore compare baseline wider
    """

    a: Annotated[Positional[str], arg(metavar="A")]
    """A run, an experiment (train --experiment), or a folder with the seeds of one."""
    b: Annotated[Positional[str], arg(metavar="B")]
    """Another one, on the same data and split."""
    part: Literal["val", "test"] = "val"
    """The lines that are predicted; test: once, when all choices are made."""
    json: Flag = False
    """Print JSON: verdict, better, overall, leak_free, kinds, positions, wins, losses, ..."""
    plot: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Draw the difference by position in the line: .png, .svg or .pdf."""

    def run_command(self) -> int:
        """Print the verdict, and where B wins."""
        from wavemore.comparison.compare import compare
        from wavemore.plots.save import figure_path

        path = figure_path(self.plot) if self.plot else None
        screen = Screen(stderr=self.json)
        with screen.busy("losses of both, and the bootstrap"):
            found = compare(self.a, self.b, self.part)
        if path is not None:
            _draw(found, path)
        if self.json:
            print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1))
        else:
            _show(screen, found)
            if path is not None:
                screen.say(f"\ndrawn in {path}")
        return 0


def _draw(found: "Comparison", path: "Path") -> None:
    from wavemore.plots import Difference, difference_by_position
    from wavemore.plots.save import write_figure

    differences = [
        Difference(
            label=seen.what,
            value=seen.difference,
            low=seen.interval.low if seen.interval else None,
            high=seen.interval.high if seen.interval else None,
            targets=seen.targets,
        )
        for seen in found.positions
    ]
    a, b = (f"{letter} ({side.name})" for letter, side in (("A", found.a), ("B", found.b)))
    write_figure(difference_by_position(differences, a=a, b=b, whole=found.difference), path)


INTERVAL = "95 % over lines"


def _show(screen: Screen, found: "Comparison") -> None:
    from wavemore.comparison.result import CAUTION, side_words

    for letter, side in (("A", found.a), ("B", found.b)):
        screen.say(visible(side_words(letter, side)))
    if found.changed:
        screen.say(f"B differs in: {', '.join(found.changed)}")
    targets = found.overall.targets
    screen.say(f"{visible(found.data)}, {found.part}: {found.count:,} lines, {targets:,} targets\n")
    header = ["nats per character", "A", "B", "B - A", INTERVAL, "over seeds"]
    spare = ("over seeds", INTERVAL)
    screen.say(table(screen, header, found.figures(), left=header[:1], spare=spare))
    screen.say(f"\n{found.verdict}.", style="bold")
    if found.leak_free is not None and found.leak_free.better != found.better:
        screen.say(f"On lines that train does not hold: {found.leak_free.verdict}.")
    for title, group in (("kinds of lines", found.kinds), ("position in the line", found.positions)):
        if group:
            screen.say()
            screen.say(_seen(screen, title, group, found.overall.targets))
    screen.say(f"\n{CAUTION}", style="dim")
    for title, lines in (("B gains most on", found.wins), ("B loses most on", found.losses)):
        if lines:
            screen.say()
            screen.say(_lines(screen, title, lines))


def _seen(screen: Screen, title: str, group: "Sequence[Seen]", targets: int) -> object:
    from wavemore.comparison.result import ends

    rows = [
        [
            seen.what,
            f"{seen.lines:,}",
            f"{seen.targets / targets:.0%}",
            f"{seen.a:.4f}",
            f"{seen.b:.4f}",
            f"{seen.difference:+.4f}",
            ends(seen.interval),
        ]
        for seen in group
    ]
    header = [title, "lines", "targets", "A", "B", "B - A", INTERVAL]
    return table(screen, header, rows, left=header[:1], spare=("targets", "lines", "A", "B", INTERVAL))


def _lines(screen: Screen, title: str, lines: "Sequence[LineDifference]") -> object:
    rows = [[_short(line.text), f"{line.a:.2f}", f"{line.b:.2f}", f"{line.difference:+.2f}"] for line in lines]
    header = [title, "A: nats of the line", "B", "B - A"]
    return table(screen, header, rows, left=header[:1], spare=())


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
