"""Plan a training: the settings that were requested, and defaults that suit the data for all others."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from math import ceil, inf, prod
from typing import Any, Literal, Unpack

from wavemore.engine.batch_samplers import BlockBatchSampler, StreamSampler
from wavemore.engine.carried import carried_settings
from wavemore.engine.defaults import RECURRENT, Defaults, default_model, default_settings, settings_of
from wavemore.engine.distillation import NO_NGRAM_STUDENT
from wavemore.engine.ranks import NO_NGRAM, require_one_process
from wavemore.engine.recipe import LECTURE, MAX_COUNT, NO_STREAMS, Recipe
from wavemore.engine.time_plan import plan_for_time
from wavemore.engine.training_plan import Plan
from wavemore.engine.typed_settings import PlanSettings
from wavemore.errors import A_CORPUS, UsageError, require, require_kind, typed
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import MODELS, model_entry, parameter_count, require_labels
from wavemore.text.corpus import Corpus
from wavemore.text.parts import Format

Preset = Literal["auto", "lecture"]
TRAINING_SETTINGS = {"epochs", *(field.name for field in fields(Recipe) if field.metadata)}

KINDS = PlanSettings.__annotations__
"""The type of each setting."""


def plan(
    corpus: Corpus,
    preset: Preset = "auto",
    model: str | None = None,
    minutes: float | None = None,
    elapsed: float = 0.0,
    device: str = "cpu",
    carried: ModelConfig | None = None,
    **given: Unpack[PlanSettings],
) -> Plan:
    """Choose a model and a recipe for `corpus`: the given settings and, for all others, those of the preset.

    The settings may be any field of the model's config and of `Recipe`, `context` (for a tree, instead of `fuse`) and
    `epochs` (instead of `steps`). The default model is a tree for 5,000 short train lines or more, else an lstm, which
    is also that of lines with labels.
    Raises `UsageError` for settings that contradict each other or the data, or that the model does not have.

    With `minutes`, the model and the recipe are the best for so much time on this machine, whose speed is measured with
    some training steps on `device`. The time begins now, or began `elapsed` seconds ago.

    With `carried`, the settings of a trained `model` whose weights the training begins with, the model is that one, and
    the recipe suits it.

    >>> from wavemore.text.line_corpus import LineCorpus
    >>> corpus = LineCorpus.from_lines(["anna", "bob", "carla", "dan", "emma", "frida", "gus", "hal", "ida", "jim"])
    >>> plan(corpus, context=4, hidden=32).model_config
    TreeConfig(fuse=(2, 2), embedding=24, hidden=32, norm='batch', activation='silu', dropout=0.0)
    >>> plan(corpus, model="wavenet", dilations=(1, 2)).model_config.receptive_field
    4
    """
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    settings = {name: typed(value, name, KINDS.get(name, object)) for name, value in given.items()}
    if carried is not None:
        _check_carried(preset, minutes, model, carried, settings)
    if minutes is not None:
        if preset == "lecture":
            raise UsageError("`preset` lecture has a length of its own: leave it or `minutes` out")
        return plan_for_time(corpus, minutes, elapsed, device, settings | {"model": model}, partial(plan, corpus))
    model = model or ("tree" if preset == "lecture" else default_model(corpus, settings))
    if corpus.vocabulary.labels:
        require_labels(model)
    _check_names(model, settings)
    _check_data(corpus, preset, model, settings)
    defaults = _defaults(corpus, preset, model, carried, settings)
    of_training = {name: value for name, value in settings.items() if name in TRAINING_SETTINGS}
    of_model = {name: value for name, value in settings.items() if name not in TRAINING_SETTINGS}
    if model == "tree" and "context" in of_model:
        of_model["fuse"] = _fuse(of_model.pop("context"), of_model.get("fuse"))
    config = replace(defaults.model_config, **of_model)
    epochs = of_training.pop("epochs", defaults.epochs)
    recipe = replace(defaults.recipe, **of_training)
    if epochs is not None and "steps" not in settings:
        targets = corpus.train.num_targets
        require(0 < epochs * targets < inf, "epochs", epochs, "above 0 and finite")
        most = MAX_COUNT * recipe.batch_size / targets
        require(epochs <= most, "epochs", epochs, f"at most {most:.3g}, which are {MAX_COUNT:,} steps")
        recipe = replace(recipe, steps=max(1, ceil(epochs * targets / recipe.batch_size)))
    if corpus.format == "text":
        _check_text(model, config, recipe, corpus.train.num_targets)
    return Plan(model, config, recipe)


def _defaults(
    corpus: Corpus, preset: Preset, model: str, carried: ModelConfig | None, settings: Mapping[str, Any]
) -> Defaults:
    """Return the settings for all that was not requested."""
    if preset == "lecture":
        return Defaults(model_entry(model).config(), LECTURE, None)
    defaults = default_settings(model, corpus, settings)
    return defaults if carried is None else carried_settings(carried, defaults, corpus, settings)


def _check_carried(
    preset: Preset, minutes: float | None, model: str | None, carried: ModelConfig, settings: Mapping[str, Any]
) -> None:
    """Raise `UsageError` for settings that contradict a model whose weights the training begins with."""
    if minutes is not None:
        raise UsageError("`minutes` chooses the size of the model, which the run to begin with has: leave it out")
    if preset == "lecture":
        raise UsageError("`preset` lecture begins with random weights: leave it out, or the run to begin with")
    assert model is not None, "`carried` needs the name of its model"
    own = {field.name: getattr(carried, field.name) for field in fields(carried)}
    if model == "tree":
        own["context"] = carried.receptive_field
    for name, value in own.items():
        if settings.get(name, value) != value:
            raise UsageError(
                f"`{name}` is {_text(settings[name])}, and {_text(value)} in the run to begin with, whose weights fit "
                "no other: leave it out"
            )


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def uses_threads(plan: Plan, format: Format) -> bool:  # noqa: A002 - the name of the flag and of the setting
    """Whether a training step is long enough to be shared by several threads."""
    if format == "text":
        return parameter_count(plan.model, 64, plan.model_config) >= 35_000  # with a typical vocabulary
    return plan.model_config.width >= 256


def _check_names(model: str, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a setting that does not exist, or that this model or its training does not have."""
    if "epochs" in settings and "steps" in settings:
        raise UsageError("`epochs` and `steps` both set the length of the training; give only one of them")
    model_entry(model)  # raises for an unknown one
    if model == "ngram":
        require_one_process(NO_NGRAM)
    own = settings_of(model)
    for name in sorted(set(settings) - own - TRAINING_SETTINGS):
        owners = [other for other in MODELS if name in settings_of(other)]
        if not owners:
            raise UsageError(f"there is no setting `{name}`; choose from {', '.join(sorted(own | TRAINING_SETTINGS))}")
        names = ", ".join(f"`{name}`" for name in sorted(own)) or "none"
        raise UsageError(f"`{name}` is a setting of {', '.join(owners)}; the settings of {model} are: {names}")
    if model == "ngram":
        for name in sorted(set(settings) & TRAINING_SETTINGS - {"seed"}):
            if name == "distill_weight":
                raise UsageError(NO_NGRAM_STUDENT)
            raise UsageError(f"`{name}` is for models that are trained; an ngram is counted in one pass")


def _check_data(corpus: Corpus, preset: Preset, model: str, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a preset or a setting that is not for this kind of data or this model."""
    if preset == "lecture" and model == "ngram":
        raise UsageError("`preset` lecture is for models that are trained, and an ngram is counted: leave it out")
    if settings.get("sampling") == "streams" and not (corpus.format == "text" and model in RECURRENT):
        raise UsageError(NO_STREAMS)
    if corpus.format == "text":
        if preset == "lecture":
            raise UsageError("`preset` lecture is for lists, and the data is continuous text: leave it out")
        if "execution" in settings:
            raise UsageError("`execution` is for lists, and the data is continuous text: leave it out")
    elif "block_size" in settings:
        raise UsageError("`block_size` is for continuous text, and the data is a list (see `format`)")
    elif "execution" in settings and model not in ("tree", "mlp"):
        raise UsageError("`execution` is for the models tree and mlp; all others run on whole lines: leave it out")


def _check_text(model: str, config: ModelConfig, recipe: Recipe, targets: int) -> None:
    """Raise `UsageError` for a text that is too short for the model or the recipe."""
    context = config.receptive_field
    if context is not None and context >= targets:
        raise UsageError(
            f"this model sees {context:,} characters, and the text has only {targets:,} to train on: choose a model "
            "that sees fewer, or use more text"
        )
    if model != "ngram":
        sampler = StreamSampler if recipe.sampling == "streams" else BlockBatchSampler
        sampler(targets, recipe.batch_size, recipe.sampling, recipe.seed, recipe.block_size)


def _fuse(context: int, fuse: tuple[int, ...] | None) -> tuple[int, ...]:
    """Fuse a context in pairs, unless the fusions are given."""
    if fuse is not None:
        if prod(fuse) != context:
            sizes = " x ".join(map(str, fuse))
            raise UsageError(f"`context` is {context}, but `fuse` covers {sizes} = {prod(fuse)} characters")
        return fuse
    if context < 1 or context & (context - 1):
        raise UsageError(f"`context` is {context}, not a power of 2: set `fuse` too, for example to {context}")
    return (2,) * (context.bit_length() - 1) or (1,)
