"""A new model needs two things: its file and an entry in `MODELS`. CONTRIBUTING.md shows the file below."""
# ruff: noqa: E402 - the imports of the example are part of it

# new model: begin
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.config import ModelConfig, setting
from wavemore.nn.model import Model, last_positions


@dataclass(frozen=True)
class AdditiveConfig(ModelConfig):
    """The settings of an additive model."""

    context: int = setting(3, "number of characters that a prediction depends on")

    def __post_init__(self) -> None:
        self.require_sizes("context")

    @property
    def receptive_field(self) -> int:
        """The context."""
        return self.context


class Additive(Model):
    """Add the logits that each of the last characters gives on its own, from one table (V, V) per position."""

    def __init__(self, vocabulary_size: int, config: AdditiveConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: AdditiveConfig = config
        self.tables = nn.ModuleList(nn.Embedding(vocabulary_size, vocabulary_size) for _ in range(config.context))
        for table in self.tables:
            nn.init.normal_(table.get_parameter("weight"), std=0.1)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        padded = F.pad(tokens, (self.config.context - 1, 0))  # boundary tokens before the line
        windows = padded.unfold(1, self.config.context, 1)  # (B, T, context)
        logits = torch.stack([table(windows[:, :, place]) for place, table in enumerate(self.tables)]).sum(0)
        return last_positions(logits, logits_to_keep)


# new model: end

import math

import pytest

from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.plan import plan
from wavemore.engine.sampling import Sampling
from wavemore.nn.models import MODELS, ModelEntry, build, parameter_count
from wavemore.text.line_corpus import LineCorpus


def test_a_new_model_is_planned_built_trained_and_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "additive", ModelEntry(AdditiveConfig, Additive))
    corpus = LineCorpus.from_lines([first + rest for first in "abcdefgh" for rest in ("na", "nna", "lo", "llo")])
    size = len(corpus.vocabulary)
    chosen = plan(corpus, model="additive", context=2, epochs=30)
    assert chosen.model_config == AdditiveConfig(context=2)
    assert chosen.model_config.describe() == chosen.model_config.label == "context 2"
    assert parameter_count("additive", size, chosen.model_config) == 2 * size**2

    model = build("additive", size, chosen.model_config, seed=0)
    untrained = evaluate(model, corpus.val).nats
    assert untrained == pytest.approx(math.log(size), abs=0.1)
    *_, last = fit(model, corpus, chosen.recipe)
    assert evaluate(model, corpus.val).nats == pytest.approx(last.best_val_nats)
    assert last.best_val_nats < untrained - 0.5

    samples = list(generate(model, corpus.vocabulary, 3, Sampling(seed=1), corpus.line_hashes))
    scores = score(model, corpus.vocabulary, [sample.text for sample in samples])
    assert [line.nats for line in scores] == pytest.approx([sample.nats for sample in samples], rel=1e-4)
    assert "Additive" in model._repr_html_()
