"""Distillation: soft targets are the mean of the teachers' probabilities, and the gradient is that of the formula."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.engine.distillation import distill_loss, soft_targets
from wavemore.engine.evaluate import eval_mode, evaluate
from wavemore.engine.fit import fit
from wavemore.engine.recipe import Recipe
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.recurrent import RecurrentConfig
from wavemore.nn.transformer import TransformerConfig
from wavemore.nn.tree import TreeConfig
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.corpus import Corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import windows
from wavemore.text.text_corpus import TextCorpus, read_text_corpus

TINY = TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
SHORT = Recipe(steps=12, batch_size=16, num_evals=3)
KINDS = {
    "tree": TINY,
    "lstm": RecurrentConfig(embedding=4, hidden=8),
    "gru": RecurrentConfig(embedding=4, hidden=8),
    "wavenet": WaveNetConfig(channels=4, skip_channels=4, dilations=(1, 2)),
    "transformer": TransformerConfig(layers=1, heads=1, channels=8, context=4),
    "ngram": NgramConfig(order=3),
}


@pytest.fixture(scope="module")
def short_text(tmp_path_factory: pytest.TempPathFactory) -> TextCorpus:
    folder = tmp_path_factory.mktemp("text")
    path = folder / "text.txt"
    path.write_text("the cat sat on the mat,\nand the rat sat on the cat.\n" * 24, encoding="utf-8")
    return read_text_corpus(path, cache=folder)


def teacher_of(kind: str, corpus: Corpus, seed: int = 0) -> Model:
    """A model that is trained for a few steps on the data."""
    config: Any = replace(TINY, norm="layer") if corpus.format == "text" and kind == "tree" else KINDS[kind]
    model = build(kind, len(corpus.vocabulary), config, seed)
    for _ in fit(model, corpus, Recipe(steps=3, batch_size=64 if corpus.format == "text" else 16, block_size=16)):
        pass
    return model


def one_by_one(model: Model, tokens: Any, is_text: bool) -> Tensor:
    """The probabilities before each token, from a decoder that reads one character at a time: (N, V)."""
    p = []
    with eval_mode(model):
        decoder = model.decoder(1)
        for token in tokens.tolist():
            p.append(decoder.logits[0].softmax(dim=0).clone())
            decoder.step(torch.tensor([token]))
            if token == 0 and not is_text:
                decoder = model.decoder(1)
    return torch.stack(p)


@pytest.mark.parametrize("kind", KINDS)
def test_soft_targets_are_the_teachers_probabilities_of_a_list(kind: str, corpus: LineCorpus) -> None:
    teacher = teacher_of(kind, corpus)
    soft = soft_targets([teacher], corpus)
    assert soft.dtype == torch.float32
    assert soft.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(soft, one_by_one(teacher, corpus.train.tokens, False).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_soft_targets_are_the_teachers_probabilities_of_a_text(kind: str, short_text: TextCorpus) -> None:
    teacher = teacher_of(kind, short_text)
    soft = soft_targets([teacher], short_text)
    torch.testing.assert_close(soft, one_by_one(teacher, short_text.train.tokens, True).float(), rtol=1e-4, atol=1e-6)


def test_soft_targets_are_the_mean_of_all_teachers(corpus: LineCorpus) -> None:
    teachers = [teacher_of(kind, corpus) for kind in KINDS]
    each = torch.stack([soft_targets([teacher], corpus) for teacher in teachers])
    torch.testing.assert_close(soft_targets(teachers, corpus), each.mean(dim=0))
    assert all(teacher.training for teacher in teachers)


def test_the_loss_of_soft_targets_is_that_of_the_teacher(corpus: LineCorpus) -> None:
    teacher = teacher_of("tree", corpus)
    soft = soft_targets([teacher], corpus)
    p = soft[torch.arange(len(soft)), torch.from_numpy(corpus.train.tokens.astype(np.int64))]
    assert float(-p.log().mean()) == pytest.approx(evaluate(teacher, corpus.train).nats, abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_gradient_is_that_of_the_formula(weight: float, corpus: LineCorpus) -> None:
    torch.manual_seed(0)
    model = build("tree", len(corpus.vocabulary), TINY, seed=0).double()
    positions = np.arange(0, 60, 2)
    context = torch.from_numpy(windows(corpus.train.tokens, positions, 4).astype(np.int64))
    targets = torch.from_numpy(corpus.train.tokens[positions].astype(np.int64))
    q = torch.rand(len(positions), len(corpus.vocabulary), dtype=torch.float64).softmax(dim=1)
    loss, plain = distill_loss(model.windows(context), targets, q, weight)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    p = model.windows(context).exp() / model.windows(context).exp().sum(dim=1, keepdim=True)
    mixed = weight * q + (1 - weight) * F.one_hot(targets, len(corpus.vocabulary)).double()
    formula = -(mixed * p.log()).sum() / len(positions)
    assert float(loss.detach()) == pytest.approx(float(formula.detach()), abs=1e-12)
    assert float(plain.detach()) == pytest.approx(
        float(F.cross_entropy(model.windows(context), targets).detach()), abs=1e-12
    )
    for one, other in zip(gradients, torch.autograd.grad(formula, list(model.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def student_of(corpus: LineCorpus, recipe: Recipe, **also: Any) -> tuple[dict[str, Tensor], list[Any]]:
    model = build("tree", len(corpus.vocabulary), TINY, seed=1)
    records = list(fit(model, corpus, recipe, **also))
    return model.state_dict(), records


def test_with_weight_0_a_student_is_trained_like_any_model(corpus: LineCorpus) -> None:
    soft = soft_targets([teacher_of("tree", corpus)], corpus)
    plain, of_plain = student_of(corpus, SHORT)
    unweighted, of_unweighted = student_of(corpus, SHORT, soft_targets=soft)
    assert all(torch.equal(plain[name], unweighted[name]) for name in plain)
    assert [r.train_nats for r in of_plain] == [r.train_nats for r in of_unweighted]
    assert of_unweighted[-1].distill_nats is None


def test_soft_targets_of_the_true_characters_change_nothing(corpus: LineCorpus) -> None:
    hard = F.one_hot(torch.from_numpy(corpus.train.tokens.astype(np.int64)), len(corpus.vocabulary)).float()
    plain, _ = student_of(corpus, SHORT)
    student, records = student_of(corpus, replace(SHORT, distill_weight=0.5), soft_targets=hard)
    for name in plain:
        torch.testing.assert_close(plain[name], student[name], rtol=1e-3, atol=1e-4)
    assert records[-1].distill_nats == pytest.approx(records[-1].train_nats, abs=1e-5)


def test_a_student_can_learn_from_its_teacher_only(corpus: LineCorpus) -> None:
    teacher = build("ngram", len(corpus.vocabulary), NgramConfig(order=3), seed=0)
    assert isinstance(teacher, Ngram)
    for _ in fit(teacher, corpus, Recipe(steps=1, batch_size=16)):
        pass
    recipe = Recipe(steps=300, batch_size=64, learning_rate=0.05, num_evals=3, distill_weight=1.0)
    soft = soft_targets([teacher], corpus)
    student = build("lstm", len(corpus.vocabulary), RecurrentConfig(embedding=8, hidden=32), seed=0)
    records = list(fit(student, corpus, recipe, soft_targets=soft))
    entropy = float(-(soft * soft.clamp(min=1e-30).log()).sum(dim=1).mean())
    assert records[-1].distill_nats == pytest.approx(
        entropy, abs=0.1
    )  # the entropy is the least possible cross-entropy
    assert records[-1].best_val_nats == pytest.approx(
        evaluate(student, corpus.val).nats, abs=1e-6
    )  # against the true characters


def test_a_resumed_student_gives_the_same_bits(corpus: LineCorpus) -> None:
    recipe = replace(SHORT, distill_weight=0.5, num_evals=1)
    soft = soft_targets([teacher_of("lstm", corpus)], corpus)
    whole, records = student_of(corpus, recipe, soft_targets=soft)
    model = build("tree", len(corpus.vocabulary), TINY, seed=1)
    training = fit(model, corpus, recipe, soft_targets=soft)
    for record in training:
        if record.step == 5:
            checkpoint = training.checkpoint()
            break
    resumed, rest = student_of(corpus, recipe, soft_targets=soft, resume=checkpoint)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [(r.train_nats, r.distill_nats) for r in rest] == [(r.train_nats, r.distill_nats) for r in records[5:]]


def test_impossible_distillations_are_refused(corpus: LineCorpus, short_text: TextCorpus) -> None:
    recipe = replace(SHORT, distill_weight=0.5)
    soft = soft_targets([teacher_of("tree", corpus)], corpus)
    with pytest.raises(UsageError, match=r"`distill_weight` is above 0, which needs teachers"):
        student_of(corpus, recipe)
    with pytest.raises(UsageError, match=r"`soft_targets` has shape \(5, 10\); for this data it must be \("):
        student_of(corpus, recipe, soft_targets=soft[:5])
    ngram = build("ngram", len(corpus.vocabulary), NgramConfig(), seed=0)
    with pytest.raises(UsageError, match="an ngram is counted, not trained, so it cannot have teachers"):
        next(fit(ngram, corpus, recipe, soft_targets=soft))
    with pytest.raises(UsageError, match="`teachers` is empty"):
        soft_targets([], corpus)
    with pytest.raises(UsageError, match="a teacher has a vocabulary of 99 tokens and the data has 10: use teachers"):
        soft_targets([build("tree", 99, TINY, seed=0)], corpus)


def test_all_kinds_of_models_can_be_students(corpus: LineCorpus, short_text: TextCorpus) -> None:
    assert set(KINDS) < set(MODELS)
    for data in (corpus, short_text):
        soft = soft_targets([teacher_of("ngram", data)], data)
        for kind in KINDS:
            if kind == "ngram":
                continue
            config: Any = replace(TINY, norm="layer") if kind == "tree" else KINDS[kind]
            recipe = Recipe(steps=2, batch_size=64, distill_weight=0.5, block_size=16)
            model = build(kind, len(data.vocabulary), config, seed=0)
            last = list(fit(model, data, recipe, soft_targets=soft))[-1]
            assert last.distill_nats is not None
            assert last.distill_nats > 0
