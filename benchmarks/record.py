"""Measure claims and write them to records/: `python -m benchmarks.record NAME ...`.

A name is an experiment of src/wavemore/experiments/, or `bench`, `wavenet`, `rivals` (figures of `python -m
benchmarks`) or `baseline` (the lecture's own loop).

An experiment is a TOML file: a question, the flags of `wavemore train`, and seeds. Each seed is trained by the real
command; then val and, once, test are evaluated. With `ensemble = true` the models of all seeds are also evaluated
together. With `[[teachers]]`, tables of flags with a `count`, each seed first trains its own teachers; teacher n of
seed s has the seed 100 (s + 1) + n. An experiment on a continuous text has `format = "text"` instead of a split.
--data is the path of the data, and --text that of the text for `rivals`, if they cannot be downloaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import lecture
from wavemore.engine.threads import set_threads
from wavemore.runs.environment import environment
from wavemore.text.datasets import load_corpus

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "src" / "wavemore" / "experiments"
RECORDS = ROOT / "records"
RIVALS = ("wavenet_text_ratio", "transformer_ratio")
"""The figures that `python -m benchmarks` measures only if named."""
WAVENET = ("decoding_ratio", "wavenet_receptive")
LOSSES = ("val_nats", "leak_free_val_nats", "test_nats", "leak_free_test_nats")
TEXT_LOSSES = ("val_nats", "test_nats")
RUN_KEYS = ("parameters", "train_nats", "steps", "best_step", "train_seconds")


def main() -> None:
    """Measure each of the named claims."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record", description="Measure claims, write records/.")
    parser.add_argument("names", nargs="+", help="experiments by name; bench; wavenet; rivals; baseline")
    parser.add_argument("--data", default="", help="path of the data, if it cannot be downloaded")
    parser.add_argument("--text", default="", help="path of the text for rivals, if it cannot be downloaded")
    arguments = parser.parse_args()
    RECORDS.mkdir(exist_ok=True)
    for name in arguments.names:
        record = measure(name, arguments.data, arguments.text)
        (RECORDS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(name: str, data: str, text: str) -> dict[str, Any]:
    """Measure one claim."""
    if name == "baseline":
        return baseline(data)
    if name == "bench":
        return bench(data)
    if name == "wavenet":
        return bench(data, ("--only", *WAVENET, "--threads", "1"))
    if name == "rivals":
        return bench(data, ("--only", *RIVALS, "--threads", "1", "--repeats", "3"), text)
    return experiment(name, data)


def bench(data: str, flags: Sequence[str] = (), text: str = "") -> dict[str, Any]:
    """Run `python -m benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.json"
        paths = [*(["--text", text] if text else []), "--output", str(file)]
        command = [sys.executable, "-m", "benchmarks", data or "makemore-names", *flags, *paths]
        subprocess.run(command, check=True, cwd=ROOT)
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {"command": " ".join(["python -m benchmarks", *flags, "--output bench.json"]), **figures}


def baseline(data: str) -> dict[str, Any]:
    """Run the lecture's own loop (benchmarks/lecture.py) for all its 200,000 steps, at the lecture's seed."""
    set_threads(1)
    corpus = load_corpus(data or "makemore-names", split_method="lecture")
    loop = lecture.Lecture(corpus)
    start = perf_counter()
    for _ in loop.train():
        pass
    seconds = perf_counter() - start
    return {
        "command": "python -m benchmarks.record baseline",
        "train_nats": loop.loss(corpus.train),
        "val_nats": loop.loss(corpus.val),
        "published": {"train_nats": lecture.TRAIN_NATS, "val_nats": lecture.VAL_NATS},
        "train_seconds": seconds,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }


def experiment(name: str, data: str) -> dict[str, Any]:
    """Train all seeds of an experiment and evaluate each."""
    toml = tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text(encoding="utf-8"))
    losses = TEXT_LOSSES if "format" in toml else LOSSES
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in toml["seeds"]:
            run = _run_of_seed(toml, seed, data or toml["data"], Path(folder))
            runs.append(run)
            print(name, {key: value for key, value in run.items() if key != "environment"}, flush=True)
        together = _evaluate_together(toml, runs, Path(folder)) if toml.get("ensemble") else {}
    environment_of_runs = [run.pop("environment") for run in runs][-1]
    keys = (*losses, "train_nats", "train_seconds", *(["total_seconds"] if "teachers" in toml else []))
    return {
        "question": toml["question"],
        "command": commands_of(toml),
        "seeds": toml["seeds"],
        "mean": {key: statistics.mean(run[key] for run in runs) for key in keys},
        "std": {key: statistics.stdev(run[key] for run in runs) if len(runs) > 1 else None for key in keys},
        **({"ensemble": together} if together else {}),
        "runs": runs,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment_of_runs,
    }


def _run_of_seed(toml: dict[str, Any], seed: int, data: str, folder: Path) -> dict[str, Any]:
    """Train the teachers and the model of one seed, and evaluate the model."""
    data_flags = data_flags_of(toml)
    teacher_folder = folder / f"{seed}-teachers"
    teachers = []
    for number, teacher in enumerate(teachers_of(toml)):
        teacher_seed = 100 * (seed + 1) + number
        place = ["--seed", str(teacher_seed), "--run", str(teacher_folder / str(number))]
        summary = _json("train", data, *data_flags, *flags_of(teacher), *place, "--json")
        teachers.append(
            {"seed": teacher_seed} | {key: summary[key] for key in ("parameters", "val_nats", "train_seconds")}
        )
    place = ["--seed", str(seed), "--run", str(folder / str(seed))]
    if teachers:
        place += ["--teachers", str(teacher_folder)]
    summary = _json("train", data, *data_flags, *flags_of(toml["train"]), *place, "--json")
    on_text = "format" in toml
    losses = _json("evaluate", str(folder / str(seed)), "--test", "--json")
    run = {"seed": seed} | {key: summary[key] for key in RUN_KEYS}
    run |= {key: losses[key] for key in (TEXT_LOSSES if on_text else LOSSES)}
    if teachers:
        run["total_seconds"] = summary["train_seconds"] + summary["teachers_train_seconds"]
        run["teachers"] = teachers
    return run | {"environment": summary["environment"]}  # with the threads that the run used


def _evaluate_together(toml: dict[str, Any], runs: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Evaluate the mean probability of the models of all seeds."""
    first, *others = [str(folder / str(seed)) for seed in toml["seeds"]]
    evaluation = _json("evaluate", first, "--ensemble", *others, "--test", "--json")
    together = {key: value for key, value in evaluation.items() if key in LOSSES}
    together["total_seconds"] = sum(run.get("total_seconds", run["train_seconds"]) for run in runs)
    print("together", together, flush=True)
    return together


def data_flags_of(toml: dict[str, Any]) -> list[str]:
    """The flags that say how the data is read."""
    return ["--format", toml["format"]] if "format" in toml else ["--split-method", toml["split_method"]]


def teachers_of(toml: dict[str, Any]) -> list[dict[str, Any]]:
    """The flags of each teacher."""
    groups = toml.get("teachers", [])
    return [_without_count(group) for group in groups for _ in range(group["count"])]


def flags_of(settings: dict[str, Any]) -> list[str]:
    """Settings as flags of the command line.

    >>> flags_of({"batch_size": 32, "fuse": [2, 2]})
    ['--batch-size', '32', '--fuse', '2', '2']
    """
    flags: list[str] = []
    for name, value in settings.items():
        flags += [f"--{name.replace('_', '-')}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return flags


def commands_of(toml: dict[str, Any]) -> str:
    """The commands of one seed as a reader can type them, one per line."""
    lines, first = [], 0
    for group in toml.get("teachers", []):
        numbers = " ".join(map(str, range(first, first := first + group["count"])))
        train = " ".join(["wavemore train", toml["data"], *data_flags_of(toml), *flags_of(_without_count(group))])
        seed = '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"'
        lines.append(f"for N in {numbers}; do {train} {seed}; done")
    train = " ".join(["wavemore train", toml["data"], *data_flags_of(toml), *flags_of(toml["train"])])
    return "\n".join([*lines, f'{train} --seed $SEED --teachers "teachers-$SEED"' if lines else f"{train} --seed SEED"])


def _without_count(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "count"}


def _json(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "wavemore", *arguments]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


if __name__ == "__main__":
    main()
