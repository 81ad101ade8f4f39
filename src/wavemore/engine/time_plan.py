"""Plan a training that ends in time: a probe measures how fast this machine trains, and rules choose the rest.

The rules and their evidence are in `docs/defaults.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, log2, sqrt
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from wavemore.engine.defaults import RECURRENT, has_long_lines, settings_of
from wavemore.engine.labels import MAX_TARGETS
from wavemore.engine.loss_parts import train_loss_part, val_in_training
from wavemore.engine.memory import check_fits, soft_targets_fit
from wavemore.engine.process import return_freed_memory
from wavemore.engine.ranks import NO_MINUTES, require_one_process
from wavemore.engine.recipe import MAX_COUNT
from wavemore.engine.sampling import SAMPLE_CHARACTERS, SAMPLE_LINES
from wavemore.engine.speed import Speed, probe
from wavemore.engine.training_plan import Plan, TimeBudget
from wavemore.errors import UsageError
from wavemore.nn.models import parameter_count
from wavemore.text.corpus import Corpus
from wavemore.text.parts import Format

Settings = dict[str, Any]

MOST_PROBES = 3
"""Widths whose speed is measured, at most, for each of a model alone, teachers, and a student."""
FIRST_GUESS = 2e10
"""Parameters times characters per second of training that decide the first width whose speed is measured."""
PROBE_SHARE, SHORTEST_PROBE, LONGEST_PROBE = 0.03, 0.4, 5.0
"""Fraction of the time that a probe takes, and its limits in seconds."""
CHARS_PER_PARAMETER: dict[Format, float] = {"lines": 40.0, "text": 8.0}
CHARS_PER_TREE_PARAMETER = 3.0
"""Predicted characters per parameter of a training whose model has the best size for its time."""
ENOUGH = 0.9
"""Fraction of the time that a model must be able to use if a wider one could use it."""
WIDTHS = (32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048)
"""Channels of the state to choose from."""
SHORT_WORK, FEW_EPOCHS = 4e11, 12
"""Parameters times characters of an lstm, and its passes over the data, below which a tree of short lines is better."""
TEACHERS_SHARE, LEAST_TEACHERS, MOST_TEACHERS = 0.6, 2, 16
"""Fraction of the time that is for teachers, and how many there are."""
DISTILL_WEIGHT = 0.85
"""The weight of the teachers in a student's targets."""
MOST_SOFT_TARGETS = 2e8
"""Probabilities of teachers that are held in memory, four bytes each."""
LONG_TEXT, FOR_LONG_TEXT = 16_000_000, {"layers": 2, "block_size": 64, "batch_size": 8_192}
"""Predicted characters of a text's training from which other settings of an lstm are better."""
MANY_PASSES, DROPOUT = 5.0, 0.1
"""Passes of such a training over the text from which it needs dropout, and how much."""
LEAST_STEPS = 10
"""Steps of a training that is worth its name."""
FEW_STEPS, SMALLEST_BATCH = 200, 256
"""Steps below which a recurrent model learns more from smaller batches, and the smallest of these."""
EVALUATION_SHARE = 0.04
"""Fraction of the training time for the val loss on the way."""


class Limits(NamedTuple):
    """What a training can make use of. With more epochs or parameters it would only memorise the data."""

    epochs: float
    """Passes over the data."""
    epochs_before_wider: float
    """If there is time for more passes than these, a wider model is better."""
    parameters: float
    """Parameters per target of the train part; the default width may have more."""


ALONE: dict[Format, Limits] = {"lines": Limits(12, 9, 8.0), "text": Limits(12, 12, 2.0)}
TEACHER: dict[Format, Limits] = {"lines": Limits(12, 12, 4.0), "text": Limits(12, 12, 2.0)}
"""Narrow teachers teach as much as wide ones, and more of them fit."""
STUDENT: dict[Format, Limits] = {"lines": Limits(20, 12, 32.0), "text": Limits(20, 20, 8.0)}
"""A student memorises less: its teachers' probabilities say more than the data."""
TEACHER_EPOCHS: dict[Format, float] = {"lines": 7.0, "text": 12.0}
"""Passes over the data of a teacher, at least: five with seven passes of a list teach as much as three with twelve."""

Planner = Callable[..., Plan]
"""Completes settings to a plan."""


def plan_for_time(
    corpus: Corpus, minutes: float, elapsed: float, device: str, settings: Settings, planner: Planner
) -> Plan:
    """Plan a training that takes `minutes` with everything that belongs to it; `elapsed` seconds of them are over.

    `settings` are those that were requested, the model included.
    """
    TimeBudget(minutes, 1.0, 0.0)  # raises for a time out of range
    _check(settings)
    search = _Search(corpus, minutes, perf_counter() - elapsed, device, settings, planner)
    choice = search.best()
    return search.taught(choice) or search.fitted(choice, search.left, minutes, ALONE[corpus.format])


def _check(settings: Settings) -> None:
    """Raise `UsageError` for settings that contradict a given time, and for several processes."""
    require_one_process(NO_MINUTES)
    for name in ("steps", "epochs"):
        if name in settings:
            raise UsageError(f"`minutes` decides how long the training is, and so does `{name}`: leave out one of them")
    if settings["model"] == "ngram":
        raise UsageError("an ngram is counted in one pass and needs no time: leave out `minutes`")
    if "distill_weight" in settings:
        raise UsageError("`minutes` chooses the teachers, if there are any: leave out `minutes` or `distill_weight`")


class Choice(NamedTuple):
    """A model, and how fast it is."""

    plan: Plan
    speed: Speed
    chosen: Settings
    """Its settings that were not requested."""


@dataclass(frozen=True)
class _Search:
    corpus: Corpus
    minutes: float
    start: float
    device: str
    settings: Settings
    planner: Planner
    probes: dict[tuple[str, str], Speed] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    """For each kind of model, parameters times characters per second of the width that was tried last."""

    @property
    def format(self) -> Format:
        """Whether the data is a list or a text."""
        return self.corpus.format

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.start + 60 * self.minutes - perf_counter()

    def best(self) -> Choice:
        """Choose a model and its size."""
        if self.settings["model"]:
            return self.sized({}, self.left, ALONE[self.format])
        models = ("lstm", "wavenet", "transformer" if self.corpus.vocabulary.labels else "tree")
        own = {model: len(settings_of(model) & set(self.settings)) for model in models}
        model = max(own, key=lambda name: own[name])
        if model == "lstm" and own.get("tree") == own["lstm"] and self.tree_is_better():
            model = "tree"
        return self.sized({"model": model}, self.left, ALONE[self.format])

    def tree_is_better(self) -> bool:
        """Whether an lstm would see too little of a list of short lines."""
        if self.format == "text" or has_long_lines(self.corpus):
            return False
        plan = self.planner(**self.settings | {"model": "lstm"})
        chars = self.speed(plan, SHORTEST_PROBE).training * self.left  # a rough figure is enough
        work = chars * self.parameters(plan, plan.model_config.width)
        return work < SHORT_WORK and chars < FEW_EPOCHS * self.corpus.train.num_targets

    def sized(self, chosen: Settings, seconds: float, limits: Limits) -> Choice:
        """Choose the width of a model for so much time, if it is free, by the speeds of the widths that are tried."""
        plan = self.planner(**self.settings | chosen)
        if plan.model not in (*RECURRENT, "tree") or "hidden" in self.settings:
            return self.probed(chosen)
        tried, work = set[int](), self.latest.get(plan.model, FIRST_GUESS) * seconds
        while True:
            hidden = self.hidden(plan, work, limits)
            choice = self.probed(chosen | {"hidden": hidden})
            if hidden in tried or len(tried) == MOST_PROBES - 1:
                return self.with_more_steps(self.for_long_text(choice, seconds, limits), seconds)
            tried.add(hidden)
            self.latest[plan.model] = choice.speed.training * self.parameters(plan, hidden)
            work = self.latest[plan.model] * seconds

    def for_long_text(self, choice: Choice, seconds: float, limits: Limits) -> Choice:
        """Give an lstm that reads a text for long what it needs for that, and the width that suits it."""
        chars, targets = choice.speed.training * seconds, self.corpus.train.num_targets
        is_long = chars >= LONG_TEXT and targets >= 80 * FOR_LONG_TEXT["batch_size"]  # 80 steps per pass, as for lists
        streams = choice.plan.model == "lstm" and choice.plan.recipe.sampling == "streams"
        if not (is_long and streams) or FOR_LONG_TEXT.keys() & {**self.settings, **choice.chosen}.keys():
            return choice
        often = chars >= MANY_PASSES * targets and "dropout" not in self.settings
        return self.sized(model_of(choice) | FOR_LONG_TEXT | ({"dropout": DROPOUT} if often else {}), seconds, limits)

    def with_more_steps(self, choice: Choice, seconds: float) -> Choice:
        """Give a recurrent model smaller batches if its training would have few steps.

        Their speed is taken to be the same: another probe would take too much of so short a time. If they are slower,
        the number of steps is changed on the way.
        """
        batch_size = choice.plan.recipe.batch_size
        steps = choice.speed.training * (seconds - self.ending(choice)) / batch_size
        if choice.plan.model not in RECURRENT or "batch_size" in {**self.settings, **choice.chosen}:
            return choice
        if not 0 < steps < FEW_STEPS:
            return choice
        halvings = ceil(log2(2 * FEW_STEPS / steps))  # twice as many: steps of fewer characters take longer for each
        block = choice.plan.recipe.block_size if self.format == "text" else 1
        smaller = max(1, max(min(batch_size, SMALLEST_BATCH), batch_size >> halvings) // block) * block
        chosen = choice.chosen | ({} if smaller == batch_size else {"batch_size": smaller})
        return Choice(self.planner(**self.settings | chosen), choice.speed, chosen)

    def probed(self, chosen: Settings) -> Choice:
        """Measure the speed of a model, if it is not known."""
        plan = self.planner(**self.settings | chosen)
        key = plan.model, plan.model_config.label
        if key not in self.probes:
            check_fits(plan.model, len(self.corpus.vocabulary), plan.model_config)
            seconds = min(LONGEST_PROBE, max(SHORTEST_PROBE, PROBE_SHARE * 60 * self.minutes))
            self.probes[key] = self.speed(plan, seconds)
        return Choice(plan, self.probes[key], chosen)

    def speed(self, plan: Plan, seconds: float) -> Speed:
        """Measure the speed of a model for some seconds."""
        result = probe(plan, self.corpus, seconds, self.device)
        return_freed_memory()  # the next model has blocks of other sizes
        return result

    def parameters(self, plan: Plan, hidden: int) -> int:
        """Count the parameters that a model has with another width."""
        config = plan.model_config.with_width(hidden)
        return parameter_count(plan.model, len(self.corpus.vocabulary), config)

    def hidden(self, plan: Plan, work: float, limits: Limits) -> int:
        """Return the best width for so many parameters times characters."""
        targets = self.corpus.train.num_targets
        ratio = CHARS_PER_TREE_PARAMETER if plan.model == "tree" else CHARS_PER_PARAMETER[self.format]
        default = self.parameters(plan, plan.model_config.width)  # as wide as without a given time, at least
        most = max(limits.parameters * targets, default)
        least = work / (limits.epochs_before_wider * targets)  # narrower models would have more passes
        best = min(max(sqrt(max(work, 1.0) / ratio), least), most)
        sizes = {hidden: self.parameters(plan, hidden) for hidden in WIDTHS}
        possible = [hidden for hidden in WIDTHS if sizes[hidden] <= most]
        wide = [hidden for hidden in possible if sizes[hidden] >= ENOUGH * least]
        return min(wide or possible[-1:], key=lambda hidden: abs(sizes[hidden] / best - 1))

    def steps(self, choice: Choice, epochs: float) -> int:
        """Return the steps of so many passes over the data."""
        steps = ceil(epochs * self.corpus.train.num_targets / choice.plan.recipe.batch_size)
        return min(MAX_COUNT, max(LEAST_STEPS, steps))

    def evaluation(self, choice: Choice) -> float:
        """Return the seconds of a val loss on the way."""
        return val_in_training(self.corpus).num_targets / choice.speed.evaluation

    def ending(self, choice: Choice) -> float:
        """Return the seconds after the training."""
        targets, num_labels = self.corpus.val.num_targets, len(self.corpus.vocabulary.labels)
        targets += train_loss_part(self.corpus).num_targets + min(num_labels * targets, MAX_TARGETS)
        counting = 0.5 if self.format == "lines" else 0.0  # how many samples are known
        return 0.5 + counting + targets / choice.speed.evaluation + self.sample_length / choice.speed.drawing

    @cached_property
    def sample_length(self) -> float:
        """The characters of the longest sample that a training shows at its end."""
        if self.format == "text":
            return SAMPLE_CHARACTERS
        return float(np.quantile(np.diff(self.corpus.train.segments), 1 - 0.5 / SAMPLE_LINES))

    def needed(self, choice: Choice, epochs: float) -> float:
        """Return the seconds of so many passes over the data, the end of the training included."""
        training = self.steps(choice, epochs) * choice.plan.recipe.batch_size / choice.speed.training
        num_evals: int = self.settings.get("num_evals", 1)
        evaluations = max(EVALUATION_SHARE * training, num_evals * self.evaluation(choice))
        return training + evaluations + self.ending(choice)

    def fitted(self, choice: Choice, seconds: float, minutes: float, limits: Limits) -> Plan:
        """Give a model as many steps as fit into some seconds, or as it needs; `minutes` is the time for everything."""
        speed, batch_size = choice.speed, choice.plan.recipe.batch_size
        evaluation, ending = self.evaluation(choice), self.ending(choice)
        training = seconds - ending
        num_evals = self.settings.get("num_evals", int(min(10, max(1, EVALUATION_SHARE * training / evaluation))))
        steps = round((training - num_evals * evaluation) * speed.training / batch_size)
        if steps < LEAST_STEPS:
            least = 60 * minutes - training + num_evals * evaluation + LEAST_STEPS * batch_size / speed.training
            raise UsageError(
                f"`minutes` is {minutes:g}, which is too short for {LEAST_STEPS} steps and the val loss of this model: "
                f"give at least {1.2 * least / 60:.2g}"
            )
        most = self.steps(choice, limits.epochs)
        chosen = choice.chosen | {"steps": min(steps, most), "num_evals": num_evals}
        ending += evaluation  # a training ends with a val loss
        budget = TimeBudget(minutes, speed.training, ending, most, chosen)
        return replace(self.planner(**self.settings | chosen), budget=budget)

    def taught(self, choice: Choice) -> Plan | None:
        """Plan teachers and their student, if there is time for them; `choice` is the model that would be alone."""
        targets, epochs, limits = self.corpus.train.num_targets, TEACHER_EPOCHS[self.format], TEACHER[self.format]
        size = len(self.corpus.vocabulary)
        if targets * size > MOST_SOFT_TARGETS or not soft_targets_fit(targets, size):
            return None
        possible = TEACHERS_SHARE * self.left / (self.narrower(choice, limits) * self.needed(choice, epochs))
        if possible < LEAST_TEACHERS:
            return None
        teacher = self.sized(model_of(choice), self.left, limits)
        share = TEACHERS_SHARE * self.left
        count = min(MOST_TEACHERS, int(share / self.needed(teacher, epochs)))
        return self.student(teacher, count, share / count) if count >= LEAST_TEACHERS else None

    def narrower(self, choice: Choice, limits: Limits) -> float:
        """Return how much smaller than a choice a model within some limits is, without a probe: 1 if it is as large."""
        if "hidden" not in choice.chosen:
            return 1.0
        size = self.parameters(choice.plan, choice.plan.model_config.width)
        hidden = self.hidden(choice.plan, choice.speed.training * size * self.left, limits)
        return min(1.0, self.parameters(choice.plan, hidden) / size)

    def student(self, teacher: Choice, count: int, most: float) -> Plan:
        """Plan a student of so many teachers that may take `most` seconds each."""
        fitted = self.fitted(teacher, most, most / 60, TEACHER[self.format])
        expected = min(most, self.needed(teacher, TEACHER[self.format].epochs))
        seed = fitted.recipe.seed
        seeds = ((seed + 1_000 * number) % 2**63 for number in range(1, count + 1))  # other runs have other teachers
        teachers = tuple(replace(fitted, recipe=replace(fitted.recipe, seed=other)) for other in seeds)
        teaching = count * (expected + self.corpus.train.num_targets / teacher.speed.evaluation)
        limits = STUDENT[self.format]
        student = self.sized(model_of(teacher), self.left - teaching, limits)
        student = student._replace(chosen=student.chosen | {"distill_weight": DISTILL_WEIGHT})
        return replace(self.fitted(student, self.left - teaching, self.minutes, limits), teachers=teachers)


def model_of(choice: Choice) -> Settings:
    """Return the kind of model of a choice, if it was not requested."""
    return {name: value for name, value in choice.chosen.items() if name == "model"}
