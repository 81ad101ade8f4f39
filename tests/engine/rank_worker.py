"""One process of a training by several, which `test_ranks.py` starts: `python rank_worker.py TASK FOLDER`.

The folder holds `list.txt` and `text.txt`; rank 0 writes the results there.
"""

import json
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model

Losses = list[list[float | None]]
TRAINED = ("tree", "wavenet", "mlp", "bigram", "rnn", "gru", "lstm", "bow", "transformer")
STEPS, STOP = 24, 9
TRAININGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{f"list {model}": ("list", model, {}) for model in TRAINED},
    **{f"text {model}": ("text", model, {}) for model in TRAINED},
    "windows": ("list", "tree", {"execution": "windows"}),
    "the lecture's bug": ("list", "tree", {"norm": "batch-per-position"}),
    "a dilated tree with LayerNorm": ("text", "tree", {"norm": "layer"}),
    "SGD": ("list", "tree", {"optimizer": "sgd", "learning_rate": 0.1, "sampling": "replacement"}),
    "one line per step": ("list", "lstm", {"batch_size": 4}),
    "blocks in any order": ("text", "lstm", {"sampling": "shuffle", "optimizer": "adamw"}),
    "distillation": ("list", "wavenet", {"distill_weight": 0.5}),
}
"""By name: the kind of data, the model, and settings."""
RESUMED = ("list tree", "list lstm", "text wavenet", "text lstm")
DROPOUT = ("list", "lstm", {"dropout": 0.3})


def training(folder: Path, kind: str, name: str, settings: dict[str, Any]) -> tuple[Model, wm.Corpus, wm.Recipe]:
    """A model in float64, its data and its recipe."""
    corpus = wm.load_corpus(folder / f"{kind}.txt", format="text" if kind == "text" else "lines")
    settings = {"batch_size": 192, "steps": STEPS, "num_evals": 4, "seed": 3} | settings
    if kind == "text":
        settings |= {"block_size": 16}
    plan = wm.plan(corpus, model=name, **settings)
    return wm.build(name, len(corpus.vocabulary), plan.model_config, seed=3).double(), corpus, plan.recipe


def losses(records: Iterable[wm.StepRecord]) -> Losses:
    """The losses of each step."""
    return [[record.train_nats, record.val_nats] for record in records]


def whole(folder: Path) -> dict[str, Any]:
    """Train without a break."""
    found = {}
    for title, given in TRAININGS.items():
        model, corpus, recipe = training(folder, *given)
        soft = torch.full((corpus.train.num_targets, len(corpus.vocabulary)), 1 / len(corpus.vocabulary))
        found[title] = losses(wm.fit(model, corpus, recipe, soft_targets=soft if recipe.distill_weight else None))
    return found


def first(folder: Path) -> dict[str, Any]:
    """Train until step `STOP`, and keep the state."""
    for title in RESUMED:
        model, corpus, recipe = training(folder, *TRAININGS[title])
        for record in (records := wm.fit(model, corpus, recipe)):
            if record.step == STOP:
                checkpoint = records.checkpoint()
                if rank() == 0:
                    save_file(checkpoint.tensors, folder / f"{title}.safetensors")
                    (folder / f"{title}.json").write_text(checkpoint.facts)
                break
    return {}


def rest(folder: Path) -> dict[str, Any]:
    """Resume from the state."""
    found = {}
    for title in RESUMED:
        tensors = load_file(folder / f"{title}.safetensors")
        resume = wm.Checkpoint(tensors, (folder / f"{title}.json").read_text())
        found[title] = losses(wm.fit(*training(folder, *TRAININGS[title]), resume=resume))
    return found


def dropout(folder: Path) -> dict[str, Any]:
    """Train twice with dropout, whose masks differ between the ranks and not between two trainings."""
    return {turn: losses(wm.fit(*training(folder, *DROPOUT))) for turn in ("once", "again")}


def run(folder: Path) -> dict[str, Any]:
    """Train into a run folder, and ask for it again."""
    corpus = wm.load_corpus(folder / "list.txt")
    kept, here = folder / f"run-{size()}", sorted(path.name for path in Path.cwd().iterdir())
    trained = wm.train(corpus, run=kept, hidden=8, steps=12, num_evals=2)
    again = wm.train(corpus, run=kept, resume=True)
    assert sorted(path.name for path in Path.cwd().iterdir()) == here
    assert trained.summary is not None
    assert again.summary is not None
    return {
        "val": trained.summary.val_nats,
        "again": again.summary.val_nats,
        "kept": wm.Run(kept).summary() is not None,
    }


def refused(folder: Path) -> dict[str, Any]:
    """What only one process can do, and a batch that is too small."""
    corpus, found = wm.load_corpus(folder / "list.txt"), {}
    for title, settings in {"ngram": {"model": "ngram"}, "minutes": {"minutes": 1.0}}.items():
        try:
            wm.train(corpus, **settings)  # type: ignore[arg-type]
        except wm.UsageError as error:
            found[title] = str(error)
    model, text, recipe = training(folder, "text", "wavenet", {"batch_size": 16})
    try:
        next(wm.fit(model, text, recipe))
    except wm.UsageError as error:
        found["batch"] = str(error)
    return found


def different(folder: Path) -> dict[str, Any]:
    """Ranks with other data, settings or weights."""
    found = {}
    lines = (folder / "list.txt").read_text().split()
    for title in ("data", "settings", "weights"):
        other = rank() > 0
        corpus = wm.LineCorpus.from_lines(lines[:-1] if other and title == "data" else lines[1:])
        plan = wm.plan(corpus, model="bigram", steps=10, seed=int(other and title == "settings"))
        model = wm.build("bigram", len(corpus.vocabulary), seed=int(other and title == "weights"))
        try:
            next(wm.fit(model, corpus, plan.recipe))
        except wm.RankError as error:
            found[title] = str(error)
    return found


def rank() -> int:
    """The number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def main() -> None:
    """Do a task with the other processes, if there are any."""
    task, folder = sys.argv[1], Path(sys.argv[2])
    set_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(seconds=240))
    tasks = {each.__name__: each for each in (whole, first, rest, dropout, run, refused, different)}
    found = tasks[task](folder)
    (folder / f"{task}-{size()}-{rank()}.json").write_text(json.dumps(found))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
