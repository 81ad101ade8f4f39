"""Batches for a loop of one's own: the right targets, the losses of `evaluate`, and a plain loop trains every model."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

import wavemore as wm
from wavemore.engine.batches import IGNORED, batches
from wavemore.engine.evaluate import evaluate
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.corpus import Corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

TRAINED = [name for name in MODELS if name != "ngram"]
Settings = dict[str, dict[str, Any]]


def loss_of(model: Model, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def train_plainly(model: Model, corpus: Corpus, epochs: int) -> None:
    """A loop as everybody writes it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=epochs)
    model.train()
    data = corpus.train.batches(model, batch_size=160, seed=1, block_size=32)
    for _ in range(epochs):
        for inputs, targets in data:
            loss = loss_of(model, inputs, targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        scheduler.step()
    model.eval()


@pytest.mark.parametrize("name", TRAINED)
def test_a_plain_loop_trains_every_model_on_a_list(name: str, corpus: LineCorpus, small_settings: Settings) -> None:
    model = build(name, len(corpus.vocabulary), **small_settings[name])
    before = evaluate(model, corpus.val).nats
    train_plainly(model, corpus, epochs=12)
    assert evaluate(model, corpus.val).nats < before - 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_plain_loop_trains_every_model_on_a_text(name: str, text: TextCorpus, small_settings: Settings) -> None:
    model = build(name, len(text.vocabulary), **small_settings[name])
    before = evaluate(model, text.val).nats
    train_plainly(model, text, epochs=1)
    assert evaluate(model, text.val).nats < before - 0.1


def test_a_tree_with_batch_statistics_learns_in_a_plain_loop(corpus: LineCorpus) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2), embedding=4, hidden=16))
    train_plainly(model, corpus, epochs=15)
    assert evaluate(model, corpus.val).nats < 1.6


def lines_in(corpus: LineCorpus, inputs: Tensor, targets: Tensor) -> list[str]:
    """The lines of a batch, after a check that each input is the token before its target."""
    found = []
    for row, goal in zip(inputs.tolist(), targets.tolist(), strict=True):
        ids = [token for token in goal if token != IGNORED]
        assert goal[len(ids) :] == [IGNORED] * (len(goal) - len(ids))
        assert row[: len(ids)] == [0, *ids[:-1]]
        assert ids[-1] == 0
        found.append(corpus.vocabulary.decode_text(torch.tensor(ids[:-1]).numpy()))
    return found


@settings(max_examples=25)
@given(batch_size=st.integers(2, 900), seed=st.integers(0, 2**40), epochs=st.floats(0.01, 3))
def test_each_pass_has_every_line(batch_size: int, seed: int, epochs: float) -> None:
    lines = ["an", "bo", "cleo", "dana", "emma", "fritz", "gus", "hal", "ida", "jim", "kai", "lu", "mia", "noa"]
    corpus = LineCorpus.from_lines(lines)
    model = build("bigram", len(corpus.vocabulary))
    data = batches(corpus.train, model, batch_size=batch_size, seed=seed, epochs=epochs)
    found = [line for batch in data for line in lines_in(corpus, *batch)]
    assert set(found) <= set(corpus.train.lines)
    if epochs >= 1:
        assert set(found) == set(corpus.train.lines)
    again = batches(corpus.train, model, batch_size=batch_size, seed=seed, epochs=epochs)
    assert [line for step in range(len(again)) for line in lines_in(corpus, *again[step])] == found
    with pytest.raises(IndexError):
        data[len(data)]


def test_every_pass_has_another_order_and_a_loader_of_torch_takes_them(corpus: LineCorpus) -> None:
    model = build("bigram", len(corpus.vocabulary))
    data = batches(corpus.train, model, batch_size=100)
    first, second = list(data), list(data)
    assert lines_in(corpus, *first[0]) != lines_in(corpus, *second[0])
    loaded = list(DataLoader(data, batch_size=None))
    assert all(torch.equal(a, b) for pair in zip(loaded, first, strict=True) for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("name", TRAINED)
@torch.no_grad()
def test_the_loss_of_a_whole_part_is_that_of_evaluate(
    name: str, corpus: LineCorpus, small_model: Any, small_settings: Settings
) -> None:
    model, part = small_model(name, len(corpus.vocabulary)), corpus.val
    [(inputs, targets)] = batches(part, model, batch_size=part.num_targets)
    assert loss_of(model, inputs, targets).item() == pytest.approx(evaluate(model, part).nats)


@torch.no_grad()
def test_blocks_of_a_text_are_predicted_from_what_is_before_them(text: TextCorpus) -> None:
    model = build("tree", len(text.vocabulary), TreeConfig(fuse=(2, 2), norm="layer")).eval()
    inputs, targets = batches(text.train, model, batch_size=96, block_size=32)[0]
    assert inputs.shape == targets.shape == (3, 32 + model.context - 1)
    assert (targets[:, : model.context - 1] == IGNORED).all()
    assert torch.equal(inputs[:, model.context :], targets[:, model.context - 1 : -1])
    expected = F.cross_entropy(model.windows(inputs.unfold(1, 4, 1).flatten(0, 1)), targets[:, 3:].flatten())
    assert loss_of(model, inputs, targets).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("name", ["tree", "lstm"])
@torch.no_grad()
def test_plans_give_the_same_losses(name: str, corpus: LineCorpus, small_model: Any) -> None:
    model = small_model(name, len(corpus.vocabulary))
    data = batches(corpus.val, model, batch_size=corpus.val.num_targets, plans=True)
    [(plan, targets)] = data
    assert F.cross_entropy(model.unique(plan), targets).item() == pytest.approx(evaluate(model, corpus.val).nats)


def test_labels_begin_the_lines_and_counts_weigh() -> None:
    lines = ["ada", "bea", "cleo", "dora", "ella", "fay", "gus", "hal", "ian", "jim"]
    labelled = LineCorpus.from_lines(lines, labels=["f"] * 6 + ["m"] * 4)
    model = build("gru", len(labelled.vocabulary), num_labels=2)
    [(inputs, _)] = batches(labelled.train, model, batch_size=labelled.train.num_targets)
    assert sorted((inputs[:, 0] - len(labelled.vocabulary)).tolist()) == sorted(labelled.train.labels.numbers.tolist())  # type: ignore[union-attr]


def test_wrong_uses_are_errors_of_one_line(corpus: LineCorpus, text: TextCorpus) -> None:
    size = len(corpus.vocabulary)
    with pytest.raises(wm.ModelError, match="a Linear is not a wavemore model"):
        batches(corpus.train, torch.nn.Linear(2, 2))  # type: ignore[call-overload]
    with pytest.raises(wm.ModelError, match="predicts"):
        batches(corpus.train, build("bigram", size + 1))
    with pytest.raises(wm.ModelError, match="`plans` are for a tree, an mlp or, on a CPU, an lstm"):
        batches(corpus.train, build("gru", size), plans=True)
    with pytest.raises(wm.UsageError, match="`epochs` is 0"):
        batches(corpus.train, build("bigram", size), epochs=0)
    with pytest.raises(wm.UsageError, match="`batch_size` is 1"):
        batches(corpus.train, build("bigram", size), batch_size=1)
    with pytest.raises(wm.UsageError, match="multiple of `block_size`"):
        batches(text.train, build("bigram", len(text.vocabulary)), batch_size=100)
    tree = build("tree", size, fuse=(2, 2))
    assert isinstance(tree, Tree)
    plan, _ = batches(corpus.train, tree, plans=True)[0]
    with pytest.raises(wm.ModelError, match="a plan for fusions of"):
        build("tree", size, fuse=(2, 2, 2)).unique(plan)
