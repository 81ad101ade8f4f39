"""Forged runs: real tiny runs of several models with false content, most of them with valid checksums."""

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from benchmarks.fuzzing.case import FOLDER, SECRET, Case, Files, Special, run_case
from benchmarks.fuzzing.data import USES, changed_bytes, data_bytes, usage
from benchmarks.fuzzing.false_json import changed_json
from benchmarks.fuzzing.words import EVIL, WORDS
from wavemore.errors import WavemoreError
from wavemore.runs.identity import training_digest
from wavemore.runs.layout import FILES
from wavemore.runs.run import Run
from wavemore.runs.tensors import read_tensors, write_tensors

LIST = "".join(
    f"{first}{last}\n" for first in ("an", "bo", "el", "ju", "mi") for last in ("na", "b", "lia", "y", "ra", "x")
)
TEXT = "the cat sat on the mat, and the dog ran. a man had a hat; the hat was red.\n" * 40
STUDY = """\
question = "Is a tree better?"
data = "list.txt"
seeds = [0, 1]
fixed = { steps = 2, hidden = 4, num_evals = 1 }
arm = [{ name = "flat", fuse = [4] }, { name = "tree", fuse = [2, 2], group = "" }]
"""
TINY = ("--steps", "4", "--num-evals", "2")
TRAININGS: dict[str, tuple[str, ...]] = {
    "done-tree": (
        "list.txt",
        "--hidden",
        "8",
        "--fuse",
        "2",
        "2",
        "--embedding",
        "4",
        *TINY,
        "--note",
        "first",
        "--experiment",
        "e",
    ),
    "done-mlp": ("list.txt", "--model", "mlp", "--hidden", "8", "--context", "3", *TINY),
    "done-wavenet": ("list.txt", "--model", "wavenet", "--channels", "8", "--dilations", "1", "2", *TINY),
    "done-lstm": ("list.txt", "--model", "lstm", "--hidden", "8", *TINY),
    "done-transformer": (
        "list.txt",
        "--model",
        "transformer",
        "--channels",
        "8",
        "--heads",
        "2",
        "--layers",
        "1",
        *TINY,
    ),
    "done-ngram": ("list.txt", "--model", "ngram", "--order", "3"),
    "done-text": ("text.txt", "--format", "text", "--model", "lstm", "--hidden", "8", *TINY),
    "done-text-ngram": ("text.txt", "--format", "text", "--model", "ngram", "--order", "3"),
    "student": ("list.txt", "--model", "mlp", "--hidden", "8", "--context", "3", "--teachers", "runs/teacher", *TINY),
}
"""The flags that make the runs which are forged."""


def make_bases(folder: Path) -> dict[str, Files]:
    """Train the tiny runs; return for each the files of a working folder that has it as runs/run."""
    bases: dict[str, Files] = {}
    for name, words in TRAININGS.items():
        files: Files = {"list.txt": LIST.encode(), "text.txt": TEXT.encode()}
        commands: list[tuple[str, ...]] = []
        if name == "student":
            commands = [("train", *TRAININGS["done-tree"], "--run", "runs/teacher")]
        commands += [("train", *words, "--run", "runs/run")]
        bases[name] = _trained(Case(name, tuple(commands), files), folder / name)
    study: Files = {"list.txt": LIST.encode(), "study.toml": STUDY.encode()}
    bases["study"] = _trained(Case("study", (("study", "study.toml", "--jobs", "1"),), study), folder / "study")
    for name in ("tree", "lstm", "text"):  # stopped before the end
        unfinished = {
            path: content
            for path, content in bases[f"done-{name}"].items()
            if "summary" not in path and "samples" not in path
        }
        bases[f"stopped-{name}"] = unfinished
    return bases


def _trained(case: Case, folder: Path) -> Files:
    """Run the commands of a case, and return the files that are there afterwards."""
    kept: list[Files] = []

    def keep(work: Path) -> None:
        here = os.fsencode(work)
        files = {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}
        kept.append({name: content.replace(here, FOLDER.encode()) for name, content in files.items()})

    verdict = run_case(case, folder, 120, keep)
    if verdict is not None or not {"runs/run/summary.json", "studies/study/study.json"} & kept[0].keys():
        raise RuntimeError(f"the run {case.name} cannot be made: {verdict}")
    return kept[0]


def forged_case(random: Random, bases: dict[str, Files]) -> Case:
    """Use a run, or a finished study, in which one thing, or a few, are false."""
    base = random.choice(list(bases))
    other = bases["done-text-ngram" if "text" in base else "done-mlp"]
    files = {name.replace("runs/run/", "runs/other/"): content for name, content in other.items()} | bases[base]
    notes = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        forge = random.choice(FORGERIES)
        notes.append(forge(random, files, bases))
    if random.random() < 0.6:
        _valid_again(files)
    uses = STUDY_USES if base == "study" else [*USES, *MORE_USES]
    commands = tuple(usage(random, "runs/run", uses) for _ in range(random.choice([1, 2, 3])))
    stdin = "\n".join(random.sample([*LIST.split(), *WORDS], 2)).encode()
    return Case("runs", commands, files, stdin, note=f"{base}: {'; '.join(notes)}")


MORE_USES = [
    "train --resume RUN",
    "train --resume RUN --json",
    "train --resume RUN --tensorboard",
    "train list.txt --run RUN --overwrite --hidden 4 --steps 2",
    "train list.txt --model mlp --hidden 4 --context 2 --steps 2 --teachers RUN",
    "evaluate RUN --ensemble runs/other",
    "evaluate RUN --test",
    "compare runs/other RUN --json",
    "compare runs/other RUN --split test --plot c.png",
    "sample RUN -n 3 --new --distinct",
    "inspect RUN --plot figures",
    "log --runs --json",
    "log --plot a.png",
]

OUTSIDE = (f"{FOLDER}/outside/secret", f"{FOLDER}/outside/secret", f"{FOLDER}/outside")
STUDY_USES = ["report study", "log studies/study", "log studies/study --json", "study study.toml --jobs 1"]


def _contents(files: Files, ending: str) -> dict[str, bytes]:
    """Return the regular files whose names have an ending."""
    return {name: content for name, content in files.items() if name.endswith(ending) and isinstance(content, bytes)}


def _forge_json(random: Random, files: Files, bases: dict[str, Files]) -> str:
    """Change one value of config.json, summary.json or vocabulary.json."""
    contents = _contents(files, ".json")
    if not contents:
        return ""
    name = random.choice(list(contents))
    with suppress(ValueError):
        changed, note = changed_json(random, json.loads(contents[name]))
        files[name] = json.dumps(changed).encode("utf-8", "surrogatepass")
        return f"{name} {note}"
    return ""


def _forge_metrics(random: Random, files: Files, bases: dict[str, Files]) -> str:
    name = "runs/run/metrics.jsonl"
    content = files.get(name)
    if not isinstance(content, bytes) or not content.strip():
        return ""
    lines = content.splitlines()
    place = random.randrange(len(lines))
    with suppress(ValueError):
        changed, note = changed_json(random, json.loads(lines[place]))
        lines[place] = json.dumps(changed).encode("utf-8", "surrogatepass")
        lines *= random.choice([1, 1, 1, 2, 300])
        files[name] = b"\n".join(lines)
        return f"{name} {note}"
    return ""


def _forge_bytes(random: Random, files: Files, bases: dict[str, Files]) -> str:
    """Damage a file, empty it, or take that of another run."""
    name = random.choice([name for name in files if "runs/" in name or "studies/" in name] or ["list.txt"])
    content = files[name]
    if not isinstance(content, bytes):
        return ""
    act = random.choice(["change", "cut", "empty", "other", "remove", "data"])
    if act == "remove":
        del files[name]
    elif act == "other":
        other = random.choice([base for base in bases.values() if name in base] or [files])
        files[name] = other[name]
    else:
        cut = content[: random.randrange(len(content) + 1)]
        files[name] = {"change": changed_bytes(random, content), "cut": cut, "empty": b""}.get(
            act, data_bytes(random)[0]
        )
    return f"{name}: {act}"


def _forge_special(random: Random, files: Files, bases: dict[str, Files]) -> str:
    """Put a link, a fifo, a folder or a huge file in the place of a file."""
    name = random.choice([*FILES, "tensorboard", "report.html", "label.json", ".config.json.1.tmp", "lock"])
    name = random.choice([f"runs/run/{name}"] * 6 + ["list.txt", "text.txt", "runs/loop", "runs/run/runs"])
    targets = ["/dev/zero", "/dev/stdin", "/etc/passwd", *OUTSIDE, f"{FOLDER}/{name}", FOLDER, "nowhere"]
    link = Special("link", random.choice([*targets, f"{FOLDER}/fifo"]))
    special = random.choice([link, link, Special("fifo"), Special("folder"), Special("sparse", size=3 << 30)])
    files[name] = special
    files |= {"outside/secret": SECRET, "fifo": Special("fifo")}
    return f"{name}: {special}"


def _forge_header(random: Random, files: Files, bases: dict[str, Files]) -> str:
    """Change the header of a safetensors file: names, types, shapes, offsets, and the checksum."""
    contents = _contents(files, ".safetensors")
    if not contents:
        return ""
    name = random.choice(list(contents))
    content = contents[name]
    end = 8 + int.from_bytes(content[:8], "little")
    with suppress(ValueError):
        header, note = changed_json(random, json.loads(content[8:end]))
        changed = json.dumps(header).encode("utf-8", "surrogatepass")
        files[name] = len(changed).to_bytes(8, "little") + changed + content[end:]
        return f"{name} header {note}"
    return ""


def _forge_tensors(random: Random, files: Files, bases: dict[str, Files]) -> str:
    """Change the tensors or the facts of a safetensors file, and give it the right checksum."""
    contents = _contents(files, ".safetensors")
    if not contents:
        return ""
    name = random.choice(list(contents))
    with suppress(WavemoreError, ValueError, RuntimeError):
        tensors, facts = _read(contents[name])
        if random.random() < 0.3 and facts != "{}":
            changed, note = changed_json(random, json.loads(facts))
            facts = json.dumps(changed)
        else:
            note = _change_tensors(random, tensors)
        files[name] = _written(tensors, facts)
        return f"{name} {note}"
    return ""


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": lambda t: torch.full_like(t, float("nan")) if t.is_floating_point() else t * 0 - 1,
    "inf": lambda t: torch.full_like(t, float("inf")) if t.is_floating_point() else t * 0 + 10**9,
    "huge": lambda t: t * 1e30 if t.is_floating_point() else t + 2**40,
    "zero": torch.zeros_like,
    "half": lambda t: t.half(),
    "int": lambda t: t.long(),
    "bool": lambda t: t.bool(),
    "double": lambda t: t.double(),
    "flat": lambda t: t.flatten(),
    "larger": lambda t: torch.cat([t, t]) if t.ndim else t.expand(3).clone(),
    "empty": lambda t: t.flatten()[:0],
    "sorted": lambda t: t.flatten().flip(0).reshape(t.shape),
    "negative": lambda t: t if t.dtype == torch.bool else -t,
}


def _change_tensors(random: Random, tensors: dict[str, Tensor]) -> str:
    key = random.choice(sorted(tensors))
    value = tensors[key]
    act = random.choice([*CHANGES, "drop", "rename", "more"])
    if act == "drop":
        del tensors[key]
    elif act == "rename":
        tensors[random.choice(EVIL)] = tensors.pop(key)
    elif act == "more":
        tensors[f"{key}.more"] = value.clone()
    else:
        tensors[key] = CHANGES[act](value)
    return f"{key} {act}"


def _read(content: bytes) -> tuple[dict[str, Tensor], str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(content)
        tensors, facts = read_tensors(path)
        return {name: value.clone() for name, value in tensors.items()}, facts


def _written(tensors: dict[str, Tensor], facts: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write_tensors(path, {name: value.contiguous() for name, value in tensors.items()}, facts)
        return path.read_bytes()


def _valid_again(files: Files) -> None:
    """Give the state the digest of the changed config, so that it is not refused for that alone."""
    config, state = files.get("runs/run/config.json"), files.get("runs/run/state.safetensors")
    if not isinstance(config, bytes) or not isinstance(state, bytes):
        return
    with (
        suppress(WavemoreError, ValueError, TypeError, AttributeError, RuntimeError, RecursionError),
        tempfile.TemporaryDirectory() as folder,
    ):
        (Path(folder) / "config.json").write_bytes(config)
        digest = training_digest(Run(Path(folder)).config)
        tensors, facts = _read(state)
        files["runs/run/state.safetensors"] = _written(tensors, json.dumps(json.loads(facts) | {"training": digest}))


JSON, TENSORS = (_forge_json, _forge_json, _forge_json, _forge_metrics), (_forge_tensors, _forge_tensors)
FORGERIES = (*JSON, *TENSORS, _forge_header, _forge_bytes, _forge_special)
