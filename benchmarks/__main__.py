"""`python -m benchmarks`: speed, as ratios against named baselines in the same run."""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from tyro.conf import Positional, arg

from benchmarks.measurement import Measurement
from benchmarks.measures import DEFAULT, TEXT_MEASURES, measure
from wavemore.engine.process import keep_freed_memory
from wavemore.errors import DataError, UsageError, WavemoreError
from wavemore.files import write_atomic
from wavemore.runs.environment import environment
from wavemore.text.datasets import load_corpus
from wavemore.text.text_corpus import TextCorpus

Key = Literal[
    "time_to_lecture_val_ratio",
    "unique_step_ratio",
    "unique_step_lecture_ratio",
    "unique_evaluate_ratio",
    "sampling_ratio",
    "decoding_ratio",
    "lstm_training_ratio",
    "lstm_sharing_ratio",
    "lstm_sampling_ratio",
    "wavenet_receptive",
    "gemm_peak_share",
    "cold_start_seconds",
    "transformer_ratio",
    "wavenet_text_ratio",
]


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """Measure speed as ratios against the lecture's loops, each taken in one run.

    transformer_ratio (makemore's transformer) and wavenet_text_ratio (nanoGPT on a text) train a whole rival, which
    takes minutes: they are measured only if named.

    Example: python -m benchmarks --only unique_step_ratio sampling_ratio --output bench.json
    """

    data: Positional[str] = "makemore-names"
    """The lecture's names: downloaded once, or the path of the file."""
    text: Annotated[str, arg(metavar="FILE")] = "tinyshakespeare"
    """The text of wavenet_text_ratio: downloaded once, or the path of the file."""
    only: Annotated[tuple[Key, ...], arg(metavar="KEY [KEY ...]")] = ()
    """The figures to measure; default: all but transformer_ratio and wavenet_text_ratio."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads to measure with."""
    repeats: int = 5
    """Interleaved repetitions; their medians count."""
    output: Annotated[Path | None, arg(metavar="FILE")] = None
    """Also write the figures to this file, as JSON."""

    def run_command(self) -> None:
        """Print a Markdown table, each row as soon as it is measured."""
        if self.repeats < 1 or not self.threads or min(self.threads) < 1:
            raise UsageError("--repeats and --threads take numbers of at least 1")
        corpus = load_corpus(self.data, split_method="lecture")
        console, notes = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
        keys, text = self._keys_and_text(notes)
        machine = environment()
        console.print(
            f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, commit {machine['commit']}\n",
            markup=False,
        )
        console.print("| what | threads | baseline | wavemore | ratio |\n|---|---|---|---|---|", markup=False)
        measurements: list[Measurement] = []
        for measurement in measure(corpus, keys, self.threads, self.repeats, text):
            measurements.append(measurement)
            console.print(_row(measurement), markup=False)
            notes.print(f"  ({measurement.detail})", style="dim", markup=False)
        if self.output is not None:
            write_atomic(self.output, json.dumps(_record(measurements, machine), indent=1).encode() + b"\n")

    def _keys_and_text(self, notes: Console) -> tuple[list[str], TextCorpus | None]:
        """The figures that can be measured; those on a text are left out, with a note, if the text is not there."""
        keys: list[str] = list(self.only or DEFAULT)
        on_text = [key for key in keys if key in TEXT_MEASURES]
        if not on_text:
            return keys, None
        try:
            return keys, load_corpus(self.text, format="text")
        except DataError as error:
            others = [key for key in keys if key not in TEXT_MEASURES]
            if not others:
                raise
            notes.print(f"without {', '.join(on_text)}: {error}", markup=False)
            return others, None


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; return the exit code: 0, 1 (failed) or 2 (used wrongly)."""
    keep_freed_memory()  # as the command `wavemore` does
    try:
        tyro.cli(Benchmarks, prog="python -m benchmarks", args=arguments).run_command()
    except WavemoreError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _row(m: Measurement) -> str:
    if m.key == "gemm_peak_share":
        ratio = f"{m.ratio:.0%}"
    elif m.ratio is None:
        ratio = "" if m.key == "cold_start_seconds" else "condition not met"
    else:
        ratio = f"{m.ratio:.1f}x"
    return f"| {m.what} | {m.threads} | {m.baseline:,.4g} {m.unit} | {m.measured:,.4g} {m.unit} | {ratio} |"


def _record(measurements: list[Measurement], machine: dict[str, str | int]) -> dict[str, Any]:
    """The ratios by key (first those with the first number of threads), then everything."""
    record: dict[str, Any] = {}
    for m in measurements:
        value = m.measured if m.key == "cold_start_seconds" else m.ratio
        record.setdefault(m.key, value)
        record.setdefault(f"threads_{m.threads}", {})[m.key] = value
    return {
        **record,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "environment": machine,
        "measurements": [asdict(m) for m in measurements],
    }


if __name__ == "__main__":
    raise SystemExit(main())
