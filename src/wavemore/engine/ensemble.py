"""Several models as one: the mean of their probabilities, which are often better than those of the best one alone.

Shapes: B lines, T time, V vocabulary, K selected lines.
"""

from collections.abc import Callable, Sequence
from math import log

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, all_of, require
from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Decoder, Model, require_model


class Ensemble(Model):
    """Predict with the mean of the probabilities of several models, of any kinds, with the same characters and labels.

    Its logits are the logarithms of these means. Raises `ModelError` for models with other characters or labels.

    >>> from wavemore.nn.bigram import Bigram, BigramConfig
    >>> one, two = (Bigram(5, BigramConfig()) for _ in range(2))
    >>> tokens = torch.tensor([[0, 2]])
    >>> mean = (one(tokens).softmax(2) + two(tokens).softmax(2)) / 2
    >>> torch.allclose(Ensemble([one, two])(tokens).exp(), mean)
    True
    """

    def __init__(self, models: Sequence[Model]) -> None:
        models = all_of(models, "models", nn.Module, "a list of models")
        require(len(models) > 0, "models", "an empty list", "one model or more")
        for model in models:
            require_model(model)
        super().__init__(models[0].vocabulary_size, models[0].num_labels)
        known = next((model for model in models if model.characters), models[0])
        self.characters, self.labels = known.characters, known.labels
        for model in models:
            same_sizes = (model.vocabulary_size, model.num_labels) == (self.vocabulary_size, self.num_labels)
            same_tokens = not model.characters or (model.characters, model.labels) == (self.characters, self.labels)
            if not (same_sizes and same_tokens):
                raise ModelError("the models have different characters or labels, so they cannot be averaged")
        self.models = nn.ModuleList(models)
        self.config: ModelConfig = models[0].config

    @property
    def parts(self) -> list[Model]:
        """The models."""
        return [model for model in self.models if isinstance(model, Model)]

    @property
    def context(self) -> int | None:
        """The most that a model sees; None if one of them sees all."""
        contexts = [model.context for model in self.parts]
        known = [context for context in contexts if context is not None]
        return max(known) if len(known) == len(contexts) else None

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: log-probabilities, (B, T) -> (B, T, V)."""
        return self.mixed([model.last_logits(tokens.to(model.device), logits_to_keep) for model in self.parts])

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step in all models."""
        return _EnsembleDecoder(self.mixed, [model.decoder(lines, starts) for model in self.parts])

    def mixed(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the logarithm of the mean of the probabilities, on the device of the first ones: (..., V) each."""
        return torch.stack(log_p_of(logits)).logsumexp(dim=0) - log(len(logits))

    def _repr_html_(self) -> str:
        return "".join(model._repr_html_() for model in self.parts)

    def parameter_count(self) -> int:
        """Count the trained numbers of all models."""
        return sum(model.parameter_count() for model in self.parts)


class _EnsembleDecoder(Decoder):
    def __init__(self, mixed: Callable[[Sequence[Tensor]], Tensor], decoders: Sequence[Decoder]) -> None:
        self.mixed, self.decoders = mixed, decoders
        self.logits = mixed([decoder.logits for decoder in decoders])

    def step(self, tokens: Tensor) -> Tensor:
        self.logits = self.mixed([decoder.step(tokens.to(decoder.logits.device)) for decoder in self.decoders])
        return self.logits

    def select(self, rows: Tensor) -> None:
        self.logits = self.logits.index_select(0, rows)
        for decoder in self.decoders:
            decoder.select(rows.to(decoder.logits.device))

    def prefill(self, tokens: Tensor) -> Tensor:
        logits = self.mixed([decoder.prefill(tokens.to(decoder.logits.device)) for decoder in self.decoders])
        self.logits = self.mixed([decoder.logits for decoder in self.decoders])
        return logits


def log_p_of(logits: Sequence[Tensor]) -> list[Tensor]:
    """Return the log-probabilities of several predictions, on the device of the first and in the most exact dtype."""
    log_p = [each.to(logits[0].device).log_softmax(dim=-1) for each in logits]
    dtype = max((each.dtype for each in log_p), key=lambda dtype: dtype.itemsize)
    return [each.to(dtype) for each in log_p]
