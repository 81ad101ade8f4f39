"""Write the settings of models, training runs and sampling as flags, and as the types of keyword arguments.

They are src/wavemore/cli/model_flags.py and src/wavemore/engine/typed_settings.py: static code that type checkers and
editors read, and `--help` needs no torch, which the models import. Run this after a change of a model's settings,
`Recipe` or `Sampling`; a test fails until then.
"""

from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.nn.models import MODELS

SOURCE = Path(__file__).resolve().parents[1] / "src/wavemore"
PATH = SOURCE / "cli/model_flags.py"
TYPES_PATH = SOURCE / "engine/typed_settings.py"

HEAD = '''"""Flags for models, training and sampling. Written by scripts/make_flags.py; do not edit."""

from dataclasses import dataclass
from typing import Annotated, Literal

from wavemore.cli.options import (
    NO_HINT,
    Flag,
    FloatOrAuto,
    IntOrAll,
    IntOrAuto,
    IntsOrAuto,
    Number,
    Real,
    Texts,
    Words,
)
'''

TYPES_HEAD = '''"""The types of keyword arguments that are settings. Written by scripts/make_flags.py; do not edit."""

from typing import Literal, TypedDict
'''

AUTO_TYPES = {int: "IntOrAuto", float: "FloatOrAuto", tuple[int, ...]: "IntsOrAuto"}
TYPES = {
    int: "Number",
    float: "Real",
    str: "Words",
    bool: "Flag",
    int | Literal["all"]: "IntOrAll",
    tuple[str, ...]: "Texts",
}
SAMPLING = """How characters are drawn.

    By default, --temperature is 0.8 for lines (with --rank, one that suits the list) and 1 for text or with --raw,
    and --max-length suits the data; --seed is random.
    """


def main() -> None:
    """Write the files."""
    PATH.write_text(content(), encoding="utf-8")
    TYPES_PATH.write_text(types(), encoding="utf-8")


def content() -> str:
    """Return the content of the file."""
    classes = [
        _class(
            "ModelFlags",
            "Settings of the model (in brackets: the models that have it). The default, `auto`, suits the data.",
            (_flag(*setting, "auto") for setting in _model_settings()),
        ),
        _class(
            "RecipeFlags",
            "Settings of the training. The default, `auto`, suits the data and the model.",
            (
                _flag(field.name, field.type, field.metadata["help"], "auto")
                for field in fields(Recipe)
                if field.metadata
            ),
        ),
        _class("SamplingFlags", SAMPLING, map(_sampling_flag, fields(Sampling))),
    ]
    return "\n\n".join([f"{HEAD}\nModelName = {_literal(tuple(MODELS))}\n", *classes])


def types() -> str:
    """Return the content of the file with the types of keyword arguments."""
    models = [_typed(name, kind) for name, kind, _ in _model_settings()]
    recipe = [_typed(field.name, field.type) for field in fields(Recipe) if field.metadata]
    classes = {
        "PlanSettings": ("Settings of a model, and of its training.", ["    epochs: float\n", *recipe, *models]),
        "SamplingSettings": (
            "Settings of `Sampling`.",
            [_typed(field.name, field.type) for field in fields(Sampling)],
        ),
    }
    blocks = [
        f'class {name}(TypedDict, total=False):\n    """{doc}"""\n\n{"".join(lines)}'
        for name, (doc, lines) in classes.items()
    ]
    return "\n\n".join([TYPES_HEAD, *blocks])


def _typed(name: str, kind: Any) -> str:
    """Return a key of a TypedDict."""
    kinds = get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)
    return f"    {name}: {' | '.join(map(_spelled, kinds))}\n"


def _spelled(kind: Any) -> str:
    """Spell a type as in source code, such as tuple[int, ...]."""
    if get_origin(kind) is Literal:
        return _literal(get_args(kind))
    return str(kind) if get_args(kind) else str(kind.__name__)


def _class(name: str, doc: str, flags: Iterator[str]) -> str:
    return f'@dataclass(frozen=True, kw_only=True)\nclass {name}:\n    """{doc}"""\n\n{"".join(flags)}'


def _model_settings() -> Iterator[tuple[str, Any, str]]:
    """Yield each setting once: its name, its type, and the help of the first model that has it."""
    owners: dict[str, dict[str, Field[Any]]] = {}
    for model, entry in MODELS.items():
        for field in fields(entry.config):
            owners.setdefault(field.name, {})[model] = field
    for name, by_model in owners.items():
        models = [*by_model]
        if name == "context":
            models.insert(0, "tree")  # `plan` turns it into fusions of pairs
        first = next(iter(by_model.values()))
        kind = _union([field.type for field in by_model.values()])
        yield name, kind, f"{first.metadata['help']} ({', '.join(models)})"


def _sampling_flag(field: Field[Any]) -> str:
    default = "auto" if field.name in ("temperature", "max_length", "seed") else field.default
    return _flag(field.name, field.type, field.metadata["help"], default)


def _union(kinds: list[Any]) -> Any:
    """Return the type of the models that share a setting; for choices, all of them."""
    if get_origin(kinds[0]) is not Literal:
        assert len(set(kinds)) == 1, f"models share a setting of different types: {kinds}"
        return kinds[0]
    return Literal[tuple(dict.fromkeys(choice for kind in kinds for choice in get_args(kind)))]


def _flag(name: str, kind: Any, text: str, default: Any) -> str:
    if get_origin(kind) is Literal:
        annotation = f"Annotated[{_literal(('auto', *get_args(kind)))}, NO_HINT]"
    else:
        annotation = (AUTO_TYPES if default == "auto" else TYPES)[kind]
    value = f'"{default}"' if isinstance(default, str) else repr(default)
    assert len(text) <= 110, f"the help of {name} is too long for one line: {text}"
    return f'    {name}: {annotation} = {value}\n    """{text}"""\n'


def _literal(choices: tuple[str, ...]) -> str:
    quoted = [f'"{choice}"' for choice in choices]
    return f"Literal[{', '.join(quoted)}]"


if __name__ == "__main__":
    main()
