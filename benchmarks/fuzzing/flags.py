"""Flags of every command: valid, invalid, extreme, contradictory and misspelt."""

from dataclasses import fields, is_dataclass
from random import Random
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from benchmarks.fuzzing.case import FOLDER, Case, Files
from benchmarks.fuzzing.words import EVIL, MODELS, NUMBERS
from wavemore.cli.commands import COMMANDS

LONG_WORK = ("steps", "epochs", "num", "length", "trials", "minutes", "jobs", "repeats")
"""Flags whose huge values only ask for a long time."""
POSITIONALS: dict[str, tuple[tuple[str, ...], ...]] = {
    "train": (("list.txt",), ("list.txt",), ("text.txt",), ("--resume",), ("--resume", "runs/run"), ("nothing.txt",)),
    "sample": ((), ("runs/run",), ("run",), ("list.txt",), ("nothing",)),
    "score": (("runs/run", "anna"), ("anna", "bo"), (), ("runs/run",), ("--", "-x")),
    "next": (("runs/run", "an"), ("an",), (), ("run",), ("--", "-x")),
    "export": (
        ("runs/run", "-o", "out.html"),
        ("-o", "out.html"),
        ("runs/run", "-o", "out/"),
        ("list.txt", "-o", "out.html"),
    ),
    "evaluate": ((), ("runs/run",), ("list.txt",), (".",)),
    "inspect": ((), ("list.txt",), ("runs/run",), ("text.txt",)),
    "log": ((), ("runs/run",), ("runs",), ("list.txt",), ("run", "run")),
    "compare": (("runs/run", "runs/run"), ("run", "latest"), ("runs/run",), ("list.txt", "runs/run")),
    "study": ((), ("study.toml",), ("nothing",), ("list.txt",)),
    "tune": (("list.txt",), ("list.txt",), ("text.txt",), (), ("nothing.txt",)),
    "report": ((), ("runs/run",), (FOLDER,), ("list.txt",), ("studies/x",)),
    "app": ((), ("list.txt",)),
}


def flags_of(command: Any) -> dict[str, tuple[str, ...] | None]:
    """Return the flags of a command (None: without a value) and their valid words, if there is a choice."""
    found: dict[str, tuple[str, ...] | None] = {}
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        hint = hints[field.name]
        parts = _parts(hint)
        nested = [part for part in parts if isinstance(part, type) and is_dataclass(part)]
        if nested:
            found |= flags_of(nested[0])
        elif get_args(Positional[str])[1] not in parts:
            names = [part.name for part in parts if type(part).__name__ == "_ArgConfig" and part.name]
            name = (names or [field.name])[-1].replace("_", "-")
            choices = [str(value) for part in parts if get_origin(part) is Literal for value in get_args(part)]
            found[f"--{name}"] = None if bool in parts else tuple(choices)
    return found


def _parts(hint: Any) -> list[Any]:
    """Return a type, everything in it, and what annotates it."""
    inner = [] if get_origin(hint) is Literal else [*get_args(hint), *getattr(hint, "__metadata__", ())]
    return [hint, *(part for each in inner for part in _parts(each))]


def flags_case(random: Random, bases: dict[str, Files]) -> Case:
    """Run a command with flags that are valid, invalid, extreme, contradictory or misspelt."""
    base = random.choice(list(bases))
    name = random.choice(list(COMMANDS))
    known = flags_of(COMMANDS[name])
    words = [name, *random.choice(POSITIONALS[name])]
    if name in ("train", "inspect") and random.random() < 0.8:
        words += ["--model", random.choice(MODELS)]
    for flag in random.sample(sorted(known), min(len(known), random.choice([1, 1, 2, 3, 5]))):
        words += _flag_words(random, flag, known[flag])
    if name == "train":
        words += ["--steps", "3", "--num-evals", "1"] if random.random() < 0.97 else []
    if name == "study":
        words += ["--jobs", "1"]
    if name == "tune":
        words += ["--trials", "1", "--jobs", "1", "--max-seconds", "0.1", "--repeats", "1"]
    if name == "app":
        words += ["--port", "0"]  # is refused: the page would be there for ever
    if random.random() < 0.1:
        place = random.randrange(1, len(words) + 1)
        words.insert(place, random.choice([*EVIL, *NUMBERS, "--debug", "--help", "--", "-n", "--no-json", "--json=x"]))
    if random.random() < 0.04:
        words[0] = random.choice([*EVIL, "trian", "TRAIN", "--version", "-h"])
    words = [word.replace("\x00", "") for word in words]
    return Case("flags", (tuple(words),), dict(bases[base]), stdin=b"anna\n", costly=True)


def _flag_words(random: Random, flag: str, choices: tuple[str, ...] | None) -> list[str]:
    written = flag
    if random.random() < 0.06:
        place = random.randrange(2, len(flag))
        written = random.choice(
            [flag[:place] + flag[place + 1 :], flag.upper(), flag.replace("-", "_"), flag[:-2], f"{flag}s"]
        )
    if choices is None:
        return [written]
    values = [*choices] * 3 + ["2 2 2", "2 2", "8", "4", "1 2 4", "0.1", "3"] * 2
    values += [random.choice(NUMBERS), random.choice(EVIL)]
    if flag in ("--run", "--folder", "--plot", "--output"):
        values = ["new", "runs/run", "list.txt", "a.png", "a.svg", "a.xyz", "/dev/null", "/proc/x", random.choice(EVIL)]
    if flag in ("--teachers", "--ensemble", "--data"):
        values = ["runs/run", "run", "latest", "list.txt", "nothing", "", "runs/run runs/run"]
    value = random.choice(values)
    if flag.removeprefix("--") in LONG_WORK and ((value.isdecimal() and len(value) > 3) or value in ("1e308", "inf")):
        value = "2"
    if flag == "--threads" and value.isdecimal() and len(value) > 1:
        value = "2"
    if random.random() < 0.15:
        return [f"{written}={value}"]
    several = value[:1].isdecimal() or value.startswith("runs/")
    return [written, *(value.split(" ") if several else [value])]
