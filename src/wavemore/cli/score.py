"""`wavemore score`: how usual a model finds lines, letter by letter."""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from wavemore.cli.screen import Screen
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Score

SHADES = " ▁▂▃▄▅▆▇█"
NATS_OF_FULL_BAR = 6.0


@dataclass(frozen=True, kw_only=True)
class ScoreLines:
    """Say how usual lines are to a model: nats per character, rank, and the surprise of each letter.

    Example: wavemore score runs/names-1 emma xqzt   (or: cat names.txt | wavemore score runs/names-1)
    """

    words: Annotated[Positional[tuple[str, ...]], arg(name="run-and-lines", metavar="[RUN] [LINE ...]")] = ()
    """A run folder (without one: the latest run), then the lines; without lines they are read from standard input."""
    json: bool = False
    """Print a JSON list of objects with text, nats, nats_per_char, rank, characters."""

    def run_command(self) -> int:
        """Print one row a line, in the order given."""
        from wavemore.engine.evaluate import score
        from wavemore.lab.runs import find_run, is_run

        if self.words and is_run(self.words[0]):
            run, lines = find_run(self.words[0]), list(self.words[1:])
        elif self.words and ("/" in self.words[0]):
            run, lines = find_run(self.words[0]), list(self.words[1:])  # says that there is no such run
        else:
            run, lines = find_run("latest"), list(self.words)
        if not lines:
            lines = _standard_input()
        model, vocabulary = run.model(), run.vocabulary()
        scores = score(model, vocabulary, lines)
        ranks = _ranks(scores)
        if self.json:
            print(
                json.dumps(
                    [_record(s, rank) for s, rank in zip(scores, ranks, strict=True)],
                    ensure_ascii=False,
                    indent=1,
                )
            )
        else:
            _show(scores, ranks)
        return 0


def _standard_input() -> list[str]:
    if sys.stdin.isatty():
        raise UsageError("no lines to score: give them after the run, or on standard input")
    try:
        lines = [line.strip() for line in sys.stdin.buffer.read().decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8: byte {error.start + 1:,} is 0x{error.object[error.start]:02x}"
        ) from None
    lines = [line for line in lines if line]
    if not lines:
        raise UsageError("no lines to score: standard input was empty")
    return lines


def _ranks(scores: list["Score"]) -> list[int]:
    """1 for the most usual line, the one with the fewest nats per character."""
    order = sorted(range(len(scores)), key=lambda i: scores[i].nats_per_char)
    ranks = [0] * len(scores)
    for rank, i in enumerate(order, start=1):
        ranks[i] = rank
    return ranks


def _record(score: "Score", rank: int) -> dict[str, Any]:
    characters = [*score.text, ""]  # the last one is the end of the line
    return {
        "text": score.text,
        "nats": score.nats,
        "nats_per_char": score.nats_per_char,
        "rank": rank,
        "characters": [{"character": c, "nats": nats} for c, nats in zip(characters, score.char_nats, strict=True)],
    }


def _show(scores: list["Score"], ranks: list[int]) -> None:
    from rich.text import Text

    screen = Screen()
    width = max(len(score.text) for score in scores)
    screen.say(
        f"{'rank':>6}  {'nats/char':>9}  {'nats':>8}  surprise of each letter, ⏎ is the end of the line",
        style="dim",
    )
    for score, rank in zip(scores, ranks, strict=True):
        row = Text(f"{rank:>6}  {score.nats_per_char:>9.3f}  {score.nats:>8.3f}  ")
        bars = Text(f"{'':>6}  {'':>9}  {'':>8}  ")
        for character, nats in zip([*score.text, "⏎"], score.char_nats, strict=True):
            shade = min(len(SHADES) - 1, int(nats / NATS_OF_FULL_BAR * (len(SHADES) - 1) + 0.5))
            style = "bold red" if nats > 4.5 else "yellow" if nats > 3 else ""
            row.append(character, style)
            bars.append(SHADES[shade] * max(1, _cells(character)), style or "green")
        row.append(" " * (width - len(score.text)))
        screen.say(row)
        screen.say(bars)


def _cells(character: str) -> int:
    from rich.cells import cell_len

    return cell_len(character)
