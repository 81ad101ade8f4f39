"""Short descriptions of a run for tables and messages: its model, its data, its teachers, how far it is."""

from collections import Counter
from pathlib import Path

from wavemore.runs.config import DataConfig, RunConfig
from wavemore.text.corpus import DataFile
from wavemore.text.reports import pluralize
from wavemore.text.text_corpus import TRAIN_FRACTION

PLAIN_MODELS = {
    "tree": "joins neighbouring characters step by step",
    "mlp": "looks at the last characters at once",
    "wavenet": "joins characters at growing distances",
    "rnn": "reads character by character, with a memory",
    "gru": "reads character by character, with a memory",
    "lstm": "reads character by character, with a memory",
    "transformer": "looks back at each of the last characters",
    "bow": "looks at the last characters in any order",
    "bigram": "looks at the last character alone",
    "ngram": "counts what follows the last characters",
}
"""What the models do, in words."""


def describe_model(config: RunConfig) -> str:
    """The model, its size, its optimizer and the run that it began with: "tree 2x2x2 24/128 muon from names-1"."""
    optimizer = "" if config.model == "ngram" else f" {config.recipe.optimizer}"
    source = f" from {source_name(config)}" if config.carried_from else ""
    return f"{config.model} {config.model_config.label}{optimizer}{source}"


def describe_plainly(model: str) -> str:
    """What a model does, for readers who know no models.

    >>> describe_plainly("lstm")
    'reads character by character, with a memory'
    """
    return PLAIN_MODELS.get(model, f"is of the kind {model}")


def source_name(config: RunConfig) -> str:
    """The name of the run whose weights the training began with; empty if there is none."""
    return "" if config.carried_from is None else Path(config.carried_from.run).name


def describe_teachers(config: RunConfig) -> str:
    """The number of teachers of each kind, such as "3 x tree 2x2x2 24/128 muon"; empty without teachers."""
    counts = Counter(teacher.model for teacher in config.teachers)
    return " and ".join(f"{count} x {model}" for model, count in sorted(counts.items()))


def describe_data(config: RunConfig) -> str:
    """The name of the data, and its split unless it is the default one."""
    data = config.data
    if data.train_fraction is not None:
        fraction = "" if data.train_fraction == TRAIN_FRACTION else f" {100 * data.train_fraction:g} %"
        return f"{data.name} text{fraction}"
    if data.split_method == "lecture":
        return f"{data.name} lecture split"
    return f"{data.name} split {data.split_seed}" if data.split_seed else data.name


def describe_split(data: DataConfig) -> str:
    """The split, such as "distinct, seed 0" or "the first 90 % train"."""
    own = [f"{name} from {Path(file.source).name}" for name, file in own_parts(data).items()]
    if len(own) == 2:
        return ", ".join(own)
    if data.train_fraction is not None:
        split = f"the first {100 * data.train_fraction:g} % train"
    else:
        split = data.split_method if data.split_method == "lecture" else f"{data.split_method}, seed {data.split_seed}"
    return ", ".join([split, *own])


def own_parts(data: DataConfig) -> dict[str, DataFile]:
    """The parts that have a file of their own, by name."""
    files = {"val": data.val_file, "test": data.test_file}
    return {name: file for name, file in files.items() if file is not None}


def describe_training(config: RunConfig) -> str:
    """How the model is trained, such as "muon, 40 steps of 1,024"."""
    if config.model == "ngram":
        return "counted in one pass"
    recipe = config.recipe
    return f"{recipe.optimizer}, {pluralize(recipe.steps, 'step')} of {recipe.batch_size:,}"


def describe_progress(config: RunConfig, step: int, failure: str | None, *, is_training: bool) -> str:
    """How far an unfinished run is: "stopped at step 6 of 12", "training, step 6 of 12", or why it failed."""
    if failure is not None:
        return f"failed: {failure}"
    return f"{'training,' if is_training else 'stopped at'} step {step:,} of {config.recipe.steps:,}"


def why_without_model(failure: str | None, *, is_training: bool) -> str:
    """Why a run has no model, and what to do; the sentence goes on after the run's path."""
    if failure is not None:
        return f"has no model, as its training failed: {failure}; train again with other settings"
    if is_training:
        return "is still training and has no model yet: wait for its first evaluation"
    return "was stopped before its first evaluation, so it has no model yet: resume it"
