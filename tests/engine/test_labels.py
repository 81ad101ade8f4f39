"""Lines with labels: a label is the token before the first character, and nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wavemore.engine.batchers import LONG_LINE, evaluation_batcher, training_batcher
from wavemore.engine.distillation import soft_targets
from wavemore.engine.evaluate import evaluate, score, token_nats
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import generate_text
from wavemore.engine.labels import labels_of, likeliest_labels, recovery
from wavemore.engine.plan import plan
from wavemore.engine.sampling import Sampling
from wavemore.errors import DataError, ModelError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import LABELLED, MODELS, build
from wavemore.text.labels import Labels
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import LinePart
from wavemore.text.vocabulary import Vocabulary

EACH = pytest.mark.parametrize("name", LABELLED)
PAIRS = [(a + b + c, "de" if a in "kt" else "fi") for a in "ktmn" for b in "aeiou" for c in ("", "na", "ri", "s")]


@pytest.fixture(scope="module")
def labelled() -> LineCorpus:
    """80 words, of which the first letter decides the label."""
    lines, labels = zip(*PAIRS, strict=True)
    return LineCorpus.from_lines(lines, labels=labels)


@pytest.fixture
def model_of(small_settings: dict[str, dict[str, Any]], labelled: LineCorpus) -> Callable[[str], Model]:
    """A function that builds a small model with labels and random weights, in float64 and eval mode."""

    def make(name: str) -> Model:
        config = MODELS[name].config(**small_settings[name])
        model = build(name, len(labelled.vocabulary), config, seed=0, num_labels=2)
        generator = torch.Generator().manual_seed(1)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                torch.nn.init.normal_(parameter, std=0.7, generator=generator)
        return model.double().eval()

    return make


@torch.no_grad()
def by_hand(model: Model, part: LinePart) -> list[float]:
    """The nats of each target: one line at a time, its start token and its characters in one row."""
    nats = []
    assert part.labels is not None
    for line, label in zip(part.lines, part.labels.numbers.tolist(), strict=True):
        assert part.vocabulary is not None
        ids = part.vocabulary.encode(line).astype(np.int64).tolist()
        logits = model(torch.tensor([[model.vocabulary_size + label, *ids]]))[0]  # (T, V)
        assert logits.shape[1] == model.vocabulary_size  # a label is never predicted
        nats += F.cross_entropy(logits, torch.tensor([*ids, 0]), reduction="none").tolist()
    return nats


@EACH
def test_losses_are_those_of_rows_that_begin_with_the_label(
    name: str, model_of: Callable[[str], Model], labelled: LineCorpus
) -> None:
    model, part = model_of(name), labelled.train
    expected = by_hand(model, part)
    assert token_nats(model, evaluation_batcher(part, model)).tolist() == pytest.approx(expected, rel=1e-9)
    evaluation = evaluate(model, part)
    assert evaluation.nats == pytest.approx(np.mean(expected), rel=1e-9)
    assert sum(each.nats * each.num_targets for each in evaluation.by_label) == pytest.approx(sum(expected))
    assert [(each.label, each.lines) for each in evaluation.by_label] == [("de", 31), ("fi", 33)]
    assert part.labels is not None
    names = [part.labels.names[number] for number in part.labels.numbers]
    scores = score(model, labelled.vocabulary, list(part.lines), labels=names)
    assert [nats for each in scores for nats in each.char_nats] == pytest.approx(expected, rel=1e-9)
    assert [each.label for each in scores] == names


@EACH
@pytest.mark.slow
def test_training_runs_the_same_rows(name: str, model_of: Callable[[str], Model], labelled: LineCorpus) -> None:
    """An LSTM, whose lines share beginnings, too; with its gradients."""
    model, part = model_of(name), labelled.train
    batcher = training_batcher(part, model, plan(labelled, model=name).recipe)
    positions = np.random.default_rng(0).permutation(part.num_targets)[:100]
    loss = F.cross_entropy(batcher.logits(positions), batcher.targets(positions), reduction="none")
    assert loss.tolist() == pytest.approx([by_hand(model, part)[position] for position in positions], rel=1e-9)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    embedding = next(model.parameters())
    assert embedding.grad is not None
    gradient, embedding.grad = embedding.grad.clone(), None
    assert part.labels is not None
    for position in positions.tolist():  # line by line
        line = int(np.searchsorted(part.segments, position, side="right")) - 1
        start, end = int(part.segments[line]), int(part.segments[line + 1])
        ids = torch.from_numpy(part.tokens[start : end - 1].astype(np.int64))
        first = torch.tensor([model.vocabulary_size + int(part.labels.numbers[line])])
        logits = model(torch.cat([first, ids])[None])[0]
        F.cross_entropy(logits[position - start], torch.tensor(int(part.tokens[position]))).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(embedding.grad, gradient, rtol=1e-7, atol=1e-10)
    assert gradient[model.vocabulary_size :].abs().min() > 0  # both labels learn


@EACH
@torch.no_grad()
def test_the_decoder_begins_with_labels(name: str, model_of: Callable[[str], Model]) -> None:
    model = model_of(name)
    starts = model.vocabulary_size + torch.tensor([1, 0, 1])
    tokens = torch.randint(1, model.vocabulary_size, (3, 20), generator=torch.Generator().manual_seed(0))
    full = model(torch.cat([starts[:, None], tokens], dim=1))
    decoders = [model.decoder(3, starts)]
    if model.context is not None and name != "transformer":  # its default decoder would let it see more than its line
        decoders.append(Model.decoder(model, 3, starts))
    for decoder in decoders:
        torch.testing.assert_close(decoder.logits, full[:, 0], rtol=1e-9, atol=1e-9)
        for place in range(20):
            torch.testing.assert_close(decoder.step(tokens[:, place]), full[:, place + 1], rtol=1e-9, atol=1e-9)


@EACH
def test_long_lines_keep_their_label(name: str, model_of: Callable[[str], Model]) -> None:
    lines = ["ka" * (LONG_LINE // 2 + 700), "mari", *(f"{a}{b}" for a in "kmtn" for b in "aeiou")]
    corpus = LineCorpus.from_lines(lines, vocabulary=Vocabulary("aeikmnorstu"), labels=["de", "fi"] * 11)
    model, part = model_of(name), corpus.train
    assert max(part.lines.lengths) > LONG_LINE
    nats = token_nats(model, evaluation_batcher(part, model))
    np.testing.assert_allclose(nats, by_hand(model, part), rtol=1e-7)


@EACH
def test_samples_have_their_label_and_its_nats(
    name: str, model_of: Callable[[str], Model], labelled: LineCorpus
) -> None:
    model, vocabulary = model_of(name), labelled.vocabulary
    for label in ("de", "fi", ""):
        sampling = Sampling(label=label, seed=1, max_length=20, min_length=0)
        made = list(generate(model, vocabulary, 60, sampling, labelled.line_hashes))
        assert {sample.label for sample in made} == ({label} if label else {"de", "fi"})
        assert all(set(sample.text) <= set(vocabulary.characters) for sample in made)
        scores = score(model, vocabulary, [s.text for s in made], labels=[s.label for s in made])
        assert [each.nats for each in scores] == pytest.approx([sample.nats for sample in made], rel=1e-9)
        known = {line for line, _ in PAIRS}
        assert all(sample.new == (sample.text not in known) for sample in made)
        fewer = list(generate(model, vocabulary, 7, sampling, labelled.line_hashes))
        assert [(s.text, s.label) for s in fewer] == [(s.text, s.label) for s in made[:7]]


def test_labels_are_drawn_as_often_as_train_has_them(model_of: Callable[[str], Model]) -> None:
    lines = [line for line, _ in PAIRS]
    corpus = LineCorpus.from_lines(lines, labels=["rare" if number % 8 == 0 else "usual" for number in range(80)])
    assert corpus.vocabulary.labels.shares[0] == pytest.approx(0.125, abs=0.04)
    made = list(generate(model_of("lstm"), corpus.vocabulary, 2_000, Sampling(max_length=100, min_length=0)))
    share = sum(sample.label == "rare" for sample in made) / 2_000
    assert share == pytest.approx(corpus.vocabulary.labels.shares[0], abs=0.03)


@EACH
def test_labels_are_learned_and_recovered(
    name: str, labelled: LineCorpus, small_settings: dict[str, dict[str, Any]]
) -> None:
    settings = {"channels": 16} if name in ("wavenet", "transformer") else {"hidden": 16, "embedding": 16, "layers": 1}
    chosen = plan(labelled, model=name, **(small_settings[name] | settings), steps=300, batch_size=64)
    model = build(name, len(labelled.vocabulary), chosen.model_config, 0, num_labels=2)
    for _ in fit(model, labelled, chosen.recipe):
        pass
    found = recovery(model, labelled.val, labelled.vocabulary)
    assert found is not None
    assert (found.recovered, found.lines) == (8, 8)
    assert str(found) == "100.0% of 8 items"
    assert [label for label, _ in labels_of(model, labelled.vocabulary, ["kana", "mari", "nos"])] == ["de", "fi", "fi"]
    made = list(generate(model, labelled.vocabulary, 50, Sampling(label="de", max_length=20)))
    assert sum(sample.text[0] in "kt" for sample in made) >= 45
    assert soft_targets([model], labelled).shape == (labelled.train.num_targets, len(labelled.vocabulary))


def test_the_likeliest_label_is_that_of_bayes(model_of: Callable[[str], Model], labelled: LineCorpus) -> None:
    model, part = model_of("gru"), labelled.val
    lines = list(part.lines)
    found = likeliest_labels(model, part, Labels(("de", "fi"), (30, 10)))
    nats = np.array([[s.nats for s in score(model, labelled.vocabulary, lines, labels=[k] * 8)] for k in ("de", "fi")])
    joint = np.exp(-nats) * np.array([[0.75], [0.25]])
    assert found.numbers.tolist() == joint.argmax(axis=0).tolist()
    assert found.p.tolist() == pytest.approx((joint.max(axis=0) / joint.sum(axis=0)).tolist())
    assert found.nats.tolist() == pytest.approx(np.choose(found.numbers, nats).tolist())
    never = likeliest_labels(model, part, Labels(("de", "fi"), (0, 40)))
    assert (never.numbers.tolist(), never.p.tolist()) == ([1] * 8, [1.0] * 8)


def test_a_model_without_labels_and_one_with_others(
    small_model: Callable[..., Model], model_of: Callable[[str], Model], labelled: LineCorpus
) -> None:
    plain = LineCorpus.from_lines([line for line, _ in PAIRS])
    without, model = small_model("lstm", len(plain.vocabulary)), model_of("lstm")
    for part, other in ((labelled.val, without), (plain.val, model)):
        with pytest.raises(ModelError, match="label"):
            evaluate(other, part)
    with pytest.raises(UsageError, match="give `labels`, one per line"):
        score(model, labelled.vocabulary, ["kana"])
    with pytest.raises(UsageError, match="`label` is 'sv'; the data has de, fi"):
        list(generate(model, labelled.vocabulary, 1, Sampling(label="sv")))
    with pytest.raises(UsageError, match="`label` is for models of items with labels"):
        list(generate(without, plain.vocabulary, 1, Sampling(label="de")))
    with pytest.raises(UsageError, match="`label` is for lines"):
        generate_text(without, plain.vocabulary, 1, 10, Sampling(label="de"))
    with pytest.raises(UsageError, match="without labels, so it knows none"):
        labels_of(without, plain.vocabulary, ["kana"])
    renamed = LineCorpus.from_lines([line for line, _ in PAIRS], labels=["a" if k == "de" else "b" for _, k in PAIRS])
    model.labels = ("de", "fi")
    with pytest.raises(ModelError, match="2 labels, and the data has 2, or others"):
        evaluate(model, renamed.val)


def test_the_default_model_takes_labels_and_others_say_so(labelled: LineCorpus) -> None:
    assert plan(labelled).model == "lstm"
    assert plan(labelled, dilations=(1, 2)).model == "wavenet"
    for name in set(MODELS) - set(LABELLED):
        with pytest.raises(UsageError, match=f"a {name} takes no labels; set `model` to wavenet, rnn, gru, lstm or"):
            plan(labelled, model=name)
    with pytest.raises(UsageError, match="a tree takes no labels"):
        plan(labelled, preset="lecture")


def test_labels_do_not_change_the_rest(labelled: LineCorpus) -> None:
    """The characters, the split and the hashes are those of the lines alone: a new item is new with every label."""
    plain = LineCorpus.from_lines([line for line, _ in PAIRS])
    assert labelled.vocabulary.characters == plain.vocabulary.characters
    for part, other in ((labelled.train, plain.train), (labelled.val, plain.val), (labelled.test, plain.test)):
        assert list(part.lines) == list(other.lines)
        assert part.tokens.tolist() == other.tokens.tolist()
    assert labelled.line_hashes.tolist() == plain.line_hashes.tolist()
    both = LineCorpus.from_lines([line for line, _ in PAIRS] * 2, labels=["a"] * 80 + ["b"] * 80)
    assert (both.report.lines, both.report.distinct) == (160, 160)  # under two labels, an item is two items
    assert len(both.train.lines) == 2 * len(plain.train.lines)  # in one part of the split
    assert bool(both.val.leak_free.all())
    repeated = LineCorpus.from_lines([line for line, _ in PAIRS] * 2, labels=["a"] * 160)
    assert repeated.report.distinct == 80


@pytest.mark.parametrize("labels", [["a"], ["a"] * 79 + [" "], []])
def test_labels_of_lines_that_are_missing(labels: list[str]) -> None:
    with pytest.raises(DataError, match=r"80 lines need as many `labels`, none of them empty"):
        LineCorpus.from_lines([line for line, _ in PAIRS], labels=labels)
