"""Measures claims and writes records/: `python scripts/record.py NAME ...` (experiments, `bench`, `wavenet`, `rivals`).

An experiment is a TOML file of src/wavemore/experiments/: a question, the flags of `wavemore train`, and seeds. Each
seed is trained by the real command; then val and, once, test are evaluated. With `ensemble = true` the seeds' models
are evaluated together too. Where it has `[[teachers]]`, tables of flags with a `count`, each seed first trains teachers
of its own; teacher number n of seed s has the seed 100 (s + 1) + n. An experiment on continuous text says
`text = "stream"` instead of a split; it has no test. --data takes a path to the file where the data set cannot be
downloaded, --text the same for that of `rivals`.
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
from wavemore.engine.process import set_threads
from wavemore.runs.environment import environment
from wavemore.text.datasets import load

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "src" / "wavemore" / "experiments"
RECORDS = ROOT / "records"
RIVALS = ("wavenet_text_ratio", "transformer_ratio")
"""What `wavemore bench` measures only when it is named: a rival is trained whole."""
WAVENET = ("stream_ratio", "wavenet_receptive")
LOSSES = ("val_nats", "leak_free_val_nats", "test_nats", "leak_free_test_nats")


def main() -> None:
    """Measure each of the named claims."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="+", help="experiments by name; bench; wavenet; rivals; baseline, the lecture's own loop"
    )
    parser.add_argument("--data", default="", help="a path to the data, where it cannot be downloaded")
    parser.add_argument("--text", default="", help="a path to the text of rivals, where it cannot be downloaded")
    arguments = parser.parse_args()
    RECORDS.mkdir(exist_ok=True)
    for name in arguments.names:
        if name in ("bench", "baseline"):
            record = (bench if name == "bench" else baseline)(arguments.data)
        elif name == "wavenet":
            record = bench(arguments.data, ("--only", *WAVENET, "--threads", "1"))
        elif name == "rivals":
            record = bench(arguments.data, ("--only", *RIVALS, "--threads", "1", "--repeats", "3"), arguments.text)
        else:
            record = experiment(name, arguments.data)
        (RECORDS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def bench(data: str, flags: Sequence[str] = (), text: str = "") -> dict[str, Any]:
    """The figures of `wavemore bench`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.json"
        where = ["--text", text] if text else []
        subprocess.run([*_command("bench", data or "makemore-names", *flags), *where, "--json", str(file)], check=True)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {"command": " ".join(["wavemore bench", *flags, "--json bench.json"]), **found}


def baseline(data: str) -> dict[str, Any]:
    """The lecture's own loop (benchmarks/lecture.py) over all its 200,000 steps, at the lecture's seed."""
    set_threads(1)
    corpus = load(data or "makemore-names", split="lecture")
    loop = lecture.Lecture(corpus)
    began = perf_counter()
    for _ in loop.train():
        pass
    seconds = perf_counter() - began
    return {
        "command": "python scripts/record.py baseline",
        "train_nats": loop.loss(corpus.train),
        "val_nats": loop.loss(corpus.val),
        "published": {"train_nats": lecture.TRAIN_NATS, "val_nats": lecture.VAL_NATS},
        "train_seconds": seconds,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }


def experiment(name: str, data: str) -> dict[str, Any]:
    """Train all seeds of an experiment and evaluate each."""
    found = tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text(encoding="utf-8"))
    on_text = "text" in found
    kind = ["--text", found["text"]] if on_text else ["--split", found["split"]]
    flags = [*kind, *_flags(found["train"])]
    all_losses = LOSSES[:1] if on_text else LOSSES
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in found["seeds"]:
            run = str(Path(folder) / str(seed))
            teachers = []
            for number, teacher in enumerate(_teachers(found)):
                of_teacher = 100 * (seed + 1) + number
                where = ["--seed", str(of_teacher), "--run", str(Path(folder) / f"{seed}-taught-by" / str(number))]
                ended = _json("train", data or found["data"], *kind, *_flags(teacher), *where, "--json")
                teachers.append(
                    {"seed": of_teacher} | {k: ended[k] for k in ("parameters", "val_nats", "train_seconds")}
                )
            where = ["--seed", str(seed), "--run", run]
            if teachers:
                where += ["--teachers", str(Path(folder) / f"{seed}-taught-by")]
            summary = _json("train", data or found["data"], *flags, *where, "--json")
            losses = _json("evaluate", run, *([] if on_text else ["--test"]), "--json")
            kept = ("parameters", "train_nats", "steps", "best_step", "train_seconds")
            one = {"seed": seed, **{k: summary[k] for k in kept}, **{k: losses[k] for k in all_losses}}
            if teachers:
                one["total_seconds"] = summary["train_seconds"] + summary["teachers_train_seconds"]
                one["teachers"] = teachers
            runs.append(one)
            print(name, runs[-1], flush=True)
        together = {}
        if found.get("ensemble"):
            first, *others = [str(Path(folder) / str(seed)) for seed in found["seeds"]]
            together = {
                k: v for k, v in _json("evaluate", first, "--with", *others, "--test", "--json").items() if k in LOSSES
            }
            together["total_seconds"] = sum(run.get("total_seconds", run["train_seconds"]) for run in runs)
            print(name, "together", together, flush=True)
    keys = (*all_losses, "train_nats", "train_seconds", *(["total_seconds"] if "teachers" in found else []))
    return {
        "question": found["question"],
        "command": _shown(found, kind),
        "seeds": found["seeds"],
        "mean": {key: statistics.mean(run[key] for run in runs) for key in keys},
        "std": {key: statistics.stdev(run[key] for run in runs) if len(runs) > 1 else None for key in keys},
        **({"ensemble": together} if together else {}),
        "runs": runs,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": summary["environment"],  # of the run, with the threads that it used
    }


def _teachers(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The flags of each teacher."""
    groups = found.get("teachers", [])
    return [{k: v for k, v in group.items() if k != "count"} for group in groups for _ in range(group["count"])]


def _shown(found: dict[str, Any], kind: list[str]) -> str:
    """The commands of one seed as a reader may give them, a line each."""
    lines, first = [], 0
    for group in found.get("teachers", []):
        numbers = " ".join(map(str, range(first, first := first + group["count"])))
        flags = _flags({k: v for k, v in group.items() if k != "count"})
        train = " ".join(["wavemore train", found["data"], *kind, *flags])
        seed = '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"'
        lines.append(f"for N in {numbers}; do {train} {seed}; done")
    student = " ".join(["wavemore train", found["data"], *kind, *_flags(found["train"])])
    taught = ' --teachers "teachers-$SEED"' if lines else ""
    return "\n".join([*lines, f"{student} --seed {'$SEED' if lines else 'SEED'}{taught}"])


def _flags(train: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in train.items():
        words += [f"--{name.replace('_', '-')}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return words


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "wavemore", *words]


def _json(*words: str) -> dict[str, Any]:
    done = subprocess.run(_command(*words), stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
