"""The trials behind the rules for LSTMs in `docs/defaults.md`: `python -m benchmarks.rules --data FOLDER`.

Each trial trains with a fixed number of steps on one thread, so other work on the machine changes its time and not its
result. A trial that is in records/rules.json is not repeated, so the record can be made in several sittings, or by
several processes with different `--only`; trials whose data is not in the folder are left out. The val loss is the best
one, as in `wavemore train`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import tyro
from tyro.conf import arg

import wavemore as wm
from wavemore.engine.distillation import soft_targets
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records/rules.json"
EIGHTH = 8
"""Of MOSES, every eighth molecule is used: a trial takes minutes, not an hour."""


class Question(NamedTuple):
    """Trials that differ in what a rule chooses."""

    question: str
    data: str
    common: dict[str, Any]
    trials: tuple[dict[str, Any], ...]


QUESTIONS = {
    "size": Question(
        "How many characters per parameter, at equal arithmetic?",
        "moses",
        {"batch_size": 4_096, "learning_rate": 0.08, "adamw_learning_rate": 0.02, "weight_decay": 0.1},
        (
            {"hidden": 128, "steps": 2_430},
            {"hidden": 192, "steps": 1_270},
            {"hidden": 256, "steps": 750},
            {"hidden": 384, "steps": 366},
        ),
    ),
    "rates": Question(
        "Which learning rate and weight decay for 3,000 steps?",
        "moses",
        {"hidden": 256, "steps": 3_000, "batch_size": 4_096, "adamw_learning_rate": 0.02},
        (
            {"learning_rate": 0.08, "weight_decay": 0.1},
            {"learning_rate": 0.08, "weight_decay": 0.005},
            {"learning_rate": 0.046, "weight_decay": 0.058},
            {"learning_rate": 0.02, "weight_decay": 0.1},
        ),
    ),
    "text": Question(
        "Dropout, weight decay and AdamW's rate for twelve passes of a text?",
        "tinyshakespeare",
        {"hidden": 384, "epochs": 12, "learning_rate": 0.08},
        (
            {"adamw_learning_rate": 0.02, "weight_decay": 0.1},
            {"adamw_learning_rate": 0.02, "weight_decay": 0.1, "dropout": 0.3},
            {"adamw_learning_rate": 0.02, "weight_decay": 0.25},
            {"adamw_learning_rate": 0.01, "weight_decay": 0.1},
        ),
    ),
    "short": Question(
        "AdamW's rate for five passes of a list?",
        "names",
        {"steps": 470, "batch_size": 2_048, "learning_rate": 0.08, "weight_decay": 0.21},
        tuple({"hidden": hidden, "adamw_learning_rate": rate} for hidden in (128, 256) for rate in (0.01, 0.02)),
    ),
    "passes": Question(
        "AdamW's rate and weight decay for ten passes of a list?",
        "names",
        {"hidden": 384, "epochs": 10, "learning_rate": 0.08},
        (
            {"adamw_learning_rate": 0.02, "weight_decay": 0.15},
            {"adamw_learning_rate": 0.01, "weight_decay": 0.2},
        ),
    ),
    "width": Question(
        "How wide, at equal arithmetic? Three seeds.",
        "names",
        {"learning_rate": 0.08, "weight_decay": 0.2},
        tuple(
            {"hidden": hidden, "epochs": epochs, "seed": seed}
            for hidden, epochs in ((320, 17), (384, 12), (512, 7))
            for seed in range(3)
        ),
    ),
    "teachers": Question(
        "What do five teachers (hidden 384, ten passes) teach?",
        "names",
        {"learning_rate": 0.08, "adamw_learning_rate": 0.01, "teachers": 5},
        (
            {"hidden": 512, "epochs": 14, "weight_decay": 0.2, "distill_weight": 0.7},
            {"hidden": 512, "epochs": 24, "weight_decay": 0.15, "distill_weight": 0.85},
        ),
    ),
    "short teachers": Question(
        "What do teachers with seven passes teach?",
        "names",
        {"learning_rate": 0.08, "weight_decay": 0.2, "distill_weight": 0.85},
        (
            {"teachers": 2, "hidden": 384, "epochs": 9},
            {"teachers": 5, "hidden": 512, "epochs": 14},
        ),
    ),
}
TEACHERS = {
    "teachers": {"hidden": 384, "epochs": 10, "learning_rate": 0.08, "adamw_learning_rate": 0.01, "weight_decay": 0.2},
    "short teachers": {"hidden": 384, "epochs": 7, "learning_rate": 0.08, "weight_decay": 0.2},
}
"""The settings of the teachers of a question."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Run the trials that are not in the record yet."""

    data: Annotated[Path, arg(metavar="FOLDER")]
    """A folder with names.txt (makemore's), tinyshakespeare.txt and moses.txt."""
    only: tuple[str, ...] = tuple(QUESTIONS)
    """Questions."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Run the trials, and write the record after each."""
    arguments = tyro.cli(Rules, description=__doc__)
    set_threads(1)
    for name in arguments.only:
        question, corpus, teachers = QUESTIONS[name], None, list[Model]()
        for trial in question.trials:
            settings = {**question.common, **trial}
            if any(old["question"] == name and old["settings"] == settings for old in recorded(arguments.output)):
                continue
            path = arguments.data / f"{question.data}.txt"
            if not path.exists():
                print(f"{name}: {path} is missing, so these trials are left out")
                break
            corpus = corpus or read(question.data, path)
            for seed in range(len(teachers), settings.get("teachers", 0)):
                teachers.append(train(corpus, TEACHERS[name] | {"seed": seed + 1})[0])
            result = run(corpus, settings, teachers[: settings.get("teachers", 0)])
            note(arguments.output, {"question": name, "settings": settings, **result})


def recorded(path: Path) -> list[dict[str, Any]]:
    """Return the trials of a record; none if there is no record yet."""
    trials: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["trials"] if path.exists() else []
    return trials


def note(path: Path, trial: dict[str, Any]) -> None:
    """Print a trial, and add it to the record."""
    print(trial, flush=True)
    order = list(QUESTIONS)
    trials = sorted([*recorded(path), trial], key=lambda each: order.index(each["question"]))
    record = {
        "command": "python -m benchmarks.rules --data FOLDER",
        "questions": {key: value.question for key, value in QUESTIONS.items()},
        "data": {key: value.data for key, value in QUESTIONS.items()},
        "trials": trials,
        "date": trial["date"],
        "environment": trial["environment"],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(data: str, path: Path) -> wm.Corpus:
    """Read a file; of the molecules, an eighth."""
    if data == "names":
        return wm.load_corpus(path, split_method="lecture")
    if data == "tinyshakespeare":
        return wm.load_corpus(path, format="text")
    with path.open(encoding="utf-8") as file:
        return wm.LineCorpus.from_lines([line.rstrip("\n") for line in islice(file, 0, None, EIGHTH)])


def run(corpus: wm.Corpus, settings: dict[str, Any], teachers: list[Model]) -> dict[str, Any]:
    """Return the result of a trial."""
    start = perf_counter()
    model, plan, record = train(corpus, settings, teachers)
    taught: dict[str, Any] = {}
    if teachers:
        taught["teachers_val_nats"] = [wm.evaluate(teacher, corpus.val).nats for teacher in teachers]
        taught["mean_of_teachers_val_nats"] = wm.evaluate(teachers, corpus.val).nats
    return taught | {
        "val_nats": record.best_val_nats,
        "last_val_nats": record.val_nats,
        "train_nats": record.train_nats,
        "parameters": model.parameter_count(),
        "characters_per_parameter": plan.recipe.steps * plan.recipe.batch_size / model.parameter_count(),
        "seconds": perf_counter() - start,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }


def train(
    corpus: wm.Corpus, settings: dict[str, Any], teachers: list[Model] | None = None
) -> tuple[Model, wm.Plan, wm.StepRecord]:
    """Train an LSTM; returned with its best weights, its plan and the last record."""
    own = {name: value for name, value in settings.items() if name != "teachers"}
    plan = wm.plan(corpus, model="lstm", embedding=64, precision="bfloat16", num_evals=4, **own)
    model = wm.build("lstm", len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    soft = soft_targets(teachers, corpus) if teachers else None
    *_, record = wm.fit(model, corpus, plan.recipe, soft_targets=soft)
    return model, plan, record


if __name__ == "__main__":
    main()
