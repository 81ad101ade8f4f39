"""Write src/wavemore/cli/model_flags.py: the settings of models, training runs and sampling as flags.

The flags are static code: mypy checks them, and `--help` needs no torch, which the models import. Run this after a
change of a model's settings, `Recipe` or `Sampling`; a test fails until then.
"""

from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.nn.models import MODELS

PATH = Path(__file__).resolve().parents[1] / "src/wavemore/cli/model_flags.py"

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

AUTO_TYPES = {int: "IntOrAuto", float: "FloatOrAuto", tuple[int, ...]: "IntsOrAuto"}
TYPES = {
    int: "Number",
    float: "Real",
    str: "Words",
    bool: "Flag",
    int | Literal["all"]: "IntOrAll",
    tuple[str, ...]: "Texts",
}
SAMPLING = "How characters are drawn. By default, --temperature and --max-length suit the data, and --seed is random."


def main() -> None:
    """Write the file."""
    PATH.write_text(content(), encoding="utf-8")


def content() -> str:
    """Return the content of the file."""
    classes = [
        _class(
            "ModelFlags",
            "Settings of the model (in brackets: the models that have it). The default, `auto`, suits the data.",
            _model_flags(),
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


def _class(name: str, doc: str, flags: Iterator[str]) -> str:
    return f'@dataclass(frozen=True, kw_only=True)\nclass {name}:\n    """{doc}"""\n\n{"".join(flags)}'


def _model_flags() -> Iterator[str]:
    """Yield each setting once, with the help of the first model that has it."""
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
        yield _flag(name, kind, f"{first.metadata['help']} ({', '.join(models)})", "auto")


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
