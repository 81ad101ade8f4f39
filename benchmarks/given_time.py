"""Are the choices of `--minutes` the best ones? `python -m benchmarks.given_time --data FOLDER` tries others.

For data of several kinds and sizes and for several times, it trains what `wavemore.plan(corpus, minutes=...)` chooses,
and then the same with one thing changed: a narrower or a wider model, half or twice a rate, another weight decay,
batch or dropout, another kind of model, no teachers. All take about the same time: a model of twice the parameters gets
half of the steps. The losses are on items, or on a piece of the text, that nothing else has seen; they are no part of
published test sets. One thread. A cell of the record is not repeated, so it can be made in several sittings.
"""

import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from tyro.conf import arg

import wavemore as wm
from wavemore.engine.distillation import soft_targets
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.nn.models import parameter_count
from wavemore.runs.environment import environment
from wavemore.text.parts import Format

RECORD = Path(__file__).resolve().parents[1] / "records/given-time.json"
NAMES = "names"
"""The bundled list."""
HELD_OUT: dict[Format, int] = {"lines": 2_000, "text": 100_000}
"""Lines of a list, characters of a text."""


class Data(NamedTuple):
    """A list or a text, drawn from a file."""

    file: str
    format: Format
    size: int
    """Lines of a list, characters of a text; fewer if the file has not so many."""
    fraction: float = 1.0
    """The beginning of a text that is used; its end is the test set of a published figure."""
    subsets: int = 1
    """How many lists are drawn, with one seed each."""


DATA = {
    "100 names": Data(NAMES, "lines", 100, subsets=3),
    "1,000 names": Data(NAMES, "lines", 1_000, subsets=3),
    "20,000 names": Data(NAMES, "lines", 20_000),
    "200,000 molecules": Data("moses.txt", "lines", 200_000),
    "text of 20 KB": Data("tinyshakespeare.txt", "text", 20_000, 0.9),
    "text of 200 KB": Data("tinyshakespeare.txt", "text", 200_000, 0.9),
    "text of 2.5 MB": Data("war-and-peace.txt", "text", 2_500_000, 0.8),
}
MINUTES = (0.2, 1.0)
OTHERS: dict[Format, tuple[str, ...]] = {
    "lines": ("tree", "lstm", "transformer", "ngram"),
    "text": ("lstm", "wavenet", "transformer", "ngram"),
}


@dataclass(frozen=True, kw_only=True)
class GivenTime:
    """Train what `--minutes` chooses, and other things in the same time."""

    data: Annotated[Path, arg(metavar="FOLDER")]
    """A folder with moses.txt, tinyshakespeare.txt and war-and-peace.txt."""
    only: tuple[str, ...] = tuple(DATA)
    """Kinds of data."""
    minutes: tuple[float, ...] = MINUTES
    """Times."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Fill the cells that are not in the record yet, and write the record after each."""
    arguments = tyro.cli(GivenTime, description=__doc__)
    set_threads(1)
    for minutes in arguments.minutes:
        for name in arguments.only:
            cell = {"data": name, "minutes": minutes}
            if any(cell.items() <= old.items() for old in recorded(arguments.output)):
                continue
            with tempfile.TemporaryDirectory() as folder:
                tried = list(cell_trials(DATA[name], arguments.data, minutes, Path(folder)))
            note(arguments.output, cell | {"trials": tried})


def recorded(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a record; none if there is no record yet."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    return cells


def note(path: Path, cell: dict[str, Any]) -> None:
    """Print a cell, and add it to the record."""
    print(json.dumps(cell), flush=True)
    names = list(DATA)
    cells = sorted([*recorded(path), cell], key=lambda each: (names.index(each["data"]), each["minutes"]))
    record = {
        "question": "Are the choices of `--minutes` the best ones?",
        "command": "python -m benchmarks.given_time --data FOLDER",
        "cells": cells,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def cell_trials(data: Data, source: Path, minutes: float, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the losses, times and settings of each trial on each subset."""
    found: dict[str, list[dict[str, Any]]] = {}
    for subset in range(data.subsets):
        corpus = draw(data, source, folder, subset)
        chosen = wm.plan(corpus, minutes=minutes, seed=subset)
        start = perf_counter()
        soft = taught(corpus, chosen)
        teaching = perf_counter() - start
        for name, plan in arms(corpus, chosen, minutes):
            begin = perf_counter()
            own = plan.teachers and plan is not chosen
            model = train(corpus, plan, taught(corpus, plan) if own else soft)
            took = perf_counter() - begin + (teaching if plan.recipe.distill_weight and not own else 0.0)
            loss = wm.evaluate(model, corpus.test).nats
            trial = {"subset": subset, "nats": loss, "seconds": took, "settings": settings_of(plan, corpus)}
            found.setdefault(name, []).append(trial)
            print(data.file, minutes, subset, name, found[name][-1], flush=True)
    for name, trials in found.items():
        yield {
            "arm": name,
            "subsets": [trial["subset"] for trial in trials],
            "nats": [trial["nats"] for trial in trials],
            "seconds": statistics.mean(trial["seconds"] for trial in trials),
            "settings": [trial["settings"] for trial in trials],
        }


def draw(data: Data, source: Path, folder: Path, subset: int) -> wm.Corpus:
    """Draw a list, or take the beginning of a text; the test part is other lines, or a later piece of the text."""
    some = HELD_OUT[data.format]
    if data.format == "text":
        text = (source / data.file).read_text(encoding="utf-8")
        text = text[: int(data.fraction * len(text))]
        held_out, text = text[-some:], text[:-some][: data.size]
    else:
        if data.file == NAMES:
            lines = list(wm.load_corpus(NAMES).train.lines)
        else:
            lines = (source / data.file).read_text(encoding="utf-8").splitlines()
        random.Random(subset).shuffle(lines)
        held_out, text = ("\n".join(part) + "\n" for part in (lines[:some], lines[some:][: data.size]))
    files = folder / "data.txt", folder / "held-out.txt"
    for file, content in zip(files, (text, held_out), strict=True):
        file.write_text(content, encoding="utf-8")
    return wm.load_corpus(files[0], format=data.format, test=files[1])


def arms(corpus: wm.Corpus, chosen: wm.Plan, minutes: float) -> Iterator[tuple[str, wm.Plan]]:
    """Yield what was chosen, and the same with one thing changed."""
    assert chosen.budget is not None, "it was planned for a time"
    recipe, width = chosen.recipe, chosen.model_config.width
    settings: dict[str, Any] = {"model": chosen.model, "seed": recipe.seed, **chosen.budget.chosen}
    yield "chosen", chosen
    for name, factor in (("narrower", 1 / sqrt(2)), ("wider", sqrt(2))):
        other = int(8 * round(width * factor / 8))
        steps = recipe.steps * size_of(corpus, chosen, width) / size_of(corpus, chosen, other)
        yield name, wm.plan(corpus, **settings | {"hidden": other, "steps": round(steps)})
    for what in ("learning_rate", "adamw_learning_rate", "weight_decay"):
        for name, factor in (("half", 0.5), ("twice", 2.0)):
            yield f"{name} the {what}", wm.plan(corpus, **settings | {what: factor * getattr(recipe, what)})
    for name, factor in (("half", 0.5), ("twice", 2.0)):
        batch = {"batch_size": int(factor * recipe.batch_size), "steps": round(recipe.steps / factor)}
        if data_allows(corpus, batch["batch_size"]):
            yield f"{name} the batch_size", wm.plan(corpus, **settings | batch)
    dropout = settings.get("dropout", 0.0)
    yield f"dropout {0.1 if not dropout else 0}", wm.plan(corpus, **settings | {"dropout": 0.0 if dropout else 0.1})
    if chosen.teachers:
        alone = {name: value for name, value in settings.items() if name not in ("distill_weight", "steps")}
        yield "no teachers, 12 epochs", wm.plan(corpus, **alone | {"epochs": 12.0})
    for model in OTHERS[corpus.format]:
        time = None if model == "ngram" else minutes
        if model != chosen.model:
            with suppress(wm.UsageError):  # the time is too short for some
                yield model, wm.plan(corpus, model=model, minutes=time, seed=recipe.seed)


def data_allows(corpus: wm.Corpus, batch_size: int) -> bool:
    """Whether a batch is no larger than the train part."""
    return 8 <= batch_size <= corpus.train.num_targets // 2


def size_of(corpus: wm.Corpus, plan: wm.Plan, width: int) -> int:
    """Return the parameters of a planned model with another width."""
    return parameter_count(plan.model, len(corpus.vocabulary), plan.model_config.with_width(width))


def taught(corpus: wm.Corpus, plan: wm.Plan) -> torch.Tensor | None:
    """Train the teachers of a plan, and return their mean probabilities; none if there are no teachers."""
    teachers = [train(corpus, teacher) for teacher in plan.teachers]
    return soft_targets(teachers, corpus) if teachers else None


def train(corpus: wm.Corpus, plan: wm.Plan, soft: torch.Tensor | None = None) -> Model:
    """Train a model; returned with its best weights."""
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    for _ in wm.fit(model, corpus, plan.recipe, soft_targets=soft if plan.recipe.distill_weight else None):
        pass
    return model


def settings_of(plan: wm.Plan, corpus: wm.Corpus) -> dict[str, Any]:
    """Return what the arms differ in."""
    names = ("steps", "batch_size", "learning_rate", "adamw_learning_rate", "weight_decay")
    return {
        "model": plan.model,
        "width": plan.model_config.width,
        "dropout": getattr(plan.model_config, "dropout", 0.0),
        "teachers": len(plan.teachers),
        "epochs": plan.recipe.steps * plan.recipe.batch_size / corpus.train.num_targets,
        **{name: getattr(plan.recipe, name) for name in names},
    }


if __name__ == "__main__":
    main()
