"""What all models have in common: causality, the receptive field, decoding, training, generation, loading."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from wavemore.engine.batchers import LineBatcher, line_batcher
from wavemore.engine.evaluate import evaluate, score, token_nats
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.line_spans import positions_in_line
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.engine.step_record import Checkpoint
from wavemore.engine.threads import set_threads
from wavemore.nn.bag_of_words import BowConfig
from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.recurrent import RecurrentConfig
from wavemore.nn.transformer import TransformerConfig
from wavemore.nn.tree import MlpConfig, TreeConfig
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.line_corpus import LineCorpus

SMALL: dict[str, list[ModelConfig]] = {
    "tree": [
        TreeConfig(fuse=(3, 2), embedding=5, hidden=7),
        TreeConfig(fuse=(2, 2, 2), embedding=5, hidden=7, norm="layer"),
        TreeConfig(fuse=(2, 2), embedding=5, hidden=7, norm="batch-per-position"),
    ],
    "wavenet": [
        WaveNetConfig(channels=6, dilations=(1, 2, 4), skip_channels=5),
        WaveNetConfig(channels=5, dilations=(1, 3), cycles=2, kernel_size=3, gate="swiglu", norm="layer"),
        WaveNetConfig(channels=4, dilations=(2, 1), kernel_size=1, norm="none"),
        WaveNetConfig(channels=4, dilations=(1, 2, 4, 8, 16, 32), skip_channels=3),
    ],
    "mlp": [MlpConfig(context=5, embedding=3, hidden=7)],
    "rnn": [RecurrentConfig(embedding=5, hidden=7)],
    "gru": [RecurrentConfig(embedding=5, hidden=7, layers=2)],
    "lstm": [RecurrentConfig(embedding=5, hidden=7), RecurrentConfig(embedding=5, hidden=8, layers=3)],
    "bow": [BowConfig(context=3, embedding=5, hidden=7), BowConfig(context=1, embedding=5, hidden=7)],
    "transformer": [
        TransformerConfig(layers=2, heads=2, channels=12),
        TransformerConfig(layers=3, heads=1, channels=6, context=4),
        TransformerConfig(layers=1, heads=3, channels=12, context=1),
    ],
    "ngram": [NgramConfig(order=4), NgramConfig(order=1)],
}
"""Sizes that no model has by default. A model that is not here is tested with its default config."""
SIZES = [(name, config) for name in MODELS for config in SMALL.get(name, [MODELS[name].config()])]
EACH = pytest.mark.parametrize(("name", "config"), SIZES, ids=lambda value: value if isinstance(value, str) else "")
LINES = [a + b + c for a in ("an", "bo", "cleo", "d") for b in ("", "n", "tta") for c in ("a", "e", "o", "ey")]


@pytest.fixture(scope="module")
def names() -> LineCorpus:
    return LineCorpus.from_lines(LINES)


def ready(name: str, config: ModelConfig, vocabulary_size: int = 9) -> Model:
    """Build a float64 model in eval mode whose weights and statistics are no longer the initial ones."""
    model = build(name, vocabulary_size, config, seed=1).double().train()
    random = torch.Generator().manual_seed(2)
    if isinstance(model, Ngram):
        tokens = torch.randint(vocabulary_size, (300,), generator=random)
        tokens[-1] = 0
        model.count(tokens)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
        for _ in range(3):  # for batch statistics
            model(torch.randint(vocabulary_size, (16, 12), generator=random))
    return model.eval()


def lines_of(count: int, length: int, vocabulary_size: int = 9) -> Tensor:
    """Draw lines that begin with a boundary: (B, T)."""
    tokens = torch.randint(1, vocabulary_size, (count, length), generator=torch.Generator().manual_seed(3))
    tokens[:, 0] = 0
    return tokens


@EACH
@torch.no_grad()
def test_no_prediction_depends_on_a_later_character(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), lines_of(4, 11)
    before = model(tokens)
    assert before.shape == (4, 11, 9)
    for t in range(10):
        changed = tokens.clone()
        changed[:, t + 1 :] = changed[:, t + 1 :] % 8 + 1  # another character, and no boundary
        after = model(changed)
        torch.testing.assert_close(after[:, : t + 1], before[:, : t + 1], rtol=0, atol=1e-12)
        if name != "ngram" or config.receptive_field != 1:
            assert not torch.allclose(after[:, t + 1], before[:, t + 1])


@EACH
@torch.no_grad()
def test_a_prediction_depends_on_its_context_and_on_nothing_before_it(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), lines_of(5, 70)
    sees = [  # whether the last prediction depends on the token `back` steps before it
        not torch.allclose(
            model(tokens)[:, -1],
            model(torch.where(torch.arange(70) == 69 - back, tokens % 8 + 1, tokens))[:, -1],
            rtol=0,
            atol=1e-14,
        )
        for back in range(70)
    ]
    if model.context is None:
        assert all(sees[:10])
    else:
        assert not any(sees[model.context :])
        if name not in ("ngram", "transformer"):  # counts may lack a long context, and attention may ignore a position
            assert sees[: min(70, model.context)] == [True] * min(70, model.context)


@EACH
@pytest.mark.parametrize("length", [0, 1, 7, 70])
@torch.no_grad()
def test_the_decoder_predicts_what_a_full_pass_predicts(name: str, config: ModelConfig, length: int) -> None:
    model, tokens = ready(name, config), lines_of(3, length + 1)
    decoder = model.decoder(3)
    logits = torch.stack([decoder.logits, *(decoder.step(column) for column in tokens.T[1:])], dim=1)
    full = model(tokens)
    torch.testing.assert_close(logits, full, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(decoder.logits, full[:, -1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model(tokens, logits_to_keep=1), full[:, -1:], rtol=1e-10, atol=1e-10)


@EACH
@torch.no_grad()
def test_the_decoder_takes_many_characters_at_once(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), lines_of(3, 40)
    decoder, full = model.decoder(3), model(tokens)
    for start, end in ((1, 5), (5, 6), (6, 40)):
        logits = decoder.prefill(tokens[:, start:end])
        torch.testing.assert_close(logits, full[:, start - 1 : end - 1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(decoder.logits, full[:, -1], rtol=1e-10, atol=1e-10)


@EACH
@torch.no_grad()
def test_lines_can_be_dropped_and_copied_between_steps(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), lines_of(6, 30)
    decoder, alive = model.decoder(6), torch.arange(6)
    for t in range(1, 30):
        if t % 5 == 2:  # also before the caches are full
            rows = torch.randint(len(alive), (1 + t % 7,), generator=torch.Generator().manual_seed(t))
            decoder.select(rows)
            alive = alive[rows]
        decoder.step(tokens[alive, t])
        expected = model(tokens[alive, : t + 1])[:, -1]
        torch.testing.assert_close(decoder.logits, expected, rtol=1e-10, atol=1e-10)


@EACH
@torch.no_grad()
def test_a_line_does_not_depend_on_those_beside_it(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), lines_of(6, 9)
    alone = torch.cat([model(line[None]) for line in tokens])
    torch.testing.assert_close(model(tokens), alone, rtol=1e-10, atol=1e-10)


@EACH
@torch.no_grad()
def test_the_loss_of_a_part_is_that_of_its_lines_one_by_one(
    name: str, config: ModelConfig, names: LineCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", 25)
    size = len(names.vocabulary)
    model, part = ready(name, config, size), names.val
    expected = []
    for line in part.lines:
        ids = torch.tensor([0, *names.vocabulary.encode(line).tolist(), 0])
        p = model(ids[None, :-1]).log_softmax(2)[0]
        expected += (-p[torch.arange(len(ids) - 1), ids[1:]]).tolist()
    np.testing.assert_allclose(token_nats(model, LineBatcher(part.tokens, model)), expected, rtol=1e-9)
    np.testing.assert_allclose(token_nats(model, line_batcher(part.tokens, model)), expected, rtol=1e-9)
    assert evaluate(model, part).nats == pytest.approx(np.mean(expected))
    assert len(evaluate(model, part).by_position) == positions_in_line(part.tokens).max() + 1
    scores = score(model, names.vocabulary, list(part.lines))
    assert [nats for score in scores for nats in score.char_nats] == pytest.approx(expected)


@EACH
def test_weights_are_loaded_from_a_file(name: str, config: ModelConfig, tmp_path: Path) -> None:
    model, tokens = ready(name, config), lines_of(2, 9)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    other = build(name, 9, config, seed=5).double().eval()
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other(tokens), model(tokens))
    assert other.parameter_count() == model.parameter_count() > 0


def recipe_for(name: str, corpus: LineCorpus, **settings: Any) -> Recipe:
    own = {} if name == "ngram" else {"steps": 12, "batch_size": 40, "num_evals": 3, **settings}
    return plan(corpus, model=name, **own).recipe


@EACH
def test_a_training_resumes_bit_identically(name: str, config: ModelConfig, names: LineCorpus) -> None:
    recipe = recipe_for(name, names)
    size = len(names.vocabulary)
    whole, stopped, resumed = (build(name, size, config, seed=0) for _ in range(3))
    records = [(progress.train_nats, progress.val_nats) for progress in fit(whole, names, recipe)]
    kept: Checkpoint | None = None
    training = fit(stopped, names, recipe)
    for progress in training:
        if progress.step >= recipe.steps // 2:
            kept = training.checkpoint()
            break
    assert kept is not None
    rest = [(progress.train_nats, progress.val_nats) for progress in fit(resumed, names, recipe, resume=kept)]
    assert rest == records[max(1, recipe.steps // 2) :]
    for key, value in whole.state_dict().items():
        if rest:
            assert torch.equal(value, resumed.state_dict()[key]), key


@EACH
def test_one_batch_can_be_memorised(name: str, config: ModelConfig) -> None:
    lines = ["abcdefgh"] * 20  # one character follows each, so that a table of pairs is enough
    corpus = LineCorpus.from_lines(lines, split_method="lecture")
    size = len(corpus.vocabulary)
    model = build(name, size, config, seed=0)
    settings = {"steps": 300, "batch_size": 45, "optimizer": "adamw", "learning_rate": 0.05, "weight_decay": 0.0}
    recipe = recipe_for(name, corpus, **settings)
    for progress in fit(model, corpus, recipe):
        last = progress
    if (
        name == "ngram"
    ):  # discounts reserve probability for unseen characters, most of it if single characters are counted
        assert last.best_val_nats < (2.3 if config == NgramConfig(order=1) else 0.15)
    else:
        assert last.best_val_nats < 0.1


@EACH
def test_generated_lines_have_the_scores_of_their_samples(name: str, config: ModelConfig, names: LineCorpus) -> None:
    model = ready(name, config, len(names.vocabulary))
    sampling = Sampling(seed=4, max_length=20, temperature=0.5)
    made = list(generate(model, names.vocabulary, 30, sampling, names.line_hashes))
    assert len(made) == 30
    scores = score(model, names.vocabulary, [sample.text for sample in made])
    assert [s.nats for s in scores] == pytest.approx([sample.nats for sample in made], rel=1e-9)


@EACH
def test_empty_and_very_long_lines(name: str, config: ModelConfig, names: LineCorpus) -> None:
    model = ready(name, config, len(names.vocabulary))
    empty, long = score(model, names.vocabulary, ["", "cleo" * 500])
    assert len(empty.char_nats) == 1
    assert len(long.char_nats) == 2_001
    assert all(np.isfinite([*empty.char_nats, *long.char_nats]))


@EACH
def test_a_vocabulary_of_two(name: str, config: ModelConfig) -> None:
    corpus = LineCorpus.from_lines(["a" * n for n in range(1, 21)])
    assert len(corpus.vocabulary) == 2
    model = build(name, 2, config, seed=0)
    for progress in fit(model, corpus, recipe_for(name, corpus)):
        last = progress
    assert np.isfinite(last.best_val_nats)
    assert last.best_val_nats < 1.0
    made = list(generate(model, corpus.vocabulary, 5, Sampling(seed=1), corpus.line_hashes))
    assert {character for sample in made for character in sample.text} == {"a"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    set_threads(1)
    yield
    set_threads(threads)
