"""The interface of all models: predict the next character at every position, or one character at a time.

Shapes: B lines, T time, V vocabulary, K selected lines.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from itertools import chain
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError, a_kind, whole
from wavemore.nn.config import ModelConfig
from wavemore.nn.display import model_html


class Decoder(ABC):
    """B lines that grow by one character per step; only boundary tokens come before a line's first character.

    The model must be in eval mode, and its weights must not change while the decoder is in use. Use it within
    torch.no_grad, as it is not for gradients and would keep the graph of all steps.
    """

    logits: Tensor
    """The prediction of each line's next character: (B, V)."""

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Append one character to each line, (B,), and predict the next: (B, V)."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Continue with the lines in `rows` only, (K,) row numbers; a repeated row is a copy."""

    def prefill(self, tokens: Tensor) -> Tensor:
        """Append T characters to each line, (B, T); return the prediction made before each: (B, T, V)."""
        logits = []
        for token in tokens.unbind(dim=1):
            logits.append(self.logits)
            self.step(token)
        return torch.stack(logits, dim=1)


@dataclass(frozen=True)
class OwnConfig(ModelConfig):
    """The config of a subclass of `Model` that has no other one."""

    @property
    def receptive_field(self) -> None:
        """None, the whole line so far, as nothing is known."""
        return None


class Model(nn.Module, ABC):
    """Predict the next character from those before it.

    A subclass needs no more than `forward`:

    >>> class Mean(Model):
    ...     def __init__(self, vocabulary_size: int) -> None:
    ...         super().__init__(vocabulary_size)
    ...         self.embedding = nn.Embedding(vocabulary_size, vocabulary_size)
    ...
    ...     def forward(self, tokens: Tensor) -> Tensor:
    ...         return self.embedding(tokens).cumsum(dim=1)
    >>> Mean(27)(torch.zeros(2, 5, dtype=torch.int64)).shape
    torch.Size([2, 5, 27])
    """

    config: ModelConfig = OwnConfig()
    characters: str
    """The characters that the model was trained on, in the order of their ids, from 1 on; empty if not known."""
    labels: tuple[str, ...]
    """The labels that the model was trained on, in the order of their start tokens; empty if not known."""
    _takes_logits_to_keep: ClassVar[bool]
    """Whether `forward` takes `logits_to_keep`."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._takes_logits_to_keep = "logits_to_keep" in signature(cls.forward).parameters

    def __init__(self, vocabulary_size: int, num_labels: int = 0) -> None:
        """The vocabulary is what is predicted; `num_labels` more tokens, from that id on, only begin a line."""
        super().__init__()
        vocabulary_size, num_labels = whole(vocabulary_size, "vocabulary_size"), whole(num_labels, "num_labels")
        if vocabulary_size < 2:
            raise UsageError(
                f"`vocabulary_size` is {vocabulary_size}; it must be at least 2, for the boundary and one character"
            )
        self.vocabulary_size, self.num_labels = vocabulary_size, num_labels
        self.characters, self.labels = "", ()

    @property
    def context(self) -> int | None:
        """The number of tokens that a prediction sees; None if it sees all of them."""
        return self.config.receptive_field

    @abstractmethod
    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position: int64 (B, T) -> logits (B, T, V).

        With `logits_to_keep` only the last positions are predicted: (B, logits_to_keep, V). A subclass may have a
        `forward` without it, which takes more time.

        A line begins with the boundary token, id 0, or with the token of its label, so its first prediction is that of
        its first character. As far as the model sees, only copies of that token come before it. No prediction depends
        on a later token (for a model with batch statistics: in eval mode).
        """

    def last_logits(self, tokens: Tensor, count: int | None) -> Tensor:
        """Call the model, and return the predictions at the last positions: (B, T) -> (B, count, V)."""
        logits: Tensor = self(tokens, logits_to_keep=count) if self._takes_logits_to_keep else self(tokens)
        return last_positions(logits, count)

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step, after the tokens `starts`, (B,), or after boundaries."""
        return _ForwardDecoder(self, self.start_tokens(lines, starts))

    def start_tokens(self, lines: int, starts: Tensor | None) -> Tensor:
        """Return the token with which each line begins, (B,), on the model's device: by default the boundary."""
        if starts is not None:
            return starts.to(self.device)
        return torch.zeros(lines, dtype=torch.int64, device=self.device)

    def require_vocabulary(self, characters: str, labels: tuple[str, ...] = ()) -> None:
        """Raise a ModelError if the model has no weights, another number of tokens, or was trained on other ones."""
        if self.device.type == "meta":
            raise ModelError(
                "the model is on the meta device, which holds no numbers: `model.to_empty(device='cpu')` and "
                "`load_state_dict` give it weights"
            )
        if len(labels) != self.num_labels or (self.labels and labels != self.labels):
            raise ModelError(
                f"the model was made for {self.num_labels:,} labels, and the data has {len(labels):,}, or others: use "
                "the vocabulary that the model was made for, and build a model with `num_labels`"
            )
        if len(characters) + 1 != self.vocabulary_size:
            raise ModelError(
                f"the model predicts {self.vocabulary_size:,} tokens, and the vocabulary of the data has "
                f"{len(characters) + 1:,}: use the vocabulary that the model was made for"
            )
        if self.characters and characters != self.characters:
            other = "".join(sorted(set(characters) - set(self.characters)))
            raise ModelError(
                f"the vocabulary of the data has characters that the model was not trained on, such as {other[:10]!r}: "
                "use the vocabulary that the model was made for"
            )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights as torch does. Raises a ModelError for those of another model or another vocabulary."""
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            raise ModelError(f"the weights do not fit this model: {str(error).splitlines()[-1].strip()}") from None

    def parameter_count(self) -> int:
        """Count the trained numbers: weights and biases, no running statistics."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(chain(self.parameters(), self.buffers())).device

    def _repr_html_(self) -> str:
        return model_html(
            self, self.config, f"{self.parameter_count():,} parameters, a vocabulary of {self.vocabulary_size:,}"
        )


def require_model(model: object) -> None:
    """Raise a ModelError for anything that is no `Model`.

    >>> require_model(nn.Linear(2, 2))
    Traceback (most recent call last):
    wavemore.errors.ModelError: a Linear is not a wavemore model: make one by `build`, or subclass `Model`; to comp...
    """
    if not isinstance(model, Model):
        if isinstance(getattr(model, "model", None), Model):
            raise ModelError(f"{a_kind(model)} holds a model: give its `model`")
        raise ModelError(
            f"{a_kind(model)} is not a wavemore model: make one by `build`, or subclass `Model`; to compile a "
            "model, call its own `compile()`"
        )


M = TypeVar("M", bound=nn.Module)


def copy_of(model: M) -> M:
    """Copy a model, also one that torch cannot copy: with weights that pruning or a parametrization computed."""
    found = [value for layer in model.modules() for value in vars(layer).values()]
    tensors = [x for value in found for x in (value if isinstance(value, list) else [value]) if isinstance(x, Tensor)]
    copy = deepcopy(model, {id(x): x.detach().clone() for x in tensors if not x.is_leaf})
    for layer in copy.modules():
        if isinstance(layer, nn.RNNBase):
            layer.flatten_parameters()  # on a GPU its weights must follow each other in memory, and copies do not
    return copy


class _ForwardDecoder(Decoder):
    """The default decoder: at every step, the model reads all that it sees once more."""

    def __init__(self, model: Model, starts: Tensor) -> None:
        self.model = model
        self.tokens = starts[:, None].repeat(1, model.context or 1)  # (B, T)
        self.logits = self._predict()

    def step(self, tokens: Tensor) -> Tensor:
        tokens = torch.cat([self.tokens, tokens[:, None]], dim=1)
        self.tokens = last_positions(tokens, self.model.context)
        self.logits = self._predict()
        return self.logits

    def prefill(self, tokens: Tensor) -> Tensor:
        read = torch.cat([self.tokens, tokens], dim=1)
        after = self.model.last_logits(read, tokens.shape[1])
        before = torch.cat([self.logits[:, None], after[:, :-1]], dim=1)
        self.tokens, self.logits = last_positions(read, self.model.context), after[:, -1]
        return before

    def select(self, rows: Tensor) -> None:
        self.tokens, self.logits = self.tokens.index_select(0, rows), self.logits.index_select(0, rows)

    def _predict(self) -> Tensor:
        return self.model.last_logits(self.tokens, 1)[:, 0]


def output_layer(channels: int, vocabulary_size: int) -> nn.Linear:
    """Make the last layer of a model with weights so small that all logits are near 0: the loss starts at ln V."""
    layer = nn.Linear(channels, vocabulary_size)
    nn.init.normal_(layer.weight, std=0.1 / channels**0.5)
    nn.init.zeros_(layer.bias)
    return layer


def last_positions(x: Tensor, count: int | None) -> Tensor:
    """Return the last `count` positions, or all of them if it is None: (B, T, ...) -> (B, count, ...)."""
    return x if count is None else x[:, -count:]
