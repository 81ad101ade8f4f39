"""Study files in TOML with false or extreme values."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from benchmarks.fuzzing.case import Case, Files
from benchmarks.fuzzing.data import changed_bytes, data_bytes
from benchmarks.fuzzing.words import EVIL, MODELS
from wavemore.studies.file import SETTING_TYPES, StudyFile

KEYS = (*SETTING_TYPES, *StudyFile.__struct_fields__, "name", "group", "published", "seed", "x")
VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 0.5, 1e308, float("inf"), float("nan"), 2**63 - 1, 10**30, True, "", [], {}, [[]], [1, 2], [0, 0]),
    *(["a"], [[2], [2, 2]], {"val": 2.0}, {"val": "x"}, {"learning_rate": [0.1, 0.2]}, {"order": [2, 3]}, [3]),
    *("tree", "ngram", "lstm", "wavenet", "lines", "text", "text.txt", "first", "previous", "a", "lecture", "muon"),
    *(["mode_gap"], ["memorisation"], [0.01, 0.02], "none", *EVIL),
)
PLAUSIBLE: dict[str, Sequence[Any]] = {
    "model": MODELS,
    "norm": ["none", "layer", "rms", "batch"],
    "optimizer": ["sgd", "adamw"],
    "measure": [["mode_gap"], ["memorisation"], ["mode_gap", "memorisation"]],
    "baseline": ["first", "previous", "a", "b"],
    "published": [{"val": 2.0}, {"val": 2.0, "train": -1.0}],
    "tune": [{"batch_size": [4, 8]}, {"order": [2, 3]}, {"learning_rate": [1e30, 1e-30]}],
    "format": ["text"],
    "data": ["text.txt"],
    "split_method": ["lecture"],
    **{key: [2, 3, 500] for key in ("hidden", "embedding", "batch_size", "context", "order", "parameters")},
    **{key: [0.05, 0.5] for key in ("epochs", "seconds", "learning_rate", "dropout", "weight_decay", "ema_decay")},
    **dict.fromkeys(("expected", "source", "question", "name", "group"), EVIL),
}


def study_case(random: Random, bases: dict[str, Files]) -> Case:
    """Run a study whose file is changed at random."""
    files: Files = {"list.txt": bases["done-tree"]["list.txt"], "text.txt": bases["done-text"]["text.txt"]}
    table: dict[str, Any] = {
        "question": "Is it better?",
        "data": "list.txt",
        "seeds": random.choice([[0, 1], [0, 1], [3]]),
        "fixed": {"steps": 2, "hidden": 4, "num_evals": 1},
        "tune": random.choice([{}, {"learning_rate": [0.01, 0.02]}]),
        "arm": [{"name": "a", "fuse": [2]}, {"name": "b", "fuse": [2, 2]}],
    }
    if random.random() < 0.3:
        table |= {"vary": {"fuse": [[2], [2, 2]], "embedding": [2, 4]}, "arm": [], "group_by": "embedding"}
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        _change_table(random, table)
    content = _toml(table).encode("utf-8", "replace")
    if random.random() < 0.1:
        content = changed_bytes(random, content)
    files["study.toml"] = content if random.random() < 0.97 else data_bytes(random)[0]
    study = ("study", "study.toml", "--jobs", "1")
    more = random.choice([(), (), ("--json",), ("--seeds", "5"), ("--data", "text.txt")])
    later = random.choice([("report", "studies/study"), ("log", "studies/study"), study])
    commands = [(*study, *more), *([later] if random.random() < 0.3 else [])]
    return Case("study", tuple(commands), files, costly=True)


def _change_table(random: Random, table: dict[str, Any]) -> None:
    place: dict[str, Any] = random.choice([table, table["fixed"], table["tune"], *filter(_is_table, table["arm"])])
    key = random.choice([*place, *KEYS] if place else KEYS)
    if random.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = random.choice(PLAUSIBLE.get(key, VALUES) if random.random() < 0.6 else VALUES)
    for name, kind in (("fixed", dict), ("tune", dict), ("arm", list)):
        if not isinstance(table.get(name), kind):
            table[name] = kind()


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _toml(value: Any, nested: bool = False) -> str:
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)} = {_toml(item, True)}" for key, item in value.items()]
        return "{" + ", ".join(pairs) + "}" if nested else "\n".join(pairs) + "\n"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item, True) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")
