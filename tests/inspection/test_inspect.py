"""The numbers of `inspect` are those of a pass by hand, for any kind of model, which is left as it was."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import wavemore as wm
from wavemore.engine.recipe import LECTURE, Recipe
from wavemore.errors import ModelError, RunError, UsageError
from wavemore.inspection.checks.learning_rate import typical_ratios
from wavemore.inspection.inspect import inspect, inspect_model
from wavemore.inspection.probe import MAX_LOGITS, Probe
from wavemore.inspection.tree_text import draw_tree
from wavemore.nn.activations import Tanh
from wavemore.nn.layers import Embedding, FlattenConsecutive, Linear, Sequential
from wavemore.nn.models import MODELS as MODELS_BY_NAME
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.runs.run import Run
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus


@pytest.fixture(scope="module")
def names() -> LineCorpus:
    return load_corpus("names")


def untrained(corpus: LineCorpus, **settings: Any) -> Tree:
    return build("tree", len(corpus.vocabulary), TreeConfig(**settings), seed=0)


def test_the_lectures_shapes(names: LineCorpus) -> None:
    result = inspect_model(untrained(names), names)
    rows = [(layer.name, layer.shape_letters, layer.shape, layer.parameters) for layer in result.layers]
    assert rows == [
        ("0 Embedding", "(B, T, E)", (1024, 8, 24), 27 * 24),
        ("1 FlattenConsecutive", "(B, T/2, 2E)", (1024, 4, 48), 0),
        ("2 Linear", "(B, T/2, H)", (1024, 4, 128), 48 * 128),
        ("3 BatchNorm1d", "(B, T/2, H)", (1024, 4, 128), 256),
        ("4 Tanh", "(B, T/2, H)", (1024, 4, 128), 0),
        ("5 FlattenConsecutive", "(B, T/4, 2H)", (1024, 2, 256), 0),
        ("6 Linear", "(B, T/4, H)", (1024, 2, 128), 256 * 128),
        ("7 BatchNorm1d", "(B, T/4, H)", (1024, 2, 128), 256),
        ("8 Tanh", "(B, T/4, H)", (1024, 2, 128), 0),
        ("9 FlattenConsecutive", "(B, T/8, 2H)", (1024, 1, 256), 0),
        ("10 Linear", "(B, T/8, H)", (1024, 1, 128), 256 * 128),
        ("11 BatchNorm1d", "(B, T/8, H)", (1024, 1, 128), 256),
        ("12 Tanh", "(B, T/8, H)", (1024, 1, 128), 0),
        ("13 Linear", "(B, T/8, V)", (1024, 1, 27), 128 * 27 + 27),
    ]
    assert result.parameters == sum(layer.parameters for layer in result.layers) == 76_579
    assert result.sizes == {"B": 1024, "T": 8, "E": 24, "H": 128, "V": 27}
    assert (result.context, result.receptive_field, result.fuse) == (8, 8, (2, 2, 2))


def test_the_numbers_are_those_of_a_pass_by_hand(names: LineCorpus) -> None:
    model = untrained(names, fuse=(4,), norm="none", embedding=6, hidden=10)
    result = inspect_model(model, names)
    tokens, targets = Probe(model, names, 4)._batch(names.train)
    embedded = model.layers[0](tokens)
    hidden = model.layers[3](model.layers[2](embedded.flatten(1)))
    hidden.retain_grad()
    logits = model.layers[4](hidden)
    F.cross_entropy(logits, targets, reduction="sum").backward()  # type: ignore[no-untyped-call]
    tanh, last = result.layers[3], result.layers[4]
    assert hidden.grad is not None
    assert tanh.mean == pytest.approx(hidden.mean().item(), abs=1e-6)
    assert tanh.std == pytest.approx(hidden.std(correction=0).item(), rel=1e-4)
    assert tanh.saturated == pytest.approx((hidden.abs() > 0.97).float().mean().item())
    assert tanh.gradient_std == pytest.approx(hidden.grad.std(correction=0).item(), rel=1e-4)
    assert last.std == pytest.approx(logits.std(correction=0).item(), rel=1e-4)
    assert last.saturated is None
    assert last.update_ratio is None
    counts, edges = result.activations["3 Tanh"]
    assert (len(counts) + 1, int(counts.sum())) == (len(edges), 1024 * 10)
    assert edges[0] == pytest.approx(hidden.min().item())
    counts, edges = result.gradients["3 Tanh"]
    assert edges[-1] == pytest.approx(hidden.grad.max().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("activation", "share"), [("relu", 0.5), ("gelu", 0.0122), ("silu", 0.00006)], ids=["relu", "gelu", "silu"]
)
def test_an_activation_is_saturated_where_it_is_flat(names: LineCorpus, activation: Any, share: float) -> None:
    result = inspect_model(untrained(names, activation=activation), names)
    [first, *_] = [layer.saturated for layer in result.layers if layer.saturated is not None]
    assert first == pytest.approx(share, abs=0.03)


def test_an_untrained_model_shows_the_first_step_of_its_recipe(names: LineCorpus) -> None:
    ratios = [layer.update_ratio for layer in inspect_model(untrained(names), names, recipe=Recipe()).layers]
    # Muon makes a step of lr times the size of an orthogonal matrix, and AdamW's first one has lr in every value.
    assert [ratio is not None for ratio in ratios].count(True) == 5
    assert ratios[6] == pytest.approx(np.log10(0.02), abs=0.15)
    assert ratios[0] is not None
    assert ratios[0] < np.log10(0.005)
    twice = [layer.update_ratio for layer in inspect_model(untrained(names), names, recipe=LECTURE).layers]
    assert twice[13] == pytest.approx(-1.5, abs=1)


def tensors_of(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in (*model.parameters(), *model.buffers())]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(names: LineCorpus, training: bool) -> None:
    model = untrained(names, dropout=0.3)
    with torch.no_grad():
        model(torch.randint(27, (32, 8)))
    model.train(training)
    model.layers[3].train(not training)
    model.layers[2].requires_grad_(False)
    model.layers[0].get_parameter("weight").grad = torch.ones(27, 24)
    before, modes = tensors_of(model), [module.training for module in model.modules()]
    random = torch.random.get_rng_state()
    inspect_model(model, names, recipe=Recipe())
    assert all(torch.equal(one, other) for one, other in zip(before, tensors_of(model), strict=True))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(random, torch.random.get_rng_state())
    gradient = model.layers[0].get_parameter("weight").grad
    assert gradient is not None
    assert bool((gradient == 1).all())
    assert model.layers[-1].get_parameter("weight").grad is None
    assert not model.layers[2].get_parameter("weight").requires_grad


def test_inspecting_twice_gives_the_same_numbers(names: LineCorpus) -> None:
    model = untrained(names)
    assert inspect_model(model, names).to_dict() == inspect_model(model, names).to_dict()


# Other models.


class Lectures(nn.Module):
    """As a learner writes it: plain tensors, and the output kept on the layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.mean, self.out = torch.zeros(channels), torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        over = tuple(range(x.ndim - 1))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(over).detach()
        self.out = self.gamma * (x - x.mean(over)) / (x.var(over) + 1e-5).sqrt() + self.beta
        return self.out


def torchs() -> nn.Module:
    head = nn.Linear(30, 27)
    with torch.no_grad():
        head.weight.mul_(0.1)
    return nn.Sequential(nn.Embedding(27, 10), nn.Flatten(), nn.Linear(40, 30), nn.ReLU(inplace=True), head)


class Recurrent(nn.Module):
    """One prediction per position."""

    context = 5

    def __init__(self) -> None:
        super().__init__()
        self.table, self.cell, self.head = nn.Embedding(27, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 27)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.cell(self.table(tokens))
        logits: Tensor = self.head(states)
        return logits


MODELS: dict[str, tuple[Callable[[], nn.Module], int, str]] = {
    "our layers": (lambda: untrained(load_corpus("names"), fuse=(2, 2)).layers, 4, "(B, T/2, H)"),
    "torch's layers": (torchs, 4, "(B, H)"),
    "a layer of the lecture": (
        lambda: Sequential(
            Embedding(27, 10), FlattenConsecutive(3), Linear(30, 20), Lectures(20), nn.Tanh(), Linear(20, 27)
        ),
        3,
        "(B, T/3, H)",
    ),
    "a recurrent net": (Recurrent, 5, ""),
}


@pytest.mark.parametrize("name", MODELS)
def test_any_torch_model(names: LineCorpus, name: str) -> None:
    make, context, letters = MODELS[name]
    model = make()
    result = inspect_model(model, names, recipe=Recipe(optimizer="adamw"))
    assert (result.context, result.receptive_field) == (context, context)
    assert result.layers[-1].shape_letters.endswith("V)")
    assert letters in {layer.shape_letters for layer in result.layers} | {""}
    if isinstance(model[3] if isinstance(model, nn.Sequential) else None, Lectures):
        assert not model[3].mean.any()  # type: ignore[index]
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "receptive_field"), [("gru", None), ("wavenet", 16), ("transformer", 253), ("bow", 8)]
)
def test_models_of_whole_lines(names: LineCorpus, name: str, receptive_field: int | None) -> None:
    model = build(name, len(names.vocabulary), MODELS_BY_NAME[name].config(), seed=0)
    result = inspect_model(model, names, recipe=Recipe())
    assert (result.context, result.receptive_field, result.findings) == (7, receptive_field, [])
    called = {layer.name.split()[0] for layer in result.layers}
    trained = {path.rpartition(".")[0] for path, _ in model.named_parameters()}
    assert trained <= called, "every layer with weights is in the table"


def test_layers_that_are_called_twice_and_shared(names: LineCorpus) -> None:
    shared = Linear(10, 10)
    model = Sequential(Embedding(27, 10), FlattenConsecutive(1), shared, Tanh(), shared, Tanh(), Linear(10, 27))
    rows = [(layer.name, layer.parameters) for layer in inspect_model(model, names).layers]
    assert rows[2] == ("2 Linear", 110)
    assert rows[4] == ("2 Linear (2)", 0)


def test_a_model_in_double(names: LineCorpus) -> None:
    assert inspect_model(untrained(names).double(), names).findings == []


def test_what_cannot_be_inspected(names: LineCorpus) -> None:
    with pytest.raises(ModelError, match="predicts 66 tokens, and the vocabulary of the data has 27"):
        inspect(build("tree", 66, TreeConfig(), seed=0), names)
    with pytest.raises(UsageError, match="give a corpus too"):
        inspect(untrained(names))
    with pytest.raises(UsageError, match="not list"):
        inspect([Linear(3, 4)], names)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="give its context length as `context`"):
        inspect(nn.Sequential(nn.Embedding(27, 4), nn.Flatten(), nn.Linear(400, 27)), names)
    with pytest.raises(ModelError, match=r"it must be \(B, 8\)"):
        inspect(untrained(names), names, context=9)
    with pytest.raises(ModelError, match=r"cannot read contexts of shape \(2048, 9\)"):
        inspect(torchs(), names, context=9)
    with pytest.raises(ModelError, match="must give logits"):
        inspect(nn.Sequential(nn.Embedding(27, 4), nn.Flatten(0)), names, context=2)


@pytest.mark.slow
def test_a_large_vocabulary_is_sampled_in_fewer_positions() -> None:
    characters = [chr(0x4E00 + number) for number in range(3_000)]
    corpus = LineCorpus.from_lines(["".join(characters[start : start + 40]) for start in range(0, 2_960, 2)])
    model = build("transformer", len(corpus.vocabulary), MODELS_BY_NAME["transformer"].config(), seed=0)
    result = inspect_model(model, corpus)
    for layer in result.layers:
        assert layer.shape[0] * layer.shape[1] * len(corpus.vocabulary) <= MAX_LOGITS


def test_a_list_with_few_lines() -> None:
    corpus = LineCorpus.from_lines(["ada", "bea", "cleo", "dora", "ella", "fay", "gwen", "hope", "iris", "june"])
    result = inspect_model(build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2)), seed=0), corpus)
    assert result.layers[0].shape[0] == corpus.train.num_targets


# Text, HTML and JSON.


def test_the_tree_shows_a_real_line(names: LineCorpus) -> None:
    result = inspect_model(untrained(names), names)
    assert result.line in list(names.val.lines)
    rows = result.tree.splitlines()
    assert "".join(rows[0].split()[:-1]).lstrip("·") in result.line
    assert rows[-1].split()[0].lstrip("·") + rows[-1].split()[-1] == result.line[: len(rows[-1].split()[0]) + 1]


@pytest.mark.parametrize("fuse", [(1,), (3,), (8,), (2, 2, 2), (2, 3, 4), (2,) * 7, (4096,)])
def test_every_tree_fits_in_a_terminal(fuse: tuple[int, ...]) -> None:
    context = "".join("\nab c天"[place % 6] for place in range(int(np.prod(fuse))))
    drawn = draw_tree(fuse, context, "x")
    assert max(map(len, drawn.splitlines())) < 100
    assert drawn.endswith("then: x")


def test_text_and_html_show_everything_and_escape_the_data() -> None:
    lines = [f"<b>{letter}&" for letter in "abcdefghijklmnopqrst"]
    corpus = LineCorpus.from_lines(lines, name="<script>")
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2)), seed=0)
    result = inspect_model(model.eval(), corpus, title="<i>mine</i>")
    assert result.findings
    html = result._repr_html_()
    assert "<i>" not in html
    assert "<b>a" not in html
    assert "&lt;i&gt;mine" in html
    assert html.count("<tr>") == len(result.layers) + 1
    assert html.count("<li>") == len(result.problems) == 2 < len(result.findings)
    assert "color" not in html.replace("color:inherit", "")  # whatever the theme
    text = str(result)
    for layer in result.layers:
        assert layer.name in text
    for finding in result.findings:
        assert finding.message in text


def test_json_has_null_for_numbers_that_are_not_finite(names: LineCorpus) -> None:
    model = untrained(names)
    with torch.no_grad():
        model.layers[2].get_parameter("weight").fill_(float("inf"))
    result = inspect_model(model, names)
    assert "not finite" in [finding.kind for finding in result.findings]
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["layers"][3]["mean"] is None
    assert record["layers"][0]["mean"] is not None
    assert record["losses"]["training_mode_nats"] is None
    assert str(result)


# Runs.


def test_a_run(trained: Run, train_until: Callable[..., None], corpus: LineCorpus) -> None:
    train_until(trained, corpus)
    result = inspect(trained)
    assert result.title == str(trained.path)
    ratios = typical_ratios(trained.metrics())
    shown = {layer.name: layer.update_ratio for layer in result.layers if layer.update_ratio is not None}
    assert list(shown.values()) == [pytest.approx(ratio) for ratio in ratios.values()]
    assert result.losses.trained
    assert result.losses.initial_nats == pytest.approx(result.losses.uniform_nats, abs=0.1)
    assert wm.inspect(trained).to_dict() == result.to_dict()


def test_a_run_without_recorded_ratios(trained: Run) -> None:
    lines = [json.loads(line) for line in (trained.path / "metrics.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in line.items() if key != "update_ratios"} for line in lines]
    (trained.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert all(layer.update_ratio is None for layer in inspect(trained).layers)
    (trained.path / "metrics.jsonl").unlink()
    assert inspect(trained).losses.val_nats is not None


def test_a_run_without_a_model(tmp_path: Path, config: Any, corpus: LineCorpus) -> None:
    run = Run(tmp_path / "run")
    run.create(config, corpus)
    with pytest.raises(RunError, match="stopped before its first evaluation"):
        inspect(run)


def test_a_model_that_cannot_be_copied(names: LineCorpus) -> None:
    model = Sequential(Embedding(27, 4), FlattenConsecutive(2), Linear(8, 9), Lectures(9), Linear(9, 27))
    model(torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="deepcopy"):
        deepcopy(model)
    assert len(inspect_model(model, names).layers) == 5
