"""A subclass of `Model` that has no more than a `forward`, written by somebody who knows torch and not wavemore."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import wavemore as wm

LINES = [first + rest for first in "abcdefgh" for rest in ("na", "nna", "lo", "llo")]


class Convolution(wm.Model):
    """Sees four characters, and does not say so."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__(vocabulary_size)
        self.embedding = nn.Embedding(vocabulary_size, 8)
        self.convolution = nn.Conv1d(8, 16, kernel_size=4)
        self.out = nn.Linear(16, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]  # without `logits_to_keep`
        x = self.embedding(F.pad(tokens, (3, 0))).transpose(1, 2)
        logits: Tensor = self.out(self.convolution(x).relu().transpose(1, 2))
        return logits


class Limited(Convolution):
    """Says how much it sees."""

    context = 4


def trained(kind: type[Convolution], corpus: wm.Corpus) -> Convolution:
    torch.manual_seed(1)
    model = kind(len(corpus.vocabulary))
    *_, last = wm.fit(model, corpus, wm.Recipe(steps=150, batch_size=64, block_size=32))
    assert last.best_val_nats < math.log(len(corpus.vocabulary)) - 1
    assert wm.evaluate(model, corpus.val).nats == pytest.approx(last.best_val_nats)
    return model


@pytest.mark.parametrize("kind", [Convolution, Limited])
def test_lines(kind: type[Convolution]) -> None:
    corpus = wm.LineCorpus.from_lines(LINES)
    model, vocabulary = trained(kind, corpus), corpus.vocabulary
    samples = list(wm.generate(model, vocabulary, 5, wm.Sampling(prefix="a", seed=1)))
    scores = wm.score(model, vocabulary, [sample.text for sample in samples])
    assert [line.nats for line in scores] == pytest.approx([sample.nats for sample in samples], rel=1e-4)
    wished = list(wm.generate(model, vocabulary, 3, wm.Sampling(suffix="o", distinct=True)))
    assert all(sample.text.endswith("o") for sample in wished)
    ids = torch.tensor([[0, *vocabulary.encode("cn").tolist()]])
    with torch.no_grad():
        p = model(ids)[0, -1].softmax(dim=0)
    found = wm.next_characters(model, vocabulary, "cn")
    assert found[0].p == pytest.approx(p.max().item(), rel=1e-5)
    assert wm.inspect(model, corpus).receptive_field in (4, None)
    assert wm.compare_models([model], [model], corpus).difference == 0
    both = wm.Ensemble([model, wm.build("bigram", len(vocabulary))])
    assert wm.evaluate(both, corpus.val).nats > 0
    assert len(wm.soft_targets(model, corpus)) == corpus.train.num_targets
    with pytest.raises(wm.UsageError, match=f"{kind.__name__} is not one of wavemore's models, tree, "):
        wm.LanguageModel.of(model, corpus)
    assert kind.__name__ in model._repr_html_()


@pytest.mark.parametrize("kind", [Convolution, Limited])
def test_a_text(kind: type[Convolution], tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question. " * 40, encoding="utf-8")
    corpus = wm.load_corpus(path, format="text")
    model = trained(kind, corpus)
    [text] = wm.generate_text(model, corpus.vocabulary, 1, 30, wm.Sampling(prefix="to ", temperature=0))
    ids = torch.tensor([corpus.vocabulary.encode("to ").tolist()])
    with torch.no_grad():
        expected = model(F.pad(ids, (1, 0)))[0, -1].argmax().item()
    assert corpus.vocabulary.encode(text.text)[3] == expected


def test_weights_of_another_model_are_an_error_of_torch_too() -> None:
    with pytest.raises(RuntimeError, match="the weights do not fit this model: "):
        wm.build("gru", 27).load_state_dict(Convolution(27).state_dict())
