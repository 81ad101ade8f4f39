"""`wavemore bench`: speed, as ratios against named baselines in the same run."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from wavemore.cli.screen import Screen
from wavemore.errors import DataError, UsageError

if TYPE_CHECKING:
    from benchmarks.measurement import Measurement

Key = Literal[
    "time_to_lecture_val_ratio",
    "unique_step_ratio",
    "unique_step_lecture_ratio",
    "unique_evaluate_ratio",
    "sampling_ratio",
    "stream_ratio",
    "wavenet_receptive",
    "gemm_peak_share",
    "cold_start_seconds",
    "transformer_ratio",
    "wavenet_text_ratio",
]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure speed against the lecture's loops, as ratios taken in one run.

    transformer_ratio (makemore's transformer) and wavenet_text_ratio (nanoGPT on text) train a rival whole, which
    takes minutes: they are measured only when they are named.

    Example: wavemore bench --only unique_step_ratio sampling_ratio --json bench.json
    """

    data: Positional[str] = "makemore-names"
    """The lecture's names: downloaded once, or a path to the file."""
    text: Annotated[str, arg(metavar="FILE")] = "tinyshakespeare"
    """The text of wavenet_text_ratio: downloaded once, or a path to the file."""
    only: Annotated[tuple[Key, ...], arg(metavar="KEY [KEY ...]")] = field(default=())
    """Which figures; without it all but transformer_ratio and wavenet_text_ratio."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads to measure with."""
    repeats: int = 5
    """Repetitions, taken in turns; the medians count."""
    json: Annotated[str | Literal["none"], arg(metavar="FILE")] = "none"
    """Also write the figures to this file."""

    def run_command(self) -> int:
        """Print a Markdown table, a row as soon as it is measured."""
        from benchmarks.tree import TEXT_MEASURES, USUAL, bench
        from wavemore.files import write_atomic
        from wavemore.runs.environment import environment
        from wavemore.text.datasets import load, load_text

        if self.repeats < 1 or not self.threads or min(self.threads) < 1:
            raise UsageError("--repeats and --threads take numbers of at least 1")
        corpus = load(self.data, split="lecture")
        screen, notes = Screen(), Screen(stderr=True)
        keys: list[str] = list(self.only or USUAL)
        text = None
        on_text = [key for key in keys if key in TEXT_MEASURES]
        if on_text:
            try:
                text = load_text(self.text)
            except DataError as error:
                keys = [key for key in keys if key not in TEXT_MEASURES]
                if not keys:
                    raise
                notes.say(f"without {', '.join(on_text)}: {error}")
        found: list[Measurement] = []
        machine = environment()
        screen.say(
            f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, commit {machine['commit']}\n"
        )
        screen.say("| what | threads | baseline | wavemore | ratio |\n|---|---|---|---|---|")
        for measurement in bench(corpus, keys, self.threads, self.repeats, text):
            found.append(measurement)
            screen.say(_row(measurement))
            notes.say(f"  ({measurement.detail})", style="dim")
        if self.json != "none":
            write_atomic(Path(self.json), json.dumps(_record(found, machine), indent=1).encode() + b"\n")
        return 0


def _row(m: "Measurement") -> str:
    if m.key == "gemm_peak_share":
        ratio = f"{m.ratio:.0%}"
    elif m.ratio is None:
        ratio = "" if m.key == "cold_start_seconds" else "condition not met"
    else:
        ratio = f"{m.ratio:.1f}x"
    return f"| {m.what} | {m.threads} | {m.baseline:,.4g} {m.unit} | {m.measured:,.4g} {m.unit} | {ratio} |"


def _record(found: list["Measurement"], machine: dict[str, str | int]) -> dict[str, Any]:
    """The ratios by key, those of the first number of threads on top; then everything."""
    record: dict[str, Any] = {}
    for m in found:
        value = m.measured if m.key == "cold_start_seconds" else m.ratio
        record.setdefault(m.key, value)
        record.setdefault(f"threads_{m.threads}", {})[m.key] = value
    return {
        **record,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "environment": machine,
        "measurements": [asdict(m) for m in found],
    }
