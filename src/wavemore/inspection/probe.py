"""What is known of a model before it is judged: samples of the data, run through it in both modes.

B windows, T context length, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.engine.batches import Positions
from wavemore.engine.evaluate import positions_of
from wavemore.engine.fit import update_ratios
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.recipe import Recipe
from wavemore.errors import ModelError, UsageError
from wavemore.inspection.checks.batchnorm import Normalised, is_batchnorm, kept_by, look_at
from wavemore.inspection.checks.weights import Units, units_of
from wavemore.inspection.finding import Evaluated, Losses, frequencies
from wavemore.inspection.layer_stats import Pass, as_in_training, logits_of, take, undisturbed, watched
from wavemore.nn.model import LineModel
from wavemore.text.continuous import StreamPart, TextStream
from wavemore.text.corpus import Corpus, Part, windows
from wavemore.text.vocabulary import BOUNDARY, Ids

BATCH, SAMPLE = 1_024, 2_048
"""Windows of the table, and of what is judged by a larger sample."""
POSITIONS = 65_536
"""At most so many positions in the batch of the table, and four times as many in the sample."""
FEW = 64
"""Windows that are run twice."""
TRAINED = 0.3
"""Nats below ln V from which on a model without records counts as trained."""


@dataclass(frozen=True)
class Sample:
    """What a large sample showed in training mode."""

    units: list[Units]
    norms: list[Normalised]
    nats: float


class Probe:
    """A model with samples of a corpus; after each question the model is as it was.

    Raises `UsageError` where the model predicts another number of tokens than the vocabulary has, or takes more
    characters than a part of the data has.
    """

    def __init__(self, model: nn.Module, corpus: Corpus | TextStream, context: int) -> None:
        self.model, self.corpus, self.context = model, corpus, context
        if isinstance(corpus, TextStream) and context >= (least := min(corpus.train.targets, corpus.val.targets)):
            raise UsageError(
                f"the model is shown {context:,} characters at once, and a part of {corpus.name} has {least:,}: take "
                "more text"
            )
        self.size = len(corpus.vocabulary)
        first = next(model.parameters(), None)
        self.device = first.device if first is not None else torch.device("cpu")
        self.kept = {module: kept_by(module) for module in model.modules() if is_batchnorm(module)}
        with undisturbed(model), torch.no_grad():
            as_in_training(model)
            logits = logits_of(model, self.batch(corpus.train, 2)[0])
        if logits.shape[1] != self.size:
            raise UsageError(
                f"the model predicts {logits.shape[1]:,} tokens, and the vocabulary of {corpus.name} has "
                f"{self.size:,}: inspect it with the data that it was made for"
            )

    def batch(self, part: Part | StreamPart, count: int = BATCH, positions: int = POSITIONS) -> tuple[Tensor, Tensor]:
        """Some windows of a part and what follows them, always the same: (B, T), (B,)."""
        if isinstance(part, StreamPart):  # where each window is long
            positions //= 4
        count = max(2, min(count, positions // self.context))
        return self._at(part, self._some(part, count))

    def _some(self, part: Part | StreamPart, count: int) -> NDArray[np.int64]:
        """Positions of a part, always the same; of lines, those whose context is the whole line so far."""
        if isinstance(part, StreamPart):  # those that have a context
            return self.context + _some(part.targets - self.context, min(count, part.targets - self.context))
        if not isinstance(self.model, LineModel):
            return _some(part.targets, min(count, part.targets))
        fit = np.flatnonzero(positions_of(part.tokens) == self.context - 1)
        return np.random.default_rng(0).choice(fit, min(count, len(fit)), replace=False, shuffle=False)

    def one_pass(self, ratios: dict[str, float]) -> Pass:
        """The pass of the table."""
        with undisturbed(self.model):
            return take(self.model, *self.batch(self.corpus.train), ratios)

    def one_step(self, recipe: Recipe) -> dict[str, float]:
        """Update ratios of a step at the peak of the learning rate."""
        at_peak = replace(recipe, schedule="constant", warmup=0.0)
        if isinstance(self.corpus, TextStream):  # each prediction is shown its context here, so they are fewer
            picked = self._some(self.corpus.train, max(2, min(recipe.batch_size, POSITIONS // self.context)))
        elif isinstance(self.model, LineModel):
            picked = self._some(self.corpus.train, recipe.batch_size)
        else:
            picked = Positions(self.corpus.train.targets, recipe.batch_size, recipe.order, recipe.seed).at(0)
        tokens, targets = self._at(self.corpus.train, picked)
        matrices = {name: value.detach() for name, value in self.model.named_parameters() if value.ndim >= 2}
        before = {name: value.clone() for name, value in matrices.items()}
        with undisturbed(self.model), torch.enable_grad():
            self.model.train()
            optimizers = Optimizers(self.model, at_peak)
            optimizers.zero_grad()
            loss = F.cross_entropy(logits_of(self.model, tokens), targets)
            if not loss.requires_grad:
                return {}
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers.step(0)
            return update_ratios(before, matrices)

    def sample(self) -> Sample:
        """Units and normalisations over a large sample, as in training."""
        units: list[Units] = []
        norms: list[Normalised] = []
        last: list[tuple[nn.Module, Tensor]] = []

        def look(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
            if layer in self.kept:
                from_linear = bool(last) and last[0][1] is x and hasattr(last[0][0], "out_features")
                if norm := look_at(path, layer, x, y, self.kept[layer], channels_last=from_linear):
                    norms.append(norm)
            elif found := units_of(path, layer, x, y):
                units.append(found)
            last[:] = [(layer, y)]

        tokens, targets = self.batch(self.corpus.train, SAMPLE, 4 * POSITIONS)
        with undisturbed(self.model), torch.no_grad(), watched(self.model, look):
            as_in_training(self.model)
            logits = logits_of(self.model, tokens)
        return Sample(units, norms, float(F.cross_entropy(logits.double(), targets)))

    def evaluated(self) -> Evaluated | None:
        """The losses in eval mode; None where it cannot be run in it."""
        train, val = (self.batch(part, SAMPLE, 4 * POSITIONS) for part in (self.corpus.train, self.corpus.val))
        few = train[0][:FEW]
        try:
            with undisturbed(self.model), torch.no_grad():
                as_found = logits_of(self.model, few)
            with undisturbed(self.model), torch.no_grad():
                self.model.eval()
                of_train, of_val = logits_of(self.model, train[0]), logits_of(self.model, val[0])
                once, again = logits_of(self.model, few), logits_of(self.model, few)
        except ModelError:  # BatchNorm without statistics
            return None
        return Evaluated(
            train=float(F.cross_entropy(of_train.double(), train[1])),
            val=float(F.cross_entropy(of_val.double(), val[1])),
            cooler=float(F.cross_entropy(of_train.double() / 2, train[1])),
            differs_as_found=_differ(as_found, once),
            random=_differ(once, again),
            mixes=_differ(once, of_train[: len(few)]),
        )

    def losses(
        self,
        seen: Pass,
        sample: Sample,
        evaluated: Evaluated | None,
        begun: "Probe | None",
        records: Sequence[Mapping[str, Any]],
    ) -> Losses:
        """The losses of all samples side by side; `begun` is the model before training, where it is known."""
        modes = [sample.nats] if evaluated is None else [sample.nats, evaluated.train]
        uniform = log(self.size)
        first: float | None = None
        confidence: float | None = None
        if begun is not None:
            before = begun.one_pass({})
            first, confidence = before.nats, before.confidence
        elif records and records[0]["step"] <= 1:
            first = float(records[0]["train_nats"])
        elif not records and min(modes) > uniform - TRAINED:
            first, confidence = seen.nats, seen.confidence
        targets = self.corpus.val.tokens[self._some(self.corpus.val, SAMPLE)]
        counts = frequencies(self.corpus.train.tokens, self.size) + 1.0
        return Losses(
            uniform=uniform,
            letters=float(-np.log(counts / counts.sum())[targets].mean()),
            first=first,
            first_confidence=confidence,
            trained=bool(records) or min(modes) <= uniform - TRAINED,
            training_mode=sample.nats,
            train=None if evaluated is None else evaluated.train,
            val=None if evaluated is None else evaluated.val,
        )

    def _at(self, part: Part | StreamPart, picked: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        targets = part.tokens[picked]
        if isinstance(part, StreamPart):
            contexts = stretches_before(part.tokens, picked, self.context)
            if isinstance(self.model, LineModel) and (self.model.context is None or self.model.context > self.context):
                contexts[:, 0] = BOUNDARY  # the model sees further: what it is shown begins here, as a text does
        else:
            contexts = windows(part.tokens, picked, self.context)
        tensors = (torch.from_numpy(ids.astype(np.int64)).to(self.device) for ids in (contexts, targets))
        return next(tensors), next(tensors)


def _some(targets: int, count: int) -> NDArray[np.int64]:
    """Some numbers below `targets`, always the same: (count,)."""
    return np.random.default_rng(0).choice(targets, count, replace=False, shuffle=False)


def stretches_before(tokens: Ids, positions: NDArray[np.int64], length: int) -> Ids:
    """Return the characters of a text before each position, none of them nearer to its beginning: (B,) -> (B, T).

    >>> stretches_before(np.array([5, 0, 6, 7], dtype=np.uint8), np.array([3]), length=2).tolist()
    [[0, 6]]
    """
    before: Ids = np.array(tokens[positions[:, None] + np.arange(-length, 0)])
    return before


def _differ(one: Tensor, other: Tensor) -> bool:
    if not bool(one.isfinite().all() and other.isfinite().all()):
        return False
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-3 * (1 + float(one.abs().mean())))
