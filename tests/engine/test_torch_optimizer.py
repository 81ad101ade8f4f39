"""Optimizers of torch: the recipe's as one of them, and any of them in `fit`."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

import wavemore as wm
from wavemore.engine.fit import fit
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.recipe import Recipe
from wavemore.engine.torch_optimizer import RecipeOptimizer
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.text.line_corpus import LineCorpus

TRAINED = [name for name in MODELS if name != "ngram"]
RECIPE = Recipe(steps=12, batch_size=60, learning_rate=0.02, adamw_learning_rate=0.01, num_evals=3)
Make = Callable[[Model], torch.optim.Optimizer]


def give_gradients(model: Model, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random)


@pytest.mark.parametrize("kind", ["muon", "adamw", "sgd"])
@pytest.mark.parametrize("name", ["tree", "wavenet", "lstm"])
def test_it_takes_the_steps_of_fit_with_a_scheduler_of_torch(name: str, kind: Any) -> None:
    recipe = replace(RECIPE, optimizer=kind)
    ours, theirs = (build(name, 9, seed=0) for _ in range(2))
    inside, outside = Optimizers(ours, recipe), RecipeOptimizer(theirs, recipe)
    scheduler = torch.optim.lr_scheduler.LambdaLR(outside, recipe.learning_rate_scale)
    for step in range(4):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        inside.step(recipe.learning_rate_scale(step))
        outside.step()
        scheduler.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    assert {"hidden", "rest"} == {group["name"] for group in outside.param_groups}


@pytest.mark.parametrize("kind", ["muon", "adamw", "sgd"])
def test_it_continues_from_its_state(kind: Any) -> None:
    recipe = replace(RECIPE, optimizer=kind)
    model = build("tree", 9, hidden=8)
    optimizer = RecipeOptimizer(model, recipe)
    for step in range(3):
        give_gradients(model, step)
        optimizer.step()
    other = deepcopy(model)
    resumed = RecipeOptimizer(other, recipe)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for step in range(3, 6):
        for each, one in ((model, optimizer), (other, resumed)):
            give_gradients(each, step)
            one.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_closure_gives_the_loss_and_frozen_parameters_stay() -> None:
    model = build("bow", 9)
    model.get_submodule("embedding").requires_grad_(False)
    before = deepcopy(model.state_dict())
    optimizer = RecipeOptimizer(model, RECIPE)

    def closure() -> float:
        optimizer.zero_grad()
        loss: torch.Tensor = model(torch.zeros(2, 5, dtype=torch.int64)).square().mean()
        torch.autograd.backward(loss)
        return loss.item()

    assert optimizer.step(closure) > 0
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert "embedding.weight" not in moved


@pytest.mark.parametrize("name", TRAINED)
def test_fit_with_torchs_adamw_is_the_recipes(
    name: str, corpus: LineCorpus, small_settings: dict[str, dict[str, Any]]
) -> None:
    recipe = replace(RECIPE, optimizer="adamw", weight_decay=0.0, learning_rate=0.01)
    ours, theirs = (build(name, len(corpus.vocabulary), **small_settings[name]).double() for _ in range(2))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.0)
    losses = [record.train_nats for record in fit(ours, corpus, recipe)]
    assert [record.train_nats for record in fit(theirs, corpus, recipe, optimizer=optimizer)] == pytest.approx(losses)
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize(
    "make",
    [
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        lambda model: torch.optim.NAdam(model.parameters(), lr=0.01),
        lambda model: RecipeOptimizer(model, RECIPE),
    ],
)
def test_a_training_with_an_optimizer_of_torch_resumes_bit_identically(make: Make, corpus: LineCorpus) -> None:
    whole, stopped, resumed = (build("tree", len(corpus.vocabulary), hidden=8) for _ in range(3))
    losses = [record.train_nats for record in fit(whole, corpus, RECIPE, optimizer=make(whole))]
    training = fit(stopped, corpus, RECIPE, optimizer=make(stopped))
    for record in training:
        if record.step == 5:
            checkpoint = training.checkpoint()
            break
    rest = [record.train_nats for record in fit(resumed, corpus, RECIPE, optimizer=make(resumed), resume=checkpoint)]
    assert rest == losses[5:]
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    with pytest.raises(wm.RunError, match="does not fit this training"):
        list(fit(stopped, corpus, RECIPE, resume=checkpoint))


def test_a_scheduler_between_the_records_is_obeyed(corpus: LineCorpus) -> None:
    recipe = replace(RECIPE, schedule="constant", warmup_fraction=0.0, ema_decay=0.0)
    model = build("bigram", len(corpus.vocabulary))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.0)
    states = []
    for _ in fit(model, corpus, recipe, optimizer=optimizer):
        scheduler.step()
        states.append(model.state_dict()["table.weight"].clone())
    assert all(torch.equal(state, states[0]) for state in states)


def test_wrong_optimizers_are_errors_of_one_line(corpus: LineCorpus) -> None:
    size = len(corpus.vocabulary)
    model, other = build("bigram", size), build("bigram", size)
    with pytest.raises(wm.UsageError, match="parameters that are not the model's"):
        list(fit(model, corpus, RECIPE, optimizer=torch.optim.SGD(other.parameters(), lr=0.1)))
    with pytest.raises(wm.UsageError, match="LBFGS"):
        list(fit(model, corpus, RECIPE, optimizer=torch.optim.LBFGS(model.parameters())))
    with pytest.raises(wm.UsageError, match="is a str"):
        list(fit(model, corpus, RECIPE, optimizer="adam"))  # type: ignore[arg-type]
    with pytest.raises(wm.UsageError, match="an ngram is counted"):
        list(fit(build("ngram", size), corpus, RECIPE, optimizer=torch.optim.SGD(model.parameters(), lr=0.1)))
    with pytest.raises(wm.ModelError, match="a Sequential is not a wavemore model"):
        list(fit(torch.nn.Sequential(), corpus, RECIPE))  # type: ignore[arg-type]
