"""How much faster does a GPU train? `python -m benchmarks.devices --names FILE --text FILE --molecules FILE` measures.

Models of several kinds train with the settings that the rules choose for the data: on the processor, on the GPU with
each operation started by Python (within `wavemore.plain`), and on the GPU as `wavemore train` does, by CUDA graphs.
They take turns; the medians of their speeds are written to records/devices.json.
"""

import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import tyro
from tyro.conf import arg

import wavemore as wm
from wavemore.runs.environment import environment, use_threads

RECORD = Path(__file__).resolve().parents[1] / "records" / "devices.json"
MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tree", {}),
    ("wavenet", {}),
    ("lstm", {}),
    ("lstm", {"hidden": 1024}),
    ("transformer", {}),
)
LINES = 150_000
"""Molecules that are read."""
WARM_UP = 30
"""Steps before the first measurement: most shapes of batches are recorded in them."""
SECONDS_TO_CHOOSE_THREADS = 1.0
"""Time before the first measurement on the processor, if its steps are slow."""


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Measure characters per second of training."""

    names: Annotated[Path, arg(metavar="FILE")]
    """makemore's names"""
    text: Annotated[Path, arg(metavar="FILE")]
    """tinyshakespeare"""
    molecules: Annotated[Path, arg(metavar="FILE")]
    """MOSES, the train part, compressed by gzip"""
    device: str = "cuda"
    """the device to compare with the processor"""
    seconds: float = 0.5
    """the time of a turn"""
    repeats: int = 3
    """turns of each"""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Devices, description=__doc__)
    use_threads("auto")
    with gzip.open(arguments.molecules, "rt") as file:
        molecules = [line.strip() for line in islice(file, 1, LINES)]
    data: dict[str, wm.Corpus] = {
        "names": wm.load_corpus(arguments.names),
        "tinyshakespeare": wm.load_corpus(arguments.text, format="text"),
        "molecules": wm.LineCorpus.from_lines(molecules),
    }
    rows = []
    for name, corpus in data.items():
        for model, settings in MODELS:
            rows.append({"data": name, **race(corpus, model, settings, arguments)})
            print(rows[-1], flush=True)
    record = {
        "command": "python -m benchmarks.devices --names FILE --text FILE --molecules FILE",
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def race(corpus: wm.Corpus, model: str, settings: dict[str, Any], arguments: Devices) -> dict[str, Any]:
    """Train a model in three ways by turns: characters per second."""
    plan = wm.plan(corpus, model=model, steps=1_000_000, num_evals=1, **settings)
    trainings = {}
    for way, device in (("cpu", "cpu"), ("started by Python", arguments.device), ("graphs", arguments.device)):
        network = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed=0).to(device)
        if way == "graphs":
            trainings[way] = wm.fit(network, corpus, plan.recipe)
        else:
            with wm.plain():  # at the beginning, `fit` decides whether it records graphs
                trainings[way] = wm.fit(network, corpus, plan.recipe)
        start = perf_counter()
        for step in count():
            next(trainings[way])
            if step >= WARM_UP or (device == "cpu" and perf_counter() - start > SECONDS_TO_CHOOSE_THREADS):
                break
    speeds: dict[str, list[float]] = {way: [] for way in trainings}
    for _ in range(arguments.repeats):
        for way, training in trainings.items():
            steps, start = 0, perf_counter()
            while (seconds := perf_counter() - start) < arguments.seconds or steps == 0:
                next(training)
                steps += 1
            speeds[way].append(steps * plan.recipe.batch_size / seconds)
    return {
        "model": plan.model,
        "settings": plan.model_config.label,
        "parameters": network.parameter_count(),
        "batch_size": plan.recipe.batch_size,
        "chars_per_second": {way: median(values) for way, values in speeds.items()},
    }


if __name__ == "__main__":
    main()
