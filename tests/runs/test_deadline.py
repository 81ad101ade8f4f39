"""A training that must end in time, on a machine that becomes slower."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Recipe
from wavemore.engine.training_plan import TimeBudget
from wavemore.errors import UsageError
from wavemore.nn.models import build
from wavemore.runs import deadline
from wavemore.runs.config import TeacherConfig
from wavemore.runs.deadline import Deadline
from wavemore.runs.identity import training_digest
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config, train
from wavemore.text.line_corpus import LineCorpus


class Clock:
    """Time that passes only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "monotonic", clock)
    return clock


def trained(
    corpus: LineCorpus, recipe: Recipe, clock: Clock, slower_after: int, seconds: float = 40.0, most_steps: int = 0
) -> tuple[Any, dict[str, torch.Tensor], list[float]]:
    """Train with one second per step, and then four; return the last recipe, the weights and the learning rates."""
    model = build("lstm", len(corpus.vocabulary), plan(corpus, model="lstm", hidden=8).model_config, seed=0)
    limit, rates, training = Deadline(seconds, most_steps), [], fit(model, corpus, recipe)
    for record in training:
        clock.now += 1.0 if record.step <= slower_after else 4.0
        rates.append(record.learning_rate)
        if changed := limit.check(record):
            recipe = training.replan(changed)
    return recipe, model.state_dict(), rates


def test_a_training_that_becomes_slower_is_shortened_and_its_rate_still_falls_to_zero(
    corpus: LineCorpus, clock: Clock
) -> None:
    recipe = Recipe(steps=200, batch_size=64, warmup_fraction=0.0, num_evals=1, ema_decay=0.0)
    shorter, weights, rates = trained(corpus, recipe, clock, slower_after=100, seconds=200.0)
    assert 196.0 <= clock.now <= 206.0
    assert shorter.steps == len(rates) < 130
    assert shorter.planned_first == recipe
    assert rates[:100] == pytest.approx([recipe.learning_rate * (200 - step) / 200 for step in range(100)])
    assert all(a > b for a, b in pairwise(rates))
    assert rates[-1] < 0.1 * recipe.learning_rate
    # The recipe that was kept gives the same training.
    clock.now = 0.0
    again, same, rates_again = trained(corpus, shorter, clock, slower_after=1_000, seconds=1e9)
    assert again == shorter
    assert rates_again == rates
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_a_training_that_is_faster_than_expected_becomes_longer_but_not_too_long(
    corpus: LineCorpus, clock: Clock
) -> None:
    recipe = Recipe(steps=100, batch_size=64, warmup_fraction=0.1, num_evals=1)
    for most, steps in ((0, 100), (130, 130), (1_000, 200)):
        clock.now = 0.0
        longer, _, rates = trained(corpus, recipe, clock, slower_after=1_000, seconds=200.0, most_steps=most)
        assert longer.steps == len(rates) == pytest.approx(steps, abs=6)
        assert max(rates) == recipe.learning_rate
        assert rates[-1] < 0.1 * recipe.learning_rate


def test_a_training_in_time_is_left_alone(corpus: LineCorpus, clock: Clock) -> None:
    recipe = Recipe(steps=40, batch_size=64, num_evals=1)
    assert trained(corpus, recipe, clock, slower_after=40)[0] is recipe


def test_the_time_is_over_at_once_after_a_long_sleep(corpus: LineCorpus, clock: Clock) -> None:
    recipe = Recipe(steps=1_000, batch_size=64, num_evals=1)
    model = build("lstm", len(corpus.vocabulary), plan(corpus, model="lstm", hidden=8).model_config, seed=0)
    limit, steps, training = Deadline(100.0), 0, fit(model, corpus, recipe)
    for record in training:
        steps, clock.now = record.step, clock.now + (1e6 if record.step == 3 else 0.01)
        if changed := limit.check(record):
            training.replan(changed)
    assert steps <= 10
    assert record.val_nats is not None


def test_a_run_keeps_the_shorter_recipe_and_resumes_before_and_after_the_change(
    corpus: LineCorpus, clock: Clock, tmp_path: Path
) -> None:
    planned = plan(corpus, model="lstm", hidden=8, steps=40, batch_size=64, num_evals=1)
    planned = replace(planned, budget=TimeBudget(1.0, 64.0, 1.0, chosen={"steps": 40}))
    run = Run(tmp_path / "run").create(config_of(planned, data_config(corpus, "")), corpus)
    digest = training_digest(run.config)
    limit, recorder = Deadline(20.0), Recorder(run, None)
    for record in train(run, run.new_model(), corpus, recorder, deadline=limit):
        clock.now += 1.0
        if record.step == 5:
            recorder.save(record)
            early = run.checkpoint()
    config = run.config
    assert config.recipe.steps == record.step < 25
    assert config.budget == planned.budget
    assert training_digest(config) == digest
    model = run.new_model()
    *_, last = fit(model, corpus, config.recipe, resume=early)
    assert last.step == record.step
    assert all(torch.equal(value, run.model().state_dict()[name]) for name, value in model.state_dict().items())


def test_a_resumed_student_does_not_get_the_time_of_its_teachers_again(corpus: LineCorpus, clock: Clock) -> None:
    planned = plan(corpus, model="lstm", hidden=8, steps=40)
    planned = replace(planned, budget=TimeBudget(1.0, 64.0, 10.0))
    teachers = [TeacherConfig(f"runs/{number}", "1f", "lstm", 15.0) for number in (1, 2)]
    config = config_of(planned, data_config(corpus, ""), teachers=teachers)
    limit = Deadline.of(config, 5.0)
    assert limit is not None
    assert limit.end - clock.now == pytest.approx(60 - 10 - 2 * 15 - 5)


def test_a_killed_run_that_resumes_before_a_change_can_change_its_steps_again() -> None:
    killed = Recipe(steps=100).with_steps(80, done=20).with_steps(60, done=40)
    for done, before in ((30, ((20, 100),)), (20, ()), (40, ((20, 100),)), (50, ((20, 100), (40, 80)))):
        changed = killed.with_steps(55, done=done)
        planned = {20: 100, 30: 80, 40: 80, 50: 60}[done]
        assert (changed.steps, changed.replanned) == (55, (*before, (done, planned)))
        assert changed.learning_rate_scale(done - 1) == killed.learning_rate_scale(done - 1)


def test_changes_of_the_steps_are_checked() -> None:
    with pytest.raises(UsageError, match="`replanned`"):
        Recipe(steps=10, replanned=((20, 30),))
    with pytest.raises(UsageError, match="`replanned`"):
        Recipe(steps=10, replanned=((5, 30), (5, 20)))
