"""Train for a given time on data with published figures: `python -m benchmarks.published TASK --data FILE --minutes M`.

Each seed is the real command in a process of its own, `wavemore train FILE --minutes M`, timed from its start to its
end, with its peak memory as the system counts it. MOSES needs RDKit (the extra `chemistry`).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import torch
import tyro
from tyro.conf import Positional, arg

from wavemore.errors import UsageError
from wavemore.runs.environment import environment

RECORDS = Path(__file__).resolve().parents[1] / "records"
SAMPLES = 30_000
"""As in MOSES; uniqueness is that of the first 10,000 valid ones."""


@dataclass(frozen=True)
class Task:
    """A file with published figures."""

    about: str
    sha256: str
    flags: tuple[str, ...]
    loss: str
    """The key of `wavemore evaluate --json` that the published figure is compared with."""
    published: dict[str, float]
    source: str


TASKS = {
    "moses": Task(
        "MOSES, 1,584,663 molecules as SMILES",
        "4301e7f6118839465012eb93510328681ef4b7b24642e8748c4ad40971f4a304",
        ("--format", "lines"),
        "val_nats",
        {"valid": 0.975, "unique": 0.999, "novel": 0.842},
        "CharRNN, three layers of 768, 80 epochs on a GPU: Polykovskiy et al., https://arxiv.org/abs/1811.12823",
    ),
    "war-and-peace": Task(
        "War and Peace, 80/10/10 by position",
        "b0fc81c399971eaf738c8be89809e6a0d95c151749112b04f06b6af648d8a39f",
        ("--format", "text"),
        "test_nats",
        {"nats": 1.098},
        "the best of many LSTMs and GRUs of up to three layers of 512: 1.077 on the file with CRLF line ends, where "
        "one of the two is certain, so 1.098 on the file with LF: Karpathy, Johnson and Li, https://arxiv.org/abs/1506.02078",
    ),
    "tinyshakespeare": Task(
        "tinyshakespeare, the first 90 % train",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ("--format", "text", "--train-fraction", "0.9"),
        "val_nats",
        {"nats": 1.4697},
        "nanoGPT, 10.6 million parameters, 3 minutes of an A100: https://github.com/karpathy/nanoGPT",
    ),
    "names": Task(
        "makemore's names, the lecture's split",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        ("--split-method", "lecture"),
        "val_nats",
        {"nats": 1.9937},
        'Karpathy, "Building makemore Part 5: Building a WaveNet"',
    ),
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """Train for some minutes, and compare the result with a published one."""

    task: Positional[Literal["moses", "war-and-peace", "tinyshakespeare", "names"]]
    data: Annotated[Path, arg(metavar="FILE")]
    """The file, not compressed; its checksum is that of the task."""
    minutes: float
    """The time of each command."""
    seeds: tuple[int, ...] = (0,)
    """One training each."""
    device: str = "cpu"
    """cpu or cuda."""
    flags: Annotated[tuple[str, ...], arg(metavar="FLAG")] = field(default_factory=tuple)
    """More flags for `train`, in one word each: --flags=--threads=1"""
    record: bool = True
    """Write the record to records/."""


def main() -> None:
    """Measure, print and write a record."""
    arguments = tyro.cli(Published, description=__doc__)
    task = TASKS[arguments.task]
    with arguments.data.open("rb") as file:
        if file_digest(file, "sha256").hexdigest() != task.sha256:
            raise SystemExit(f"{arguments.data} is not the file of {arguments.task}: its SHA-256 must be {task.sha256}")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            runs.append(measure(arguments, task, seed, Path(folder) / str(seed)))
            print(arguments.task, runs[-1], flush=True)
    if arguments.device.startswith("cuda"):
        torch.zeros(1, device=arguments.device)  # `environment` names a GPU that is used
    gpu = "" if arguments.device == "cpu" else f" --device {arguments.device}"
    keys = [key for key, value in runs[0].items() if isinstance(value, float)]
    record = {
        "task": arguments.task,
        "about": task.about,
        "command": f"python -m benchmarks.published {arguments.task} --data FILE --minutes {arguments.minutes:g}" + gpu,
        "minutes": arguments.minutes,
        "loss": task.loss,
        "published": task.published,
        "source": task.source,
        "mean": {key: statistics.mean(run[key] for run in runs) for key in keys},
        "std": {key: statistics.stdev(run[key] for run in runs) if len(runs) > 1 else None for key in keys},
        "runs": runs,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    if arguments.record:
        suffix = "" if arguments.device == "cpu" else f"-{arguments.device}"
        path = RECORDS / f"published-{arguments.task}-{arguments.minutes:g}{suffix}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(arguments: Published, task: Task, seed: int, folder: Path) -> dict[str, Any]:
    """Train with one seed; return its losses, its time and its memory."""
    time = ["--minutes", f"{arguments.minutes:g}", "--seed", str(seed), "--device", arguments.device]
    words = ["train", str(arguments.data), *task.flags, *time, "--run", str(folder), *arguments.flags, "--json"]
    start = perf_counter()
    summary, peak = run(*words)
    seconds = perf_counter() - start
    losses, _ = run("evaluate", str(folder), *(["--test"] if task.loss == "test_nats" else []), "--json")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    budget = config["budget"]
    result = {
        "seed": seed,
        "nats": losses[task.loss],
        "seconds": seconds,
        "not_training": 1 - (summary["train_seconds"] + (summary["teachers_train_seconds"] or 0)) / seconds,
        "peak_mb": peak / 1e6,
        "parameters": summary["parameters"],
        "chosen": budget["chosen"],
        "teachers": len(config.get("teachers", ())),
        "chars_per_second": budget["chars_per_second"],
    }
    return result | (molecules(arguments.data, folder) if arguments.task == "moses" else {})


def run(*words: str) -> tuple[dict[str, Any], int]:
    """Run a command; return the JSON that it prints and its peak memory in bytes."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, "-m", "wavemore", *words], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"wavemore {' '.join(words)} failed with exit code {process.returncode}")
        output.seek(0)
        result: dict[str, Any] = json.loads(output.read())
    return result, usage.ru_maxrss * 1024


def molecules(data: Path, folder: Path) -> dict[str, float]:
    """Draw molecules with the real command, unselected, and return the metrics of MOSES as fractions.

    valid: RDKit reads them; unique: of the first 10,000 valid ones, by canonical SMILES; novel: of the distinct valid
    ones, neither as drawn nor in canonical form in the training file.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError:
        raise UsageError("MOSES needs RDKit: pip install 'wavemore[chemistry]'") from None
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined,unused-ignore]
    command = ["sample", str(folder), "--raw", "-n", str(SAMPLES), "--seed", "0"]
    drawn = subprocess.check_output([sys.executable, "-m", "wavemore", *command], text=True).splitlines()
    canonical: dict[str, set[str]] = {}
    valid: list[str] = []
    for smiles in drawn:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is not None:
            valid.append(Chem.MolToSmiles(molecule))
            canonical.setdefault(valid[-1], {valid[-1]}).add(smiles)
    known = set(data.read_text(encoding="utf-8").split())
    first = valid[:10_000]
    return {
        "valid": len(valid) / len(drawn),
        "unique": len(set(first)) / len(first),
        "novel": sum(not forms & known for forms in canonical.values()) / len(canonical),
    }


if __name__ == "__main__":
    main()
