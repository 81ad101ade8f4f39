"""Samples of the data, run through a model in both modes: the measurements that the checks judge.

Shapes: N targets of a part, B windows, T context length, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.engine.descent import update_ratios
from wavemore.engine.line_spans import positions_in_line
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.recipe import Recipe
from wavemore.errors import ModelError, UsageError
from wavemore.inspection.checks.batchnorm import check_call, is_batchnorm, running_statistics
from wavemore.inspection.checks.losses import token_counts
from wavemore.inspection.checks.weights import UnitStats, unit_stats
from wavemore.inspection.finding import EvalSample, Finding, Losses
from wavemore.inspection.layer_stats import (
    Observer,
    Pass,
    logits_of,
    run_pass,
    training_mode_without_dropout,
    undisturbed,
    watched,
)
from wavemore.nn.model import Model
from wavemore.nn.tree import Tree
from wavemore.text.corpus import Corpus
from wavemore.text.parts import Part, windows
from wavemore.text.vocabulary import BOUNDARY

BATCH, SAMPLE = 1_024, 2_048
"""Windows in the batch of the table, and in the samples that are judged."""
MAX_POSITIONS = 65_536
"""Positions in the batch of the table; samples may have four times as many."""
MAX_LOGITS = 2**25
"""Logits of a batch, at most: for a large vocabulary it has fewer positions."""
REPEATED = 64
"""Windows that are run twice."""
TRAINED_GAIN = 0.3
"""A model without records counts as trained if its loss is this many nats below ln V."""


class Probe:
    """A model with samples of a corpus; each method leaves the model as it was.

    `units`, `batchnorm_findings` and the loss `training_mode_nats` are measured in training mode. Raises `UsageError`
    if the model predicts another number of tokens than the vocabulary has (a `Model` of ours: `ModelError`), or if a
    part is too short for its context.
    """

    def __init__(self, model: nn.Module, corpus: Corpus, context: int) -> None:
        if isinstance(model, Model):
            model.require_vocabulary(corpus.vocabulary.characters, corpus.vocabulary.labels.names)
        self.model, self.corpus, self.context = model, corpus, context
        self.reads_lines = reads_lines(model)
        shortest = min(corpus.train.num_targets, corpus.val.num_targets)
        if corpus.format == "text" and context >= shortest:
            raise UsageError(
                f"the model needs contexts of {context:,} characters, but a part of {corpus.name} has {shortest:,}: "
                "use more text"
            )
        self.size = len(corpus.vocabulary)
        self.device = next(model.parameters(), torch.empty(0)).device
        self.units: list[UnitStats] = []
        self.batchnorm_findings: list[Finding] = []
        tokens, targets = self._batch(corpus.train, SAMPLE, 4 * MAX_POSITIONS)
        with undisturbed(model), torch.no_grad(), watched(model, self._observer()):
            training_mode_without_dropout(model)
            logits = logits_of(model, tokens)
        if logits.shape[1] != self.size:
            raise UsageError(
                f"the model predicts {logits.shape[1]:,} tokens, but the vocabulary of {corpus.name} has "
                f"{self.size:,}: use the data that the model was made for"
            )
        self.training_mode_nats = _nats(logits, targets)

    def one_pass(self, ratios: dict[str, float]) -> Pass:
        """Run the batch of the table; `ratios` are the update ratios by the names of the weights."""
        with undisturbed(self.model):
            return run_pass(self.model, *self._batch(self.corpus.train), ratios)

    def one_step(self, recipe: Recipe) -> dict[str, float]:
        """Return the update ratios of one step at the peak learning rate."""
        tokens, targets = self._batch(self.corpus.train, recipe.batch_size)
        matrices = {name: value.detach() for name, value in self.model.named_parameters() if value.ndim >= 2}
        before = {name: value.clone() for name, value in matrices.items()}
        with undisturbed(self.model), torch.enable_grad():
            self.model.train()
            optimizers = Optimizers(self.model, recipe)
            optimizers.zero_grad()
            loss = F.cross_entropy(logits_of(self.model, tokens), targets)
            if not loss.requires_grad:
                return {}
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers.step(1.0)
            return update_ratios(before, matrices)

    @cached_property
    def eval_sample(self) -> EvalSample | None:
        """Measure losses in eval mode, and what predictions depend on; None if eval mode is not possible."""
        train, val = (self._batch(part, SAMPLE, 4 * MAX_POSITIONS) for part in (self.corpus.train, self.corpus.val))
        few = train[0][:REPEATED]
        try:
            with undisturbed(self.model), torch.no_grad():
                in_given_mode = logits_of(self.model, few)
            with undisturbed(self.model), torch.no_grad():
                self.model.eval()
                train_logits, val_logits = logits_of(self.model, train[0]), logits_of(self.model, val[0])
                first, second = logits_of(self.model, few), logits_of(self.model, few)
        except ModelError:  # a BatchNorm without statistics
            return None
        return EvalSample(
            train_nats=_nats(train_logits, train[1]),
            val_nats=_nats(val_logits, val[1]),
            half_logits_nats=_nats(train_logits.cpu().double() / 2, train[1]),
            mode_dependent=_differ(in_given_mode, first),
            nondeterministic=_differ(first, second),
            batch_dependent=_differ(first, train_logits[: len(few)]),
        )

    def losses(self, table: Pass, start: "Probe | None", records: Sequence[Mapping[str, Any]]) -> Losses:
        """Gather the losses of all samples; `start` is the model before training, if it is known."""
        uniform, sample = log(self.size), self.eval_sample
        train_nats, val_nats = (sample.train_nats, sample.val_nats) if sample else (None, None)
        lowest = min(self.training_mode_nats, uniform if train_nats is None else train_nats)
        trained = bool(records) or lowest <= uniform - TRAINED_GAIN
        initial = start.one_pass({}) if start else None if trained else table
        initial_nats = initial.nats if initial else None
        if start is None and records and records[0]["step"] <= 1:
            initial_nats = float(records[0]["train_nats"])
        targets = self.corpus.val.tokens[self._positions(self.corpus.val, SAMPLE)]
        counts = token_counts(self.corpus.train.tokens, self.size) + 1.0
        return Losses(
            uniform_nats=uniform,
            unigram_nats=float(-np.log(counts / counts.sum())[targets].mean()),
            initial_nats=initial_nats,
            initial_confidence=initial.confidence if initial else None,
            trained=trained,
            training_mode_nats=self.training_mode_nats,
            train_nats=train_nats,
            val_nats=val_nats,
        )

    def _observer(self) -> Observer:
        """Return a function that measures the calls of activations and BatchNorm layers."""
        running = {module: running_statistics(module) for module in self.model.modules() if is_batchnorm(module)}
        previous: tuple[nn.Module, Tensor] | None = None

        def observe(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
            nonlocal previous
            if layer in running:
                after_linear = previous is not None and previous[1] is x and hasattr(previous[0], "out_features")
                self.batchnorm_findings += check_call(path, layer, x, y, running[layer], channels_last=after_linear)
            elif unit := unit_stats(path, layer, x, y):
                self.units.append(unit)
            previous = layer, y

        return observe

    def _batch(self, part: Part, count: int = BATCH, max_positions: int = MAX_POSITIONS) -> tuple[Tensor, Tensor]:
        """Return some windows of a part and their targets, always the same: (B, T), (B,)."""
        if part.format == "text":  # whose windows are long
            max_positions //= 4
        max_positions = min(max_positions, MAX_LOGITS // self.size)
        return self._windows(part, self._positions(part, max(2, min(count, max_positions // self.context))))

    def _positions(self, part: Part, count: int) -> NDArray[np.int64]:
        """Return some positions of a part, always the same: those with a full context, or for lines any."""
        random = np.random.default_rng(0)
        if part.format == "text":
            room = part.num_targets - self.context
            return self.context + random.choice(room, min(count, room), replace=False, shuffle=False)
        if self.reads_lines:  # those whose context is the whole line so far
            full = np.flatnonzero(positions_in_line(part.tokens) == self.context - 1)
            return random.choice(full, min(count, len(full)), replace=False, shuffle=False)
        return random.choice(part.num_targets, min(count, part.num_targets), replace=False, shuffle=False)

    def _windows(self, part: Part, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the contexts before some positions, and the targets: (B,) -> (B, T), (B,)."""
        if part.format == "text":
            contexts = np.array(part.tokens[positions[:, None] + np.arange(-self.context, 0)])
            receptive_field = self.model.context if isinstance(self.model, Model) else self.context
            if self.reads_lines and (receptive_field is None or receptive_field > self.context):
                contexts[:, 0] = BOUNDARY  # the model could see more: for it the text begins here
        else:
            contexts = windows(part.tokens, positions, self.context).astype(np.int64)
            if self.reads_lines and part.labels is not None:  # each context begins with the line
                line = np.searchsorted(part.segments, positions, side="right") - 1
                contexts[:, 0] = self.size + part.labels.numbers[line].astype(np.int64)
        tokens, targets = (
            torch.from_numpy(ids.astype(np.int64)).to(self.device) for ids in (contexts, part.tokens[positions])
        )
        return tokens, targets


def reads_lines(model: nn.Module) -> bool:
    """Whether a model is run on whole lines or texts; a tree, and any other torch model, is run on windows."""
    return isinstance(model, Model) and not isinstance(model, Tree)


def _nats(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits.cpu().double(), targets.cpu()))  # not all devices have float64


def _differ(a: Tensor, b: Tensor) -> bool:
    if not bool(a.isfinite().all() and b.isfinite().all()):
        return False
    return not torch.allclose(a, b, rtol=1e-3, atol=1e-3 * (1 + float(a.abs().mean())))
