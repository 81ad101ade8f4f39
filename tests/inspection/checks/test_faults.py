"""Faults planted in real trainings are found, and healthy models have no finding."""

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.engine.batches import Positions
from wavemore.engine.fit import Progress, fit
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Recipe
from wavemore.errors import ModelError
from wavemore.inspection.finding import Finding
from wavemore.inspection.inspect import inspect_model
from wavemore.nn.config import TreeConfig
from wavemore.nn.layers import BatchNorm1d, Dropout, Tanh
from wavemore.nn.models import build
from wavemore.nn.tree import Tree
from wavemore.text.corpus import Corpus, windows
from wavemore.text.datasets import load


@dataclass(frozen=True)
class Trained:
    """A model, what it was before training, and the records in between."""

    model: Tree
    start: Tree
    recipe: Recipe
    corpus: Corpus
    records: list[Progress] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        self.model.eval()
        return inspect_model(
            self.model, self.corpus, recipe=self.recipe, records=self.records, start=self.start
        ).findings

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.findings()]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """1,000 names."""
    lines = list(load("names").train.lines)
    return Corpus.from_lines(random.Random(1).sample(lines, 1_000), name="1,000 names")


def train(
    corpus: Corpus, change: Callable[[Tree], object] = lambda model: None, preset: Any = "auto", **settings: Any
) -> Trained:
    """A real training, after a change of the fresh model."""
    chosen = plan(corpus, preset, settings)
    model = build("tree", len(corpus.vocabulary), chosen.tree, seed=chosen.recipe.seed)
    with torch.no_grad():
        change(model)
    start = deepcopy(model)
    return Trained(model, start, chosen.recipe, corpus, list(fit(model, corpus, chosen.recipe)))


QUICK: Mapping[str, Any] = {"batch_size": 128, "epochs": 4.0, "hidden": 48}
LECTURE: Mapping[str, Any] = {"preset": "lecture", "execution": "unique", "steps": 400, "hidden": 48}


@pytest.fixture(scope="module")
def healthy(corpus: Corpus) -> Trained:
    return train(corpus, **QUICK)


@pytest.fixture
def changed(healthy: Trained) -> Trained:
    """The healthy training, to be spoilt."""
    return Trained(deepcopy(healthy.model), healthy.start, healthy.recipe, healthy.corpus, healthy.records)


def layers_of(model: Tree, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_the_default_is_healthy(corpus: Corpus) -> None:
    assert train(corpus).findings() == []


@pytest.mark.parametrize(
    "settings",
    [
        {**QUICK, "seed": 1, "average": 0.0},
        {**QUICK, "activation": "tanh", "norm": "none"},
        {**QUICK, "activation": "relu", "norm": "layer"},
        {**QUICK, "dropout": 0.2},
        {**QUICK, "epochs": 1.0},
        {**QUICK, "optimizer": "adamw", "learning_rate": 0.02},
        {**LECTURE},
        {**LECTURE, "norm": "none"},
        {**LECTURE, "fuse": (3,), "embedding": 10, "hidden": 200},
    ],
    ids=str,
)
def test_other_good_recipes_are_healthy(corpus: Corpus, settings: Any) -> None:
    assert train(corpus, **settings).findings() == []


@pytest.mark.parametrize("norm", ["batch", "layer", "rms", "none"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "silu"])
def test_fresh_models_are_healthy(corpus: Corpus, norm: Any, activation: Any) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(norm=norm, activation=activation), seed=0)
    assert inspect_model(model, corpus, recipe=Recipe()).findings == []


# The pace of learning.


@pytest.mark.parametrize(
    ("settings", "low", "good", "high"),
    [
        (QUICK, 0.004, 0.04, 0.4),
        ({**QUICK, "seed": 1, "activation": "tanh"}, 0.004, 0.04, 0.4),
        # With AdamW all from 0.004 to 0.1 are nearly as good as each other.
        ({**QUICK, "optimizer": "adamw"}, 0.001, 0.02, 0.4),
        (LECTURE, 0.01, 0.1, 1.0),
        ({**LECTURE, "seed": 1, "norm": "none"}, 0.01, 0.1, 1.0),
    ],
    ids=["muon", "muon, tanh", "adamw", "lecture", "lecture, no norm"],
)
def test_a_learning_rate_ten_times_too_low_or_too_high(
    corpus: Corpus, settings: Any, low: float, good: float, high: float
) -> None:
    def kinds_at(rate: float) -> list[str]:
        kinds = train(corpus, **{**settings, "learning_rate": rate}).kinds()
        return [kind for kind in kinds if kind.startswith("learning")]

    assert kinds_at(low) == ["learning rate too low"]
    assert kinds_at(good) == []
    assert kinds_at(high) == ["learning rate too high"]


def test_a_training_that_blew_up(corpus: Corpus) -> None:
    trained = train(corpus, **{**LECTURE, "norm": "none", "learning_rate": 3.0, "steps": 100})
    assert "learning rate too high" in trained.kinds()


def test_weight_decay_that_shrinks_everything_away(corpus: Corpus) -> None:
    trained = train(corpus, **QUICK, optimizer="sgd", learning_rate=0.04, weight_decay=2.0)
    assert "weight decay too high" in trained.kinds()


def test_overfitting(corpus: Corpus) -> None:
    assert "overfitting" in train(corpus, batch_size=128, hidden=64, weight_decay=0.0, epochs=20.0, average=0.9).kinds()


# Modes and normalisations.


def test_a_model_that_was_left_in_training_mode(changed: Trained) -> None:
    found = inspect_model(changed.model.train(), changed.corpus).findings
    assert [finding.kind for finding in found] == ["eval mode forgotten"]
    assert "model.eval()" in found[0].words
    assert changed.model.training
    found = inspect_model(changed.model.eval(), changed.corpus).findings
    assert found == []
    layers_of(changed.model, BatchNorm1d)[1].train()  # one alone
    found = inspect_model(changed.model, changed.corpus).findings
    assert [(finding.kind, finding.where) for finding in found] == [("eval mode forgotten", "7")]


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
    found = changed.findings()
    assert {finding.kind for finding in found} >= {"BatchNorm statistics", "train/eval gap"}
    assert sum("never updated" in finding.words for finding in found) == 3
    for norm in layers_of(changed.model, BatchNorm1d):
        norm.num_batches_tracked.zero_()
    found = changed.findings()
    assert [finding.where for finding in found] == ["3 BatchNorm1d", "7 BatchNorm1d", "11 BatchNorm1d"]


def test_a_fresh_model_in_eval_mode_has_no_statistics(corpus: Corpus) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(), seed=0)
    assert inspect_model(model, corpus).findings == []
    found = inspect_model(model.eval(), corpus).findings
    assert [finding.kind for finding in found] == ["BatchNorm statistics"] * 3


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_a_momentum_that_remembers_nothing_or_all(corpus: Corpus, momentum: float) -> None:
    def change(model: Tree) -> None:
        for norm in layers_of(model, BatchNorm1d):
            norm.momentum = momentum

    found = [finding for finding in train(corpus, change, **QUICK).findings() if finding.kind != "train/eval gap"]
    assert [finding.kind for finding in found[:3]] == ["BatchNorm statistics"] * 3
    assert all("momentum" in finding.words for finding in found[:3])


def test_statistics_of_other_data(changed: Trained) -> None:
    layers_of(changed.model, BatchNorm1d)[2].running_mean += 2.0
    found = changed.findings()
    assert ("BatchNorm statistics", "11 BatchNorm1d") in [(finding.kind, finding.where) for finding in found]


def test_an_eps_that_drowns_the_variance(corpus: Corpus) -> None:
    def change(model: Tree) -> None:
        for norm in layers_of(model, BatchNorm1d):
            norm.eps = 1.0

    assert train(corpus, change, **{**QUICK, "epochs": 1.0}).kinds().count("BatchNorm eps") == 3


def test_batches_that_are_too_small(corpus: Corpus) -> None:
    assert "small batch" in train(corpus, batch_size=4, steps=50, hidden=16).kinds()


class BatchNormByHand(nn.Module):
    """The lecture's bug, where `over` is 0: every position has statistics of its own."""

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


def by_hand(model: Tree, corpus: Corpus, steps: int = 60) -> Tree:
    """A training loop as a learner writes it: windows and SGD."""
    positions = Positions(corpus.train.targets, 128, "shuffle", seed=0)
    for step in range(steps):
        picked = positions.at(step)
        tokens = torch.from_numpy(windows(corpus.train.tokens, picked, model.context).astype("int64"))
        loss = F.cross_entropy(model(tokens), torch.from_numpy(corpus.train.tokens[picked].astype("int64")))
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.3 * parameter.grad)
    return model


def with_norms(corpus: Corpus, make: Callable[[int], nn.Module]) -> Tree:
    model = build("tree", len(corpus.vocabulary), TreeConfig(hidden=32, embedding=10), seed=0)
    for place, layer in enumerate(model.layers):
        if isinstance(layer, BatchNorm1d):
            model.layers[place] = make(layer.num_features)
    return model


@pytest.mark.parametrize("eval_mode", [True, False])
@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda channels: BatchNormByHand(channels, over=0), ["3", "7"]),
        (lambda channels: BatchNormByHand(channels, over=-1), ["3", "7", "11"]),
        (lambda channels: BatchNormByHand(channels, over=(0, 1, 2)), ["3", "7", "11"]),
    ],
    ids=["batch alone", "channels", "everything"],
)
def test_batchnorm_over_the_wrong_axes(corpus: Corpus, make: Any, where: list[str], eval_mode: bool) -> None:
    model = by_hand(with_norms(corpus, make), corpus).train(not eval_mode)
    try:
        found = inspect_model(model, corpus).findings
    except ModelError:  # over the channels, its statistics fit no other batch
        model = with_norms(corpus, make)
        found = inspect_model(model, corpus).findings
    wrong = [finding.where.split()[0] for finding in found if finding.kind == "BatchNorm axes"]
    assert wrong == where


def test_the_lectures_bug_that_was_trained(corpus: Corpus) -> None:
    found = train(corpus, **QUICK, norm="batch-per-position", execution="windows").findings()
    assert [(finding.kind, finding.where) for finding in found] == [
        ("BatchNorm axes", "3 BatchNorm1dPerPosition"),
        ("BatchNorm axes", "7 BatchNorm1dPerPosition"),
    ]


def test_batchnorm_over_the_right_axes(corpus: Corpus) -> None:
    model = by_hand(with_norms(corpus, lambda channels: BatchNormByHand(channels, over=(0, 1))), corpus)
    assert inspect_model(model.eval(), corpus).findings == []


def test_torchs_own_batchnorm_reads_the_middle_as_channels(corpus: Corpus) -> None:
    class Turned(nn.BatchNorm1d):
        """Channels last, as the tree has them."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.mT).mT

    right = by_hand(with_norms(corpus, Turned), corpus)
    assert inspect_model(right.eval(), corpus).findings == []
    wrong = with_norms(corpus, nn.BatchNorm1d)
    for place, positions in ((3, 4), (7, 2), (11, 1)):
        wrong.layers[place] = nn.BatchNorm1d(positions)  # so that it runs
    found = inspect_model(by_hand(wrong, corpus).eval(), corpus).findings
    assert [finding.where for finding in found if finding.kind == "BatchNorm axes"][:2] == [
        "3 BatchNorm1d",
        "7 BatchNorm1d",
    ]


# Weights, units and scales.


def test_a_last_layer_with_too_much_confidence(corpus: Corpus) -> None:
    for norm in ("batch", "none"):
        for seed in range(3):
            trained = train(
                corpus, lambda model: model.layers[-1].get_parameter("weight").mul_(10), norm=norm, seed=seed, steps=5
            )
            assert "first loss" in trained.kinds()
            assert "first loss" in [finding.kind for finding in inspect_model(trained.start, corpus).findings]


def test_a_last_layer_that_was_scaled_after_training(changed: Trained) -> None:
    with torch.no_grad():
        changed.model.layers[-1].get_parameter("weight").mul_(10)
    assert "too confident" in changed.kinds()


def test_saturated_tanh(corpus: Corpus) -> None:
    def change(model: Tree) -> None:
        for place in (2, 5, 8):
            model.layers[place].get_parameter("weight").mul_(5)

    trained = train(corpus, change, **QUICK, activation="tanh", norm="none")
    assert "saturated layer" in trained.kinds()
    fresh = [finding for finding in inspect_model(trained.start, corpus).findings if finding.kind == "saturated layer"]
    assert [finding.where for finding in fresh] == ["3 Tanh", "6 Tanh", "9 Tanh"]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_a_frozen_layer(corpus: Corpus, weight_decay: float) -> None:
    trained = train(corpus, lambda model: model.layers[6].requires_grad_(False), **QUICK, weight_decay=weight_decay)
    assert [(finding.kind, finding.where) for finding in trained.findings()] == [("frozen layer", "6.weight")]
    trained.model.layers[6].requires_grad_(True)  # the traces are wiped
    assert [(finding.kind, finding.where) for finding in trained.findings()] == [("frozen layer", "6.weight")]


def test_a_layer_that_no_gradient_reaches(corpus: Corpus) -> None:
    class Cut(Tanh):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x.detach())

    def change(model: Tree) -> None:
        model.layers[8] = Cut()

    found = train(corpus, change, **QUICK, activation="tanh").findings()
    frozen = [finding.where for finding in found if finding.kind == "frozen layer"]
    assert frozen == ["0.weight", "2.weight", "6.weight"]


def test_dead_units(corpus: Corpus) -> None:
    def change(model: Tree) -> None:
        model.layers[2].get_parameter("bias")[:5] = -100.0

    trained = train(corpus, change, activation="relu", norm="none", steps=40, hidden=64)
    found = [finding for finding in trained.findings() if finding.kind == "dead units"]
    assert [finding.where for finding in found] == ["3 ReLU"]
    assert found[0].words.startswith("5 of 64 units")


def test_a_unit_that_says_the_same_for_every_input(changed: Trained) -> None:
    with torch.no_grad():
        layers_of(changed.model, BatchNorm1d)[0].weight[7] = 0
    assert ("dead units", "4 SiLU") in [(finding.kind, finding.where) for finding in changed.findings()]


@pytest.mark.parametrize(("factor", "kind"), [(100.0, "exploding activations"), (0.01, "vanishing activations")])
def test_activations_that_grow_or_die(corpus: Corpus, factor: float, kind: str) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(norm="none", activation="relu"), seed=0)
    with torch.no_grad():
        for place in (2, 5, 8):
            model.layers[place].get_parameter("weight").mul_(factor)
    assert kind in [finding.kind for finding in inspect_model(model, corpus).findings]


def test_weights_that_are_no_numbers(changed: Trained) -> None:
    with torch.no_grad():
        changed.model.layers[6].get_parameter("weight")[3, 4] = float("nan")
    assert [(finding.kind, finding.where) for finding in changed.findings()] == [("not finite", "6.weight")]


def test_equal_and_zero_weights(corpus: Corpus) -> None:
    for value, kind in ((0.01, "identical units"), (0.0, "zero weights")):
        model = build("tree", len(corpus.vocabulary), TreeConfig(norm="layer"), seed=0)
        with torch.no_grad():
            model.layers[6].get_parameter("weight").fill_(value)
        found = [(finding.kind, finding.where) for finding in inspect_model(model, corpus).findings]
        assert (kind, "6.weight") in found
    model = build("tree", len(corpus.vocabulary), TreeConfig(), seed=0)
    with torch.no_grad():
        model.layers[-1].get_parameter("weight").zero_()  # a usual way to begin
    assert inspect_model(model, corpus).findings == []


# Data and losses.


def test_targets_that_are_not_the_next_characters(corpus: Corpus) -> None:
    trained = train(corpus, **QUICK)
    with torch.no_grad():  # the answers of another vocabulary
        order = torch.randperm(len(corpus.vocabulary), generator=torch.Generator().manual_seed(1))
        for name in ("weight", "bias"):
            parameter = trained.model.layers[-1].get_parameter(name)
            parameter.copy_(parameter[order])
    assert "worse than guessing" in trained.kinds()


def test_a_model_that_knows_no_more_than_the_letters(corpus: Corpus) -> None:
    assert "blind to the context" in train(corpus, steps=3).kinds()


def test_a_context_that_is_longer_than_the_lines(corpus: Corpus) -> None:
    found = train(corpus, **QUICK, context=16).findings()
    assert [finding.kind for finding in found] == ["long context"]
    assert "--context 8" in found[0].words or "--context 4" in found[0].words


def test_positions_that_nothing_looks_at(corpus: Corpus) -> None:
    class Newest(Tanh):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return torch.cat([torch.zeros_like(y[:, :2]), y[:, 2:]], dim=1)

    model = build("tree", len(corpus.vocabulary), TreeConfig(norm="layer"), seed=0)
    model.layers[4] = Newest()
    found = inspect_model(model, corpus)
    assert found.receptive_field == 4
    [finding] = [finding for finding in found.findings if finding.kind == "unseen context"]
    assert "5, 6, 7, 8" in finding.words


def test_characters_that_train_does_not_hold(corpus: Corpus) -> None:
    lines = [line for line in corpus.train.lines if "a" in line][:200]
    other = Corpus.from_lines(lines, vocabulary=type(corpus.vocabulary)("abcdefghijklmnopqrstuvwxyzé"))
    model = build("tree", len(other.vocabulary), TreeConfig(), seed=0)
    found = [finding for finding in inspect_model(model, other).findings if finding.kind == "untrained characters"]
    assert len(found) == 1
    assert "'é'" in found[0].words
