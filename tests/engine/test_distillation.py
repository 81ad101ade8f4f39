"""Distillation: soft targets are the mean of what the teachers say; the gradient is that of the formula."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.engine.distillation import soft_targets, taught_loss
from wavemore.engine.evaluate import eval_mode, evaluate
from wavemore.engine.fit import fit
from wavemore.engine.recipe import Recipe
from wavemore.errors import UsageError
from wavemore.nn.config import (
    CONFIGS,
    NgramConfig,
    RecurrentConfig,
    TransformerConfig,
    TreeConfig,
    WaveNetConfig,
)
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.ngram import Ngram
from wavemore.text.continuous import TextStream, load_stream
from wavemore.text.corpus import Corpus, windows

TINY = TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
SHORT = Recipe(steps=12, batch_size=16, evaluations=3)
KINDS = {
    "tree": TINY,
    "lstm": RecurrentConfig(embedding=4, hidden=8),
    "gru": RecurrentConfig(embedding=4, hidden=8),
    "wavenet": WaveNetConfig(channels=4, skip_channels=4, dilations=(1, 2)),
    "transformer": TransformerConfig(layers=1, heads=1, channels=8, context=4),
    "ngram": NgramConfig(n=3),
}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> TextStream:
    folder = tmp_path_factory.mktemp("text")
    path = folder / "text.txt"
    path.write_text("the cat sat on the mat,\nand the rat sat on the cat.\n" * 24, encoding="utf-8")
    return load_stream(path, cache=folder)


def teacher_of(kind: str, corpus: Corpus | TextStream, seed: int = 0) -> Model:
    """A model of the data, with statistics of its own where it has BatchNorm."""
    config: Any = KINDS[kind] if isinstance(corpus, Corpus) or kind != "tree" else replace(TINY, norm="layer")
    model = build(kind, len(corpus.vocabulary), config, seed)
    if isinstance(corpus, TextStream):
        recipe = Recipe(steps=1 if kind == "ngram" else 3, batch_size=64, execution="stretches", stretch=16)
    else:
        recipe = Recipe(steps=1 if kind == "ngram" else 3, batch_size=16)
    for _ in fit(model, corpus, recipe):
        pass
    return model


def one_by_one(model: Model, tokens: Any, is_text: bool) -> Tensor:
    """The probabilities before each token, from a stream that takes a character at a time: (N, V)."""
    p = []
    with eval_mode(model):
        stream = model.stream(1)
        for token in tokens.tolist():
            p.append(stream.logits[0].softmax(dim=0).clone())
            stream.step(torch.tensor([token]))
            if token == 0 and not is_text:
                stream = model.stream(1)
    return torch.stack(p)


@pytest.mark.parametrize("kind", KINDS)
def test_soft_targets_are_what_the_teacher_says_character_by_character(kind: str, corpus: Corpus) -> None:
    teacher = teacher_of(kind, corpus)
    soft = soft_targets([teacher], corpus)
    assert soft.dtype == torch.float32
    assert soft.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(soft, one_by_one(teacher, corpus.train.tokens, False).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_text_too(kind: str, stream: TextStream) -> None:
    teacher = teacher_of(kind, stream)
    soft = soft_targets([teacher], stream)
    torch.testing.assert_close(soft, one_by_one(teacher, stream.train.tokens, True).float(), rtol=1e-4, atol=1e-6)


def test_soft_targets_are_the_mean_of_all_teachers(corpus: Corpus) -> None:
    teachers = [teacher_of(kind, corpus) for kind in KINDS]
    each = torch.stack([soft_targets([teacher], corpus) for teacher in teachers])
    torch.testing.assert_close(soft_targets(teachers, corpus), each.mean(dim=0))
    assert not any(teacher.training != build_mode for teacher, build_mode in zip(teachers, [True] * 6, strict=True))


def test_their_loss_is_the_exact_one(corpus: Corpus) -> None:
    teacher = teacher_of("tree", corpus)
    soft = soft_targets([teacher], corpus)
    p = soft[torch.arange(len(soft)), torch.from_numpy(corpus.train.tokens.astype(np.int64))]
    assert float(-p.log().mean()) == pytest.approx(evaluate(teacher, corpus.train).nats, abs=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_gradient_is_that_of_the_formula(share: float, corpus: Corpus) -> None:
    torch.manual_seed(0)
    model = build("tree", len(corpus.vocabulary), TINY, seed=0).double()
    positions = np.arange(0, 60, 2)
    context = torch.from_numpy(windows(corpus.train.tokens, positions, 4).astype(np.int64))
    targets = torch.from_numpy(corpus.train.tokens[positions].astype(np.int64))
    q = torch.rand(len(positions), len(corpus.vocabulary), dtype=torch.float64).softmax(dim=1)
    loss, plain = taught_loss(model(context), targets, q, share)
    found = torch.autograd.grad(loss, list(model.parameters()))
    p = model(context).exp() / model(context).exp().sum(dim=1, keepdim=True)
    mixed = share * q + (1 - share) * F.one_hot(targets, len(corpus.vocabulary)).double()
    formula = -(mixed * p.log()).sum() / len(positions)
    assert float(loss.detach()) == pytest.approx(float(formula.detach()), abs=1e-12)
    assert float(plain.detach()) == pytest.approx(float(F.cross_entropy(model(context), targets).detach()), abs=1e-12)
    for one, other in zip(found, torch.autograd.grad(formula, list(model.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def student_of(corpus: Corpus, recipe: Recipe, **also: Any) -> tuple[dict[str, Tensor], list[Any]]:
    model = build("tree", len(corpus.vocabulary), TINY, seed=1)
    records = list(fit(model, corpus, recipe, **also))
    return model.state_dict(), records


def test_without_a_share_a_student_is_like_any_other(corpus: Corpus) -> None:
    soft = soft_targets([teacher_of("tree", corpus)], corpus)
    plain, of_plain = student_of(corpus, SHORT)
    untaught, of_untaught = student_of(corpus, SHORT, soft_targets=soft)
    assert all(torch.equal(plain[name], untaught[name]) for name in plain)
    assert [r.train_nats for r in of_plain] == [r.train_nats for r in of_untaught]
    assert of_untaught[-1].taught_nats is None


def test_soft_targets_that_are_the_true_characters_teach_nothing_else(corpus: Corpus) -> None:
    hard = F.one_hot(torch.from_numpy(corpus.train.tokens.astype(np.int64)), len(corpus.vocabulary)).float()
    plain, _ = student_of(corpus, SHORT)
    taught, records = student_of(corpus, replace(SHORT, teacher_share=0.5), soft_targets=hard)
    for name in plain:
        torch.testing.assert_close(plain[name], taught[name], rtol=1e-3, atol=1e-4)
    assert records[-1].taught_nats == pytest.approx(records[-1].train_nats, abs=1e-5)


def test_a_student_learns_from_its_teacher_alone(corpus: Corpus) -> None:
    teacher = build("ngram", len(corpus.vocabulary), NgramConfig(n=3), seed=0)
    assert isinstance(teacher, Ngram)
    for _ in fit(teacher, corpus, Recipe(steps=1, batch_size=16)):
        pass
    recipe = Recipe(steps=300, batch_size=64, learning_rate=0.05, evaluations=3, teacher_share=1.0)
    soft = soft_targets([teacher], corpus)
    student = build("lstm", len(corpus.vocabulary), RecurrentConfig(embedding=8, hidden=32), seed=0)
    records = list(fit(student, corpus, recipe, soft_targets=soft))
    entropy = float(-(soft * soft.clamp(min=1e-30).log()).sum(dim=1).mean())
    assert records[-1].taught_nats == pytest.approx(entropy, abs=0.1)  # no cross-entropy is below the entropy
    assert records[-1].best_val_nats == pytest.approx(
        evaluate(student, corpus.val).nats, abs=1e-6
    )  # of true characters


def test_a_student_goes_on_to_the_same_bits(corpus: Corpus) -> None:
    recipe = replace(SHORT, teacher_share=0.5, evaluations=1)
    soft = soft_targets([teacher_of("lstm", corpus)], corpus)
    whole, records = student_of(corpus, recipe, soft_targets=soft)
    model = build("tree", len(corpus.vocabulary), TINY, seed=1)
    for progress in fit(model, corpus, recipe, soft_targets=soft):
        if progress.step == 5:
            checkpoint = progress.checkpoint()
            break
    resumed, rest = student_of(corpus, recipe, soft_targets=soft, resume=checkpoint)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [(r.train_nats, r.taught_nats) for r in rest] == [(r.train_nats, r.taught_nats) for r in records[5:]]


def test_what_cannot_be_taught_is_said_in_a_line(corpus: Corpus, stream: TextStream) -> None:
    taught = replace(SHORT, teacher_share=0.5)
    soft = soft_targets([teacher_of("tree", corpus)], corpus)
    with pytest.raises(UsageError, match=r"a teacher_share above 0 needs teachers: give some, or leave it out"):
        student_of(corpus, taught)
    with pytest.raises(UsageError, match=r"soft targets of shape \(5, 10\) are not those of this data, \("):
        student_of(corpus, taught, soft_targets=soft[:5])
    ngram = build("ngram", len(corpus.vocabulary), NgramConfig(), seed=0)
    with pytest.raises(UsageError, match="an ngram is counted in one pass and takes no teachers"):
        next(fit(ngram, corpus, taught, soft_targets=soft))
    with pytest.raises(UsageError, match="give a teacher"):
        soft_targets([], corpus)
    with pytest.raises(UsageError, match="a teacher predicts 99 characters and the data has 10: take teachers"):
        soft_targets([build("tree", 99, TINY, seed=0)], corpus)
    with pytest.raises(UsageError, match=r"teacher_share is 1.5; it is a share of the targets, between 0 and 1"):
        replace(SHORT, teacher_share=1.5)


def test_all_kinds_of_models_are_taught(corpus: Corpus, stream: TextStream) -> None:
    assert set(KINDS) < set(CONFIGS)
    for data in (corpus, stream):
        soft = soft_targets([teacher_of("ngram", data)], data)
        for kind in KINDS:
            if kind == "ngram":
                continue
            config: Any = replace(TINY, norm="layer") if kind == "tree" else KINDS[kind]
            in_stretches = {"execution": "stretches", "stretch": 16} if isinstance(data, TextStream) else {}
            recipe = Recipe(steps=2, batch_size=64, teacher_share=0.5, **in_stretches)  # type: ignore[arg-type]
            model = build(kind, len(data.vocabulary), config, seed=0)
            last = list(fit(model, data, recipe, soft_targets=soft))[-1]
            assert last.taught_nats is not None
            assert last.taught_nats > 0
