"""JSON with one false value."""

import json
from random import Random
from typing import Any

from benchmarks.fuzzing.case import FOLDER
from benchmarks.fuzzing.words import EVIL

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2, 0.5, -0.0, 1e308, float("inf"), float("nan"), 1e-320, "", "x", [], {}, [[]], [None]),
    *(2**31, 2**63 - 1, 2**63, -(2**63), 10**9, 10**30, 20_000, "cuda:9", "meta", "privateuseone", "mps", "tree"),
    *("lstm", "text", "/dev/zero", "/etc/passwd", f"{FOLDER}/fifo", FOLDER, [1] * 3, [1] * 100_000, "a" * 1_000_000),
    *("a" * 1_000, json.loads("[" * 400 + "]" * 400), {f"k{number}": number for number in range(20_000)}),
)


def changed_json(random: Random, value: Any) -> tuple[Any, str]:
    """Return a JSON value with one change somewhere inside, and a note."""
    if isinstance(value, dict | list) and value and random.random() < 0.93:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = random.choice(keys)
        changed = dict(value) if isinstance(value, dict) else list(value)
        act = random.random()
        if act < 0.1:
            del changed[key]
            return changed, f"without {key!r}"
        if act < 0.14 and isinstance(changed, dict):
            changed[random.choice(EVIL)] = value[key]
            return changed, "with another key"
        changed[key], note = changed_json(random, value[key])
        return changed, f"{key!r} {note}"
    new = _value(random, value)
    return new, f"= {str(new)[:80]!r}"


def _value(random: Random, old: Any) -> Any:
    """Return a value that is false, or made from the old one."""
    act = random.random()
    if act < 0.6:
        return random.choice(VALUES)
    if act < 0.8 or isinstance(old, dict) or old is None:
        return random.choice(EVIL)
    if isinstance(old, list | str):
        return random.choice([old * 2, old[::-1], str(old), [old]])
    return random.choice([old * 2, old + 1, -old, str(old), [old]])
