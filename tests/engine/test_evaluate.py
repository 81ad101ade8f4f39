"""Exact losses, against a loop over single lines and characters."""

from collections.abc import Callable, Sequence
from math import log
from typing import Any

import numpy as np
import pytest
import torch

from wavemore.engine import batchers
from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import Evaluation, evaluate, part_losses, percentile_rank, score, token_nats
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError, UnknownCharacterError
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus
from wavemore.text.vocabulary import Vocabulary

FUSES = [(1,), (3,), (2, 2), (2, 3), (2, 2, 2)]


def naive(model: Tree, vocabulary: Vocabulary, lines: Sequence[str]) -> list[list[float]]:
    """Nats of every character of every line, as the lecture would compute them."""
    all_nats = []
    model.eval()
    for line in lines:
        context, nats = [0] * model.context, []
        for target in [*vocabulary.encode(line).tolist(), 0]:
            log_p = model.windows(torch.tensor([context])).double().log_softmax(dim=1)
            nats.append(-log_p[0, target].item())
            context = [*context[1:], target]
        all_nats.append(nats)
    return all_nats


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("fuse", FUSES)
@pytest.mark.parametrize("execution", ["unique", "windows"])
def test_evaluate_is_the_naive_loop(
    repeated: LineCorpus, lively: Callable[..., Tree], fuse: tuple[int, ...], execution: Any
) -> None:
    model = lively(TreeConfig(fuse=fuse, embedding=4, hidden=8))
    evaluation = evaluate(model, repeated.val, execution=execution)
    lines = naive(model, repeated.vocabulary, repeated.val.lines)
    every = [nats for line in lines for nats in line]
    assert evaluation.num_targets == len(every) == repeated.val.num_targets
    assert evaluation.nats == pytest.approx(mean(every), abs=1e-10)
    assert evaluation.bits_per_char == pytest.approx(mean(every) / log(2), abs=1e-10)

    train = set(repeated.train.lines)
    leak_free = [
        nats for text, line in zip(repeated.val.lines, lines, strict=True) for nats in line if text not in train
    ]
    assert 0 < len(leak_free) < len(every)
    assert evaluation.leak_free_targets == len(leak_free)
    assert evaluation.leak_free_nats == pytest.approx(mean(leak_free), abs=1e-10)

    places = [[line[i] for line in lines if i < len(line)] for i in range(max(map(len, lines)))]
    assert evaluation.by_position == pytest.approx([mean(place) for place in places], abs=1e-10)


def test_no_line_of_train_is_leak_free(repeated: LineCorpus, lively: Callable[..., Tree]) -> None:
    evaluation = evaluate(lively(), repeated.train)
    assert np.isnan(evaluation.leak_free_nats)
    assert evaluation.leak_free_targets == 0


@pytest.mark.parametrize("execution", ["unique", "windows"])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_size_of_a_chunk_does_not_matter(
    corpus: LineCorpus, lively: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch, execution: Any, chunk: int
) -> None:
    def values(evaluation: Evaluation) -> list[float]:
        return [evaluation.nats, evaluation.leak_free_nats, *evaluation.by_position]

    model = lively()
    at_once = values(evaluate(model, corpus.val, execution=execution))
    monkeypatch.setattr(batchers, "CHUNK", chunk)
    assert values(evaluate(model, corpus.val, execution=execution)) == pytest.approx(at_once, abs=1e-12)


@pytest.mark.parametrize("execution", ["unique", "windows"])
def test_nothing_changes_in_the_model(corpus: LineCorpus, lively: Callable[..., Tree], execution: Any) -> None:
    model = lively(TreeConfig(fuse=(2, 2), embedding=4, hidden=8, dropout=0.5)).train()
    model.layers[3].eval()
    modes = [layer.training for layer in model.modules()]
    assert len(set(modes)) == 2
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (evaluate(model, corpus.val, execution=execution) for _ in range(2))
    assert first == second  # so no dropout, and no statistics that drift
    assert [layer.training for layer in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("execution", ["unique", "windows"])
def test_batchnorm_without_running_statistics_is_an_error(corpus: LineCorpus, execution: Any) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2)), seed=0)
    with pytest.raises(ModelError, match="no running statistics"):
        evaluate(model, corpus.val, execution=execution)
    assert all(layer.training for layer in model.modules())  # the modes are restored after an error too
    with pytest.raises(ModelError, match="no running statistics"):
        score(model, corpus.vocabulary, ["ka"])


def test_a_fresh_model_without_statistics_is_evaluated_as_it_is(corpus: LineCorpus) -> None:
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2), norm="layer"), seed=0)
    assert evaluate(model, corpus.val).nats == pytest.approx(log(len(corpus.vocabulary)), abs=0.05)


def test_float32_is_close_to_float64(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    exact = evaluate(lively(), corpus.val).nats
    assert evaluate(lively().float(), corpus.val).nats == pytest.approx(exact, abs=1e-5)


def test_scores_are_the_naive_loop_and_add_up_to_evaluate(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    model = lively(TreeConfig(fuse=(2, 2, 2), embedding=4, hidden=8))
    lines = list(corpus.val.lines)
    scores = score(model, corpus.vocabulary, lines)
    assert [one.text for one in scores] == lines
    for one, nats in zip(scores, naive(model, corpus.vocabulary, lines), strict=True):
        assert list(one.char_nats) == pytest.approx(nats, abs=1e-10)
        assert one.nats == pytest.approx(sum(nats), abs=1e-10)
        assert one.nats_per_char == pytest.approx(mean(nats), abs=1e-10)
    total = sum(one.nats for one in scores) / sum(len(one.char_nats) for one in scores)
    assert total == pytest.approx(evaluate(model, corpus.val).nats, abs=1e-10)


def test_the_score_of_a_line_does_not_depend_on_other_lines(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    model = lively()
    together = score(model, corpus.vocabulary, ["kamo", "", "t", "tenten"])
    for one in together:
        [alone] = score(model, corpus.vocabulary, [one.text])
        assert one.char_nats == pytest.approx(alone.char_nats, abs=1e-12)
    assert [len(one.char_nats) for one in together] == [5, 1, 2, 7]


def test_all_probabilities_of_short_lines_and_their_beginnings_sum_to_one(lively: Callable[..., Tree]) -> None:
    vocabulary = Vocabulary("ab")
    model = lively(TreeConfig(fuse=(2,), embedding=3, hidden=5), vocabulary_size=3)
    [empty] = score(model, vocabulary, [""])
    ones = score(model, vocabulary, ["a", "b"])
    ends = np.exp(-empty.nats)
    begins = sum(np.exp(-one.char_nats[0]) for one in ones)
    assert ends + begins == pytest.approx(1.0, abs=1e-12)


def test_an_unknown_character_is_an_error(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    with pytest.raises(UnknownCharacterError, match=r"'z' .* position 3 of 'kaz'"):
        score(lively(), corpus.vocabulary, ["ka", "kaz"])


def test_no_lines_have_no_scores(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    assert score(lively(), corpus.vocabulary, []) == []


def test_a_model_that_depends_on_the_position_is_trained_evaluated_and_sampled_by_windows() -> None:
    corpus = LineCorpus.from_lines(["ab" * n for n in range(1, 21)])
    config = TreeConfig(fuse=(2, 2), embedding=3, hidden=8, norm="batch-per-position")
    model = build("tree", len(corpus.vocabulary), config, seed=0)
    *_, last = fit(model, corpus, Recipe(steps=30, batch_size=8))
    assert last.best_val_nats == pytest.approx(evaluate(model, corpus.val).nats)
    assert last.best_val_nats < 0.8
    samples = list(generate(model, corpus.vocabulary, 5, Sampling(seed=1), corpus.line_hashes))
    for sample in samples:
        assert sample.nats == pytest.approx(score(model, corpus.vocabulary, [sample.text])[0].nats, rel=1e-4)


def test_the_loss_of_several_models_is_that_of_their_mean(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    models = [small_model("tree", len(text.vocabulary)), small_model("bigram", len(text.vocabulary))]
    one, other = (np.exp(-token_nats(model, evaluation_batcher(text.val, model))) for model in models)
    assert evaluate(models, text.val).nats == pytest.approx(-np.log((one + other) / 2).mean())


def test_evaluation_and_score_restore_the_modes(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("tree", len(text.vocabulary)).train()
    evaluate(model, text.val)
    score(model, text.vocabulary, ["the cat"], format="text")
    assert all(module.training for module in model.modules())


def test_percentiles_are_those_of_the_scores_of_the_lines() -> None:
    corpus = LineCorpus.from_lines([f"{number:b}" for number in range(200)])
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2,), embedding=4, hidden=8, norm="none"), seed=0)
    percentiles = part_losses(model, corpus.val).percentiles
    scores = [s.nats_per_char for s in score(model, corpus.vocabulary, list(corpus.val.lines))]
    assert len(percentiles) == 101
    assert percentiles == pytest.approx(np.percentile(scores, range(101)), abs=1e-6)
    for nats in scores:
        less_likely = np.mean([other > nats for other in scores])
        assert percentile_rank(percentiles, nats) == pytest.approx(less_likely, abs=1 / len(scores) + 0.01)


def test_lines_beyond_all_percentiles_have_rank_1_or_0() -> None:
    assert percentile_rank([2.0] * 101, 1.0) == 1.0
    assert percentile_rank([2.0] * 101, 3.0) == 0.0
    assert percentile_rank([1.0, 2.0, 3.0], 1.5) == pytest.approx(0.75)
