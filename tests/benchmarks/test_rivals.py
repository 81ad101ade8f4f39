"""The re-created rivals have the sizes, the losses and the figures that they are known by."""

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import makemore, nanogpt
from benchmarks.gpt import GPT
from benchmarks.rivals import time_to_makemore_val, time_to_nanogpt_val, wavenet_settings
from wavemore.engine.plan import plan
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import TextPart
from wavemore.text.text_corpus import TextCorpus, read_text_corpus

TEXT = "to be, or not to be, that is the question:\nwhether it is nobler in the mind to suffer\n"


@pytest.fixture
def corpus(tmp_path: Path) -> TextCorpus:
    (tmp_path / "text.txt").write_text(TEXT * 30, encoding="utf-8")
    return read_text_corpus(tmp_path / "text.txt", cache=tmp_path)


def test_nanogpt_has_the_size_that_it_prints(corpus: TextCorpus) -> None:
    model = GPT(65, nanogpt.SHAPE)
    assert model.parameter_count() - model.places.weight.numel() == 795_904  # "0.80M", without those of the positions
    assert model.head.weight is model.characters.weight


def test_nanogpt_learns(corpus: TextCorpus) -> None:
    loop = nanogpt.NanoGPT(corpus)
    assert loop.loss(corpus.val) == pytest.approx(log(len(corpus.vocabulary)), abs=0.1)
    assert list(loop.train(15)) == list(range(1, 16))
    assert loop.loss(corpus.val) < 3.0


def test_nanogpts_first_weights_are_small_and_those_added_to_the_path_smaller(corpus: TextCorpus) -> None:
    block = nanogpt.NanoGPT(corpus).model.blocks[0]
    spread = {name: value.detach().std().item() for name, value in block.named_parameters()}
    assert spread["hidden.weight"] == pytest.approx(0.02, rel=0.05)
    assert spread["hidden_out.weight"] == pytest.approx(0.02 / 8**0.5, rel=0.05)
    assert spread["attention_out.weight"] == pytest.approx(0.02 / 8**0.5, rel=0.05)


def test_nanogpts_learning_rate_rises_for_100_steps_and_falls_to_a_tenth() -> None:
    rates = [nanogpt.learning_rate(step) for step in range(nanogpt.STEPS)]
    assert np.argmax(rates) == 100
    assert rates[0] == pytest.approx(1e-3 / 101)
    assert rates[100] == pytest.approx(1e-3)
    assert rates[1_050] == pytest.approx(5.5e-4)
    assert rates[-1] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("length", [40, 65, 129, 150])
@pytest.mark.parametrize("counted", [64, 16])
def test_nanogpts_val_is_that_of_each_character_in_its_block(corpus: TextCorpus, length: int, counted: int) -> None:
    loop = nanogpt.NanoGPT(corpus)
    list(loop.train(3))
    part = TextPart(corpus.val.tokens[:length])
    tokens = torch.from_numpy(part.tokens.astype(np.int64))
    losses = []
    for place in range(1, length):
        begin = 64 * ((place - 1) // 64)  # of the block that it is predicted in
        if counted < 64 and place > 64:  # blocks end with every group of so many
            begin = min(length - 1, 64 + counted * -(-(place - 64) // counted)) - 64
        logits = loop.model(tokens[None, begin:place])[0, -1]
        losses.append(F.cross_entropy(logits, tokens[place]).item())
    assert loop.loss(part, counted) == pytest.approx(np.mean(losses), rel=1e-5)


def test_makemore_has_its_size_and_learns() -> None:
    corpus = load_corpus("names")
    loop = makemore.Makemore(corpus)
    assert corpus.longest_line == 15
    assert loop.model.parameter_count() == 204_544
    assert loop.loss(corpus.val) == pytest.approx(log(27), abs=0.3)
    assert list(loop.train(30)) == list(range(1, 31))
    assert loop.loss(corpus.val) < 2.8


def test_makemores_loss_is_that_of_each_name_alone() -> None:
    corpus = LineCorpus.from_lines([a + b * n for a in "abcd" for b in "xyz" for n in range(6)])
    loop = makemore.Makemore(corpus)
    list(loop.train(3))
    losses = []
    for line in corpus.val.lines:
        ids = torch.tensor([0, *corpus.vocabulary.encode(line).tolist(), 0])
        losses += F.cross_entropy(loop.model(ids[None, :-1])[0], ids[1:], reduction="none").tolist()
    assert len(losses) == corpus.val.num_targets
    assert loop.loss(corpus.val) == pytest.approx(np.mean(losses), rel=1e-5)


def test_rivals_repeat_to_the_bit(corpus: TextCorpus) -> None:
    names = LineCorpus.from_lines([f"{a}{b}{a}" for a in "abcd" for b in "xyz"])
    for one, other in (
        (nanogpt.NanoGPT(corpus), nanogpt.NanoGPT(corpus)),
        (makemore.Makemore(names), makemore.Makemore(names)),
    ):
        for loop in (one, other):
            torch.manual_seed(1)
            list(loop.train(2))
        assert all(torch.equal(p, q) for p, q in zip(one.model.parameters(), other.model.parameters(), strict=True))


def test_the_race_on_text_is_won_by_a_val_loss_as_low(corpus: TextCorpus) -> None:
    small = {"model": "wavenet", "channels": 8, "dilations": (1, 2, 4), "batch_size": 256, "block_size": 64}
    won = time_to_nanogpt_val(corpus, repeats=2, steps=3, settings={**small, "steps": 40, "learning_rate": 0.05})
    assert won.key == "wavenet_text_ratio"
    assert won.ratio == pytest.approx(won.baseline / won.measured)
    assert "seeds 0 to 1" in won.detail
    lost = time_to_nanogpt_val(corpus, repeats=1, steps=15, settings={**small, "steps": 1})
    assert lost.ratio is None
    assert lost.measured > 0


def test_the_race_on_names() -> None:
    corpus = LineCorpus.from_lines([f"{a}{b}{a}" for a in "abcdefgh" for b in "uvwxyz"])
    small = {"layers": 1, "heads": 1, "channels": 8, "steps": 1}
    assert time_to_makemore_val(corpus, repeats=1, steps=20, settings=small).ratio is None
    won = time_to_makemore_val(corpus, repeats=1, steps=1, settings={**small, "channels": 16, "steps": 60})
    assert won.ratio == pytest.approx(won.baseline / won.measured)


def test_the_settings_of_the_race_fit_the_text_they_are_for(corpus: TextCorpus) -> None:
    chosen = plan(corpus, **{**wavenet_settings(), "batch_size": 256})
    assert chosen.model == "wavenet"
    assert chosen.model_config.receptive_field == 128
