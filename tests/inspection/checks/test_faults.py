"""Faults that are planted in real models and training runs are found, and healthy models have no findings."""

import random
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.engine.batch_samplers import BatchSampler
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import StepRecord
from wavemore.errors import ModelError
from wavemore.inspection.finding import Finding
from wavemore.inspection.inspect import inspect_model
from wavemore.nn.activations import Tanh
from wavemore.nn.layers import Dropout
from wavemore.nn.models import build
from wavemore.nn.norms import BatchNorm1d
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import windows


@dataclass(frozen=True)
class Trained:
    """A model, the same before training, and the records in between."""

    model: Tree
    start: Tree
    recipe: Recipe
    corpus: LineCorpus
    records: list[StepRecord] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        result = inspect_model(
            self.model.eval(), self.corpus, recipe=self.recipe, records=self.records, start=self.start
        )
        return result.findings

    def kinds(self) -> list[str]:
        return kinds_of(self.findings())

    def places(self) -> list[tuple[str, str]]:
        return [(finding.kind, finding.where) for finding in self.findings()]


@pytest.fixture(scope="module")
def corpus() -> LineCorpus:
    """1,000 names."""
    lines = list(load_corpus("names").train.lines)
    return LineCorpus.from_lines(random.Random(1).sample(lines, 1_000), name="1,000 names")


def train(corpus: LineCorpus, change: Callable[[Tree], object] = lambda model: None, **settings: Any) -> Trained:
    """A real training, after a change of the untrained model."""
    planned = plan(corpus, **{"model": "tree"} | settings)
    assert isinstance(planned.model_config, TreeConfig)
    model = build("tree", len(corpus.vocabulary), planned.model_config, seed=planned.recipe.seed)
    with torch.no_grad():
        change(model)
    start = deepcopy(model)
    return Trained(model, start, planned.recipe, corpus, list(fit(model, corpus, planned.recipe)))


def untrained(corpus: LineCorpus, **settings: Any) -> Tree:
    return build("tree", len(corpus.vocabulary), TreeConfig(**settings), seed=0)


def kinds_of(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def layers_of(model: Tree, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


QUICK: Mapping[str, Any] = {"batch_size": 128, "epochs": 4.0, "hidden": 48}
LECTURE: Mapping[str, Any] = {"preset": "lecture", "execution": "unique", "steps": 400, "hidden": 48}


@pytest.fixture(scope="module")
def healthy(corpus: LineCorpus) -> Trained:
    return train(corpus, **QUICK)


@pytest.fixture
def changed(healthy: Trained) -> Iterator[Trained]:
    """The healthy training, to be damaged."""
    with torch.no_grad():
        yield Trained(deepcopy(healthy.model), healthy.start, healthy.recipe, healthy.corpus, healthy.records)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**QUICK, "epochs": 1.0, "activation": "relu", "norm": "layer", "dropout": 0.2},
        {**QUICK, "activation": "tanh", "norm": "none", "ema_decay": 0.0},
        {**QUICK, "optimizer": "adamw", "learning_rate": 0.02},
        {**LECTURE, "norm": "none"},
        {**LECTURE, "fuse": (3,), "embedding": 10, "hidden": 200},
    ],
    ids=str,
)
def test_good_recipes_are_healthy(corpus: LineCorpus, settings: Any) -> None:
    assert train(corpus, **settings).findings() == []


@pytest.mark.parametrize(
    ("norm", "activation"), [("batch", "gelu"), ("layer", "relu"), ("rms", "silu"), ("none", "tanh"), ("none", "relu")]
)
def test_untrained_models_are_healthy(corpus: LineCorpus, norm: Any, activation: Any) -> None:
    assert inspect_model(untrained(corpus, norm=norm, activation=activation), corpus, recipe=Recipe()).findings == []


# The learning rate.


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        ({**QUICK, "activation": "tanh"}, 0.004, 0.4),
        ({**QUICK, "optimizer": "adamw"}, 0.001, 0.4),
        ({**LECTURE, "norm": "none"}, 0.01, 3.0),
    ],
    ids=["muon", "adamw", "sgd"],
)
def test_a_learning_rate_that_is_too_low_or_too_high(
    corpus: LineCorpus, settings: Any, low: float, high: float
) -> None:
    def kinds_at(rate: float) -> list[str]:
        kinds = train(corpus, **{**settings, "learning_rate": rate}).kinds()
        return [kind for kind in kinds if kind.startswith("learning")]

    assert kinds_at(low) == ["learning rate too low"]
    assert kinds_at(high) == ["learning rate too high"]


def test_weight_decay_that_shrinks_the_weights_away(corpus: LineCorpus) -> None:
    findings = train(corpus, **QUICK, optimizer="sgd", learning_rate=0.04, weight_decay=2.0).findings()
    [finding] = [finding for finding in findings if finding.kind == "learning rate too high"]
    assert "less `weight_decay` than 2" in finding.message


def test_overfitting(corpus: LineCorpus) -> None:
    short = LineCorpus.from_lines(list(corpus.train.lines)[:200])
    trained = train(short, batch_size=64, hidden=64, weight_decay=0.0, epochs=20.0, ema_decay=0.9)
    assert "overfitting" in trained.kinds()


# Modes and normalisations.


def test_a_model_that_was_left_in_training_mode(changed: Trained) -> None:
    findings = inspect_model(changed.model.train(), changed.corpus).findings
    assert kinds_of(findings) == ["eval mode forgotten"]
    assert "model.eval()" in findings[0].message
    assert changed.model.training
    assert inspect_model(changed.model.eval(), changed.corpus).findings == []
    layers_of(changed.model, BatchNorm1d)[1].train()
    [finding] = inspect_model(changed.model, changed.corpus).findings
    assert (finding.kind, finding.where) == ("eval mode forgotten", "7")


def test_dropout_that_is_always_on(changed: Trained) -> None:
    class Always(Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.3, training=True)

    changed.model.layers.insert(5, Always())
    assert "random in eval mode" in changed.kinds()


def test_a_batchnorm_that_ignores_eval_mode(changed: Trained) -> None:
    class Ignorant(BatchNorm1d):
        def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
            self.training = True
            return super().forward(x, counts)

    for norm in layers_of(changed.model, BatchNorm1d):
        norm.__class__ = Ignorant
    assert "batch statistics in eval mode" in changed.kinds()


def test_statistics_that_were_never_updated(changed: Trained) -> None:
    for norm in layers_of(changed.model, BatchNorm1d):
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
    findings = changed.findings()
    assert {*kinds_of(findings)} >= {"BatchNorm statistics", "train/eval gap"}
    assert sum("never updated" in finding.message for finding in findings) == 3
    for norm in layers_of(changed.model, BatchNorm1d):
        norm.num_batches_tracked.zero_()
    assert [where for _, where in changed.places()] == ["3 BatchNorm1d", "7 BatchNorm1d", "11 BatchNorm1d"]


def test_an_untrained_model_in_eval_mode_has_no_statistics(corpus: LineCorpus) -> None:
    findings = inspect_model(untrained(corpus).eval(), corpus).findings
    assert kinds_of(findings) == ["BatchNorm statistics"] * 3


def test_a_momentum_of_0_or_1_and_a_large_eps(corpus: LineCorpus) -> None:
    def change(model: Tree) -> None:
        first, second, third = layers_of(model, BatchNorm1d)
        first.momentum, second.momentum, third.eps = 0.0, 1.0, 1.0

    findings = {finding.where: finding for finding in train(corpus, change, **QUICK).findings()}
    assert "its momentum is 0" in findings["3 BatchNorm1d"].message
    assert findings["7 BatchNorm1d"].kind == "BatchNorm statistics"
    assert "momentum" in findings["7 BatchNorm1d"].message
    assert findings["11 BatchNorm1d"].kind == "BatchNorm eps"


def test_statistics_of_other_data(changed: Trained) -> None:
    layers_of(changed.model, BatchNorm1d)[2].running_mean += 2.0
    assert ("BatchNorm statistics", "11 BatchNorm1d") in changed.places()


def test_small_batches_and_few_steps(corpus: LineCorpus) -> None:
    assert {"small batch", "context not used"} <= {*train(corpus, batch_size=4, steps=3, hidden=16).kinds()}


class BatchNormByHand(nn.Module):
    """With `over` 0 it has the lecture's bug: every position has its own statistics."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, over: Any = 0) -> None:
        super().__init__()
        self.over = over
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mean, var = x.mean(self.over, keepdim=True), x.var(self.over, keepdim=True)
            with torch.no_grad():
                self.running_mean = 0.9 * self.running_mean + 0.1 * mean
                self.running_var = 0.9 * self.running_var + 0.1 * var
        else:
            mean, var = self.running_mean, self.running_var
        return self.weight * (x - mean) / (var + 1e-5).sqrt() + self.bias


def train_by_hand(model: Tree, corpus: LineCorpus, steps: int = 60) -> Tree:
    """A training loop as a learner writes it: windows and SGD."""
    sampler = BatchSampler(corpus.train.num_targets, 128, "shuffle", seed=0)
    for step in range(steps):
        positions = sampler.at(step)
        tokens = torch.from_numpy(windows(corpus.train.tokens, positions, model.config.receptive_field).astype("int64"))
        loss = F.cross_entropy(model.windows(tokens), torch.from_numpy(corpus.train.tokens[positions].astype("int64")))
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.3 * parameter.grad)
    return model


def with_norms(corpus: LineCorpus, make: Callable[[int], nn.Module]) -> Tree:
    model = untrained(corpus, hidden=32, embedding=10)
    for place, layer in enumerate(model.layers):
        if isinstance(layer, BatchNorm1d):
            model.layers[place] = make(layer.num_features)
    return model


@pytest.mark.parametrize(
    ("over", "places"),
    [(0, ["3", "7"]), (-1, ["3", "7", "11"]), ((0, 1, 2), ["3", "7", "11"])],
    ids=["batch alone", "channels", "everything"],
)
def test_batchnorm_over_the_wrong_axes(corpus: LineCorpus, over: Any, places: list[str]) -> None:
    model = train_by_hand(with_norms(corpus, lambda channels: BatchNormByHand(channels, over)), corpus)
    for mode in (True, False):
        try:
            findings = inspect_model(model.train(mode), corpus).findings
        except ModelError:  # statistics of every row fit no other batch
            model = with_norms(corpus, lambda channels: BatchNormByHand(channels, over))
            findings = inspect_model(model, corpus).findings
        assert [finding.where.split()[0] for finding in findings if finding.kind == "BatchNorm axes"] == places


def test_the_bug_of_the_lecture(corpus: LineCorpus) -> None:
    findings = inspect_model(untrained(corpus, norm="batch-per-position"), corpus).findings
    assert [(finding.kind, finding.where) for finding in findings] == [
        ("BatchNorm axes", "3 BatchNorm1dPerPosition"),
        ("BatchNorm axes", "7 BatchNorm1dPerPosition"),
    ]


class ChannelsLast(nn.BatchNorm1d):
    """torch's own, for channels in the last place, as a tree has them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


@pytest.mark.parametrize("make", [lambda channels: BatchNormByHand(channels, over=(0, 1)), ChannelsLast])
def test_batchnorm_over_the_right_axes(corpus: LineCorpus, make: Any) -> None:
    model = train_by_hand(with_norms(corpus, make), corpus)
    assert inspect_model(model.eval(), corpus).findings == []


def test_torchs_own_batchnorm_takes_the_middle_axis_for_channels(corpus: LineCorpus) -> None:
    model = with_norms(corpus, nn.BatchNorm1d)
    for place, positions in ((3, 4), (7, 2), (11, 1)):
        model.layers[place] = nn.BatchNorm1d(positions)  # so that it runs
    findings = inspect_model(train_by_hand(model, corpus, steps=20).eval(), corpus).findings
    wrong = [finding.where for finding in findings if finding.kind == "BatchNorm axes"]
    assert wrong[:2] == ["3 BatchNorm1d", "7 BatchNorm1d"]


# Weights, units and scales.


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_an_overconfident_last_layer(corpus: LineCorpus, norm: Any) -> None:
    trained = train(
        corpus, lambda model: model.layers[-1].get_parameter("weight").mul_(10), norm=norm, steps=5, hidden=128
    )
    assert "initial loss" in trained.kinds()
    assert "initial loss" in kinds_of(inspect_model(trained.start, corpus).findings)


def test_a_last_layer_that_was_scaled_after_training(changed: Trained) -> None:
    changed.model.layers[-1].get_parameter("weight").mul_(10)
    assert "overconfident" in changed.kinds()


def test_saturated_tanh(corpus: LineCorpus) -> None:
    def change(model: Tree) -> None:
        for place in (2, 5, 8):
            model.layers[place].get_parameter("weight").mul_(5)

    trained = train(corpus, change, **QUICK, activation="tanh", norm="none")
    assert "saturated layer" in trained.kinds()
    findings = inspect_model(trained.start, corpus).findings
    assert [finding.where for finding in findings if finding.kind == "saturated layer"] == [
        "3 Tanh",
        "6 Tanh",
        "9 Tanh",
    ]


def test_a_frozen_layer(corpus: LineCorpus) -> None:
    trained = train(corpus, lambda model: model.layers[6].requires_grad_(False), **QUICK)
    assert trained.places() == [("frozen layer", "6.weight")]
    trained.model.layers[6].requires_grad_(True)  # only its values can tell now
    assert trained.places() == [("frozen layer", "6.weight")]


def test_layers_that_no_gradient_reaches(corpus: LineCorpus) -> None:
    class Cut(Tanh):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x.detach())

    def change(model: Tree) -> None:
        model.layers[8] = Cut()

    places = train(corpus, change, **QUICK, activation="tanh").places()
    assert [where for kind, where in places if kind == "frozen layer"] == ["0.weight", "2.weight", "6.weight"]


def test_dead_units(corpus: LineCorpus) -> None:
    def change(model: Tree) -> None:
        model.layers[2].get_parameter("bias")[:5] = -100.0

    findings = train(corpus, change, activation="relu", norm="none", steps=40, hidden=64).findings()
    [finding] = [finding for finding in findings if finding.kind == "dead units"]
    assert finding.where == "3 ReLU"
    assert finding.message.startswith("5 of 64 units")


def test_a_unit_with_the_same_value_for_every_input(changed: Trained) -> None:
    layers_of(changed.model, BatchNorm1d)[0].weight[7] = 0
    assert ("dead units", "4 SiLU") in changed.places()


@pytest.mark.parametrize(("factor", "kind"), [(100.0, "exploding activations"), (0.01, "vanishing activations")])
def test_activations_that_explode_or_vanish(corpus: LineCorpus, factor: float, kind: str) -> None:
    model = untrained(corpus, norm="none", activation="relu")
    with torch.no_grad():
        for place in (2, 5, 8):
            model.layers[place].get_parameter("weight").mul_(factor)
    assert kind in kinds_of(inspect_model(model, corpus).findings)


def test_weights_that_are_not_finite(changed: Trained) -> None:
    changed.model.layers[6].get_parameter("weight")[3, 4] = float("nan")
    assert changed.places() == [("not finite", "6.weight")]


def test_identical_and_zero_weights(corpus: LineCorpus) -> None:
    for value, kind in ((0.01, "identical units"), (0.0, "zero weights")):
        model = untrained(corpus, norm="layer")
        with torch.no_grad():
            model.layers[6].get_parameter("weight").fill_(value)
        assert (kind, "6.weight") in [(f.kind, f.where) for f in inspect_model(model, corpus).findings]
    model = untrained(corpus)
    with torch.no_grad():
        model.layers[-1].get_parameter("weight").zero_()  # a common way to start
    assert inspect_model(model, corpus).findings == []


# Data and losses.


def test_a_last_layer_of_another_vocabulary(changed: Trained) -> None:
    order = torch.randperm(len(changed.corpus.vocabulary), generator=torch.Generator().manual_seed(1))
    for name in ("weight", "bias"):
        parameter = changed.model.layers[-1].get_parameter(name)
        parameter.copy_(parameter[order])
    assert "worse than guessing" in changed.kinds()


def test_a_context_that_is_longer_than_the_lines(corpus: LineCorpus) -> None:
    [finding] = inspect_model(untrained(corpus, fuse=(2, 2, 2, 2)), corpus).findings
    assert finding.kind == "long context"
    assert "such as 8" in finding.message


def test_positions_without_effect(corpus: LineCorpus) -> None:
    class Newest(Tanh):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return torch.cat([torch.zeros_like(y[:, :2]), y[:, 2:]], dim=1)

    model = untrained(corpus, norm="layer")
    model.layers[4] = Newest()
    result = inspect_model(model, corpus)
    assert result.receptive_field == 4
    [finding] = [finding for finding in result.findings if finding.kind == "unused context"]
    assert "5, 6, 7, 8" in finding.message


def test_characters_that_do_not_occur_in_train(corpus: LineCorpus) -> None:
    lines = [line for line in corpus.train.lines if "a" in line][:200]
    other = LineCorpus.from_lines(lines, vocabulary=type(corpus.vocabulary)("abcdefghijklmnopqrstuvwxyzé"))
    findings = inspect_model(untrained(other), other).findings
    [finding] = [finding for finding in findings if finding.kind == "untrained characters"]
    assert "'é'" in finding.message
