"""The training loop: it learns, it is repeatable bit by bit, and however it ends, the best weights are kept."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from itertools import islice
from math import isfinite, isnan, log
from typing import Any

import pytest
import torch
from torch import Tensor

from wavemore.engine import optimizer
from wavemore.engine.evaluate import evaluate
from wavemore.engine.fit import fit
from wavemore.engine.recipe import LECTURE, Precision, Recipe
from wavemore.engine.step_record import Checkpoint, StepRecord
from wavemore.errors import ModelError, RunError, TrainingError, UsageError
from wavemore.nn.layers import Dropout
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus

OPTIMIZERS: list[Any] = ["muon", "adamw", "sgd"]
TINY = TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
SHORT = Recipe(steps=12, batch_size=16, num_evals=3)
OVERFITTING = Recipe(steps=150, batch_size=64, learning_rate=0.05, weight_decay=0.0, num_evals=30, warmup_fraction=0.0)


def fresh(corpus: LineCorpus, config: TreeConfig = TINY, seed: int = 0) -> Tree:
    return build("tree", len(corpus.vocabulary), config, seed)


def state_of(model: Tree) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def numbers(record: StepRecord) -> dict[str, Any]:
    """The values of a record that do not depend on the clock or on resumption."""
    names = {field.name for field in fields(record) if field.compare} - {"seconds", "chars_per_second", "steps_here"}
    return {name: getattr(record, name) for name in names}


def trained(
    corpus: LineCorpus, recipe: Recipe, config: TreeConfig = TINY, **also: Any
) -> tuple[Tree, list[StepRecord]]:
    model = fresh(corpus, config)
    return model, list(fit(model, corpus, recipe, **also))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_tiny_model_learns(corpus: LineCorpus, kind: Any) -> None:
    rate = {"muon": 0.02, "adamw": 0.01, "sgd": 0.3}[kind]
    recipe = Recipe(optimizer=kind, steps=100, batch_size=64, learning_rate=rate, num_evals=5)
    model, records = trained(corpus, recipe, replace(TINY, hidden=32))
    assert records[0].train_nats == pytest.approx(log(len(corpus.vocabulary)), abs=0.15)
    assert records[-1].train_nats < 0.6 * log(len(corpus.vocabulary))
    assert evaluate(model, corpus.val).nats < 0.6 * log(len(corpus.vocabulary))


def test_the_values_of_the_records(corpus: LineCorpus) -> None:
    _, records = trained(corpus, SHORT)
    assert [record.step for record in records] == list(range(1, 13))
    assert [record.step for record in records if record.val_nats is not None] == [4, 8, 12]
    assert [record.logged for record in records] == [True] * 12
    assert [record.steps_here for record in records] == list(range(1, 13))
    assert records[-1].epoch == pytest.approx(12 * 16 / corpus.train.num_targets)
    assert records[0].learning_rate == pytest.approx(0.02 / 1.2)
    seconds = [record.seconds for record in records]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    assert records[-1].chars_per_second == pytest.approx(12 * 16 / seconds[-1])
    best = min((record.val_nats, record.step) for record in records if record.val_nats is not None)
    assert (records[-1].best_val_nats, records[-1].best_step) == best
    assert [record.step for record in records if record.is_best][-1] == best[1]


def test_records_are_plain_data(corpus: LineCorpus) -> None:
    _, records = trained(corpus, SHORT)
    assert json.loads(json.dumps([asdict(record) for record in records]))[-1]["step"] == 12
    assert pickle.loads(pickle.dumps(records)) == records


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_logged_records_have_the_update_ratio_of_each_weight(corpus: LineCorpus, kind: Any) -> None:
    recipe = replace(SHORT, optimizer=kind, steps=401, num_evals=1, ema_decay=0.0)  # a record every 3 steps
    model = fresh(corpus)
    before = state_of(model)
    for record, _ in zip(fit(model, corpus, recipe), range(9), strict=False):
        now = state_of(model)
        if record.logged:
            assert record.update_ratios is not None
            weights = [name for name, value in model.named_parameters() if value.ndim == 2]
            assert list(record.update_ratios) == weights
            for name, ratio in record.update_ratios.items():
                update = now[name] - before[name]
                assert 10**ratio == pytest.approx(float(update.std() / before[name].std()), rel=1e-3)
        else:
            assert record.update_ratios is None
        before = now


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_frozen_layer_does_not_change(corpus: LineCorpus, kind: Any) -> None:
    recipe = replace(SHORT, optimizer=kind, weight_decay=0.5)
    model = fresh(corpus)
    model.layers[2].requires_grad_(False)
    frozen = model.layers[2].get_parameter("weight").clone()
    training = fit(model, corpus, recipe)
    for record in training:
        assert record.update_ratios is not None
        assert "layers.2.weight" not in record.update_ratios
        assert "layers.6.weight" in record.update_ratios
        last = training.checkpoint()
    assert torch.equal(model.layers[2].get_parameter("weight"), frozen)
    resumed = fresh(corpus)
    resumed.layers[2].requires_grad_(False)
    assert list(fit(resumed, corpus, recipe, resume=last)) == []


def test_the_train_loss_is_the_mean_since_the_last_logged_record(corpus: LineCorpus) -> None:
    steady = replace(SHORT, schedule="constant", warmup_fraction=0.0)

    def first(count: int, recipe: Recipe) -> list[StepRecord]:
        training = fit(fresh(corpus), corpus, recipe)
        return [next(training) for _ in range(count)]

    losses = [record.train_nats for record in first(10, replace(steady, steps=200))]  # each step is logged
    records = first(10, replace(steady, steps=401, num_evals=1))  # every third is
    assert [record.step for record in records if record.logged] == [3, 6, 9]
    for begin in (0, 3, 6, 9):
        for end in range(begin + 1, min(begin + 3, 10) + 1):
            assert records[end - 1].train_nats == pytest.approx(sum(losses[begin:end]) / (end - begin), abs=1e-12)


@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_only_the_same_seed_gives_the_same_bits(corpus: LineCorpus, sampling: Any) -> None:
    config = replace(TINY, dropout=0.3)
    recipe = replace(SHORT, sampling=sampling, seed=7)
    one, records = trained(corpus, recipe, config)
    two, records_again = trained(corpus, recipe, config)
    assert same(state_of(one), state_of(two))
    assert list(map(numbers, records)) == list(map(numbers, records_again))
    other, other_records = trained(corpus, replace(recipe, seed=8), config)  # the same initial weights, other batches
    assert not same(state_of(one), state_of(other))
    assert other_records[-1].train_nats != records[-1].train_nats


@pytest.mark.parametrize(("dropout", "ema_decay"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.9)])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_training_resumed_after_any_step_is_the_same_training(
    corpus: LineCorpus, kind: Any, dropout: float, ema_decay: float
) -> None:
    config = replace(TINY, dropout=dropout)
    recipe = replace(SHORT, optimizer=kind, ema_decay=ema_decay)
    model = fresh(corpus, config)
    records, checkpoints = [], []
    training = fit(model, corpus, recipe)
    for record in training:
        records.append(numbers(record))
        checkpoints.append(training.checkpoint())
    for done, checkpoint in enumerate(checkpoints, start=1):  # the first three are from before any evaluation
        resumed = fresh(corpus, config, seed=99)
        rest = list(fit(resumed, corpus, recipe, resume=checkpoint))
        assert [numbers(record) for record in rest] == records[done:]
        assert [record.steps_here for record in rest] == list(range(1, 13 - done))
        assert same(state_of(resumed), state_of(model))


def test_a_resumed_training_resumes_again(corpus: LineCorpus) -> None:
    whole, _ = trained(corpus, SHORT)
    checkpoint = None
    for _ in range(SHORT.steps):
        model = fresh(corpus, seed=99 if checkpoint else 0)
        training = fit(model, corpus, SHORT, resume=checkpoint)
        next(training)
        checkpoint = training.checkpoint()
    assert same(training.best_state, state_of(whole))


def test_the_sum_of_losses_since_the_last_logged_record_is_resumed(corpus: LineCorpus) -> None:
    recipe = replace(SHORT, steps=401, num_evals=1)  # a logged record every 3 steps, so some losses are carried over
    model = fresh(corpus)
    records, checkpoint = [], None
    training = fit(model, corpus, recipe)
    for record in training:
        records.append(numbers(record))
        if record.step == 200:
            checkpoint = training.checkpoint()
        if record.step == 205:
            break
    resumed = fit(fresh(corpus), corpus, recipe, resume=checkpoint)
    assert [numbers(next(resumed)) for _ in range(5)] == records[200:]


def test_a_checkpoint_is_a_copy(corpus: LineCorpus) -> None:
    training = fit(fresh(corpus), corpus, SHORT)
    list(islice(training, 5))
    checkpoint = training.checkpoint()
    before = {name: value.clone() for name, value in checkpoint.tensors.items()}
    list(training)
    list(fit(fresh(corpus), corpus, SHORT, resume=checkpoint))
    assert same(checkpoint.tensors, before)


def test_a_checkpoint_that_is_taken_too_early_or_late_is_refused(corpus: LineCorpus) -> None:
    training = fit(fresh(corpus), corpus, SHORT)
    with pytest.raises(UsageError, match="there is no state to copy"):
        training.checkpoint()
    next(training)
    assert training.checkpoint().tensors
    training.close()
    with pytest.raises(UsageError, match="there is no state to copy"):
        training.checkpoint()


def test_resuming_after_the_last_step_does_nothing(corpus: LineCorpus) -> None:
    model = fresh(corpus)
    training = fit(model, corpus, SHORT)
    for _ in training:
        checkpoint = training.checkpoint()
    resumed, rest = trained(corpus, SHORT, resume=checkpoint)
    assert rest == []
    assert same(state_of(resumed), state_of(model))


def other_model(checkpoint: Checkpoint) -> Checkpoint:
    tensors = {
        name: torch.zeros(3, 3) if name == "model.layers.2.weight" else value
        for name, value in checkpoint.tensors.items()
    }
    return Checkpoint(tensors, checkpoint.facts)


@pytest.mark.parametrize(
    "damage",
    [
        other_model,
        lambda checkpoint: Checkpoint({}, checkpoint.facts),
        lambda checkpoint: Checkpoint(checkpoint.tensors, "{}"),
        lambda checkpoint: Checkpoint(checkpoint.tensors, "no JSON"),
        lambda checkpoint: Checkpoint({"strange": torch.zeros(1)}, checkpoint.facts),
        lambda checkpoint: Checkpoint(
            {name: value for name, value in checkpoint.tensors.items() if not name.startswith("optimizer.")},
            checkpoint.facts,
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(corpus: LineCorpus, damage: Any) -> None:
    training = fit(fresh(corpus), corpus, SHORT)
    next(training)
    checkpoint = training.checkpoint()
    with pytest.raises(RunError, match="does not fit this training") as caught:
        trained(corpus, SHORT, resume=damage(checkpoint))
    assert len(str(caught.value).splitlines()) == 1


def test_the_model_holds_the_best_weights_at_the_end(corpus: LineCorpus) -> None:
    model, records = trained(corpus, OVERFITTING, replace(TINY, hidden=64))
    losses = [record.val_nats for record in records if record.val_nats is not None]
    assert records[-1].best_val_nats == min(losses) < losses[-1]  # so the last weights are not the best ones
    assert evaluate(model, corpus.val).nats == min(losses)


def stopped(corpus: LineCorpus, how: str) -> tuple[Tree, StepRecord]:
    """A training that is left when the val loss is no longer the best."""
    model = fresh(corpus, replace(TINY, hidden=64))
    if how == "close":
        training = fit(model, corpus, OVERFITTING)
        for record in training:
            if record.val_nats is not None and not record.is_best:
                training.close()
                assert same(state_of(model), training.best_state)
                return model, record
    for record in fit(model, corpus, OVERFITTING):
        if record.val_nats is not None and not record.is_best:
            break
    return model, record


@pytest.mark.parametrize("how", ["break", "close"])
def test_a_training_that_is_left_early_leaves_the_best_weights(corpus: LineCorpus, how: str) -> None:
    model, record = stopped(corpus, how)
    assert record.step < record.steps
    assert record.best_val_nats < float(record.val_nats or 0)
    assert evaluate(model, corpus.val).nats == record.best_val_nats


def interrupted(training: Iterator[StepRecord], step: int) -> None:
    for record in training:
        if record.step == step:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_the_best_weights(corpus: LineCorpus) -> None:
    expected = fresh(corpus)
    for record in fit(expected, corpus, SHORT):
        if record.step == 5:
            break
    model = fresh(corpus)
    with pytest.raises(KeyboardInterrupt):
        interrupted(fit(model, corpus, SHORT), step=5)
    assert same(state_of(model), state_of(expected))


def test_leaving_before_an_evaluation_leaves_the_weights_of_the_last_step(corpus: LineCorpus) -> None:
    model = fresh(corpus)
    training = fit(model, corpus, SHORT)
    list(islice(training, 3))
    tensors = training.checkpoint().tensors
    training.close()
    assert not any(name.startswith("best.") for name in tensors)
    assert same(
        {f"model.{name}": value for name, value in model.state_dict().items()},
        {name: value for name, value in tensors.items() if name.startswith("model.")},
    )


def test_a_loss_of_nan_ends_the_training_with_the_best_weights(corpus: LineCorpus) -> None:
    model = fresh(corpus)
    training = fit(model, corpus, SHORT)
    list(islice(training, 6))
    best = {name: value.clone() for name, value in training.best_state.items()}
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is nan at step 7; a `learning_rate` lower than 0\.02 may help$"):
        next(training)
    assert same(state_of(model), best)
    assert not isnan(evaluate(model, corpus.val).nats)


def test_a_learning_rate_that_is_far_too_high_ends_with_the_initial_weights(corpus: LineCorpus) -> None:
    config = replace(TINY, norm="none")
    model = fresh(corpus, config)
    before = state_of(model)
    recipe = replace(SHORT, optimizer="sgd", learning_rate=1e30, schedule="constant", warmup_fraction=0.0, num_evals=1)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+; .*1e\+30 may help"):
        list(fit(model, corpus, recipe))
    assert same(state_of(model), before)


def test_an_infinite_val_loss_ends_the_training_too(corpus: LineCorpus) -> None:
    model = fresh(corpus, replace(TINY, norm="none"))
    before = state_of(model)
    recipe = replace(SHORT, optimizer="sgd", steps=1, learning_rate=1e38, weight_decay=0.0, warmup_fraction=0.0)
    with pytest.raises(TrainingError, match=r"the val loss is (nan|inf) at step 1; "):
        list(fit(model, corpus, recipe))
    assert same(state_of(model), before)


def test_a_batch_of_one_is_refused(corpus: LineCorpus) -> None:
    with pytest.raises(UsageError, match=r"`batch_size` is 1; .* at least 2"):
        trained(corpus, replace(SHORT, batch_size=1))


def test_the_best_weights_are_a_running_average(corpus: LineCorpus) -> None:
    recipe = replace(SHORT, num_evals=1, ema_decay=0.7)
    model = fresh(corpus)
    average = state_of(model)
    for record in fit(model, corpus, recipe):
        share = 1 - min(0.7, record.step / (record.step + 10))  # larger in the first steps
        for name, value in model.state_dict().items():
            average[name] = value.clone() if not value.is_floating_point() else average[name].lerp(value, share)
    assert record.is_best
    assert average.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=0, atol=2e-6)
    last, _ = trained(corpus, replace(recipe, ema_decay=0.0))
    assert not torch.allclose(next(last.parameters()), next(model.parameters()), rtol=0, atol=2e-4)


def test_averaging_does_not_change_the_training(corpus: LineCorpus) -> None:
    losses = [
        [record.train_nats for record in trained(corpus, replace(SHORT, ema_decay=ema_decay))[1]]
        for ema_decay in (0.0, 0.9)
    ]
    assert losses[0] == losses[1]


def test_the_random_state_outside_does_not_change(corpus: LineCorpus) -> None:
    before = torch.get_rng_state()
    for _ in fit(fresh(corpus, replace(TINY, dropout=0.3)), corpus, SHORT):
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_masks_do_not_depend_on_other_random_numbers(corpus: LineCorpus) -> None:
    one, two = (fresh(corpus, replace(TINY, dropout=0.3)) for _ in range(2))
    list(fit(one, corpus, SHORT))
    for _ in fit(two, corpus, SHORT):
        torch.rand(3)
    assert same(state_of(one), state_of(two))


def test_every_step_and_every_seed_has_its_own_dropout_masks(corpus: LineCorpus) -> None:
    dropped: list[Tensor] = []
    for seed in (0, 1):
        model = fresh(corpus, replace(TINY, dropout=0.5))
        [first, _] = [layer for layer in model.layers if isinstance(layer, Dropout)]
        first.register_forward_hook(lambda layer, _, x: dropped.append(x == 0) if layer.training else None)
        list(fit(model, corpus, replace(SHORT, seed=seed, execution="windows")))
    assert len(dropped) == 2 * SHORT.steps
    assert len({tuple(mask.flatten().tolist()) for mask in dropped}) == len(dropped)


@pytest.mark.parametrize("left_early", [True, False])
def test_the_mode_of_every_layer_is_restored(corpus: LineCorpus, left_early: bool) -> None:
    model = fresh(corpus).eval()
    model.layers[1].train()
    training = fit(model, corpus, SHORT)
    assert next(training).step == 1
    assert all(layer.training for layer in model.modules())
    if left_early:
        training.close()
    else:
        list(training)
    assert [layer.training for layer in model.layers] == [index == 1 for index in range(len(model.layers))]


def test_both_executions_train_the_same_model(corpus: LineCorpus) -> None:
    models = []
    for execution in ("unique", "windows"):
        model = fresh(corpus).double()
        list(fit(model, corpus, replace(SHORT, optimizer="adamw", execution=execution)))
        models.append(model)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-8)


def test_a_model_of_another_vocabulary_is_an_error(corpus: LineCorpus) -> None:
    model = build("tree", 3, TINY, seed=0)
    with pytest.raises((IndexError, ModelError)):
        list(fit(model, corpus, SHORT))


GOLDEN: dict[str, tuple[Recipe, list[float], list[float]]] = {
    "muon": (
        Recipe(steps=60, batch_size=128, num_evals=3, ema_decay=0.0),
        [3.306083, 3.200407, 2.614734],
        [2.966745, 2.735138, 2.693371],
    ),
    "averaged": (
        Recipe(steps=60, batch_size=128, num_evals=3, ema_decay=0.99),
        [3.306083, 3.200407, 2.614734],
        [3.006818, 2.755606, 2.70093],
    ),
    "lecture": (
        replace(LECTURE, steps=60, num_evals=3),
        [3.314306, 3.204624, 2.949207],
        [3.057808, 2.888171, 2.87218],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that a refactoring must reproduce; float64 gives the same five digits."""
    monkeypatch.setattr(optimizer, "fast_bfloat16", lambda: False)  # the same arithmetic on every CPU
    recipe, train_nats, val_nats = GOLDEN[name]
    corpus = load_corpus("names")
    model = fresh(corpus, TreeConfig(fuse=(2, 2, 2), embedding=8, hidden=32))
    records = list(fit(model, corpus, recipe))
    assert [records[step].train_nats for step in (0, 9, 59)] == pytest.approx(train_nats, abs=1e-4)
    assert [record.val_nats for record in records if record.val_nats is not None] == pytest.approx(val_nats, abs=1e-4)


@pytest.mark.filterwarnings("ignore:Please use the new API")  # torch 2.9, of the function that this test calls
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_set_in_the_steps_only(corpus: LineCorpus, precision: Precision) -> None:
    before = torch.get_float32_matmul_precision()
    model = fresh(corpus)
    for record in fit(model, corpus, Recipe(steps=3, batch_size=16, precision=precision)):
        assert torch.get_float32_matmul_precision() == before
        assert record.val_nats is None or isfinite(record.val_nats)
