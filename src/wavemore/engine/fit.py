"""The training loop, as an iterator: each step yields a record; who reads the records is not its business."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import inf, isfinite, log10
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.engine.blocks import StretchBatches, batches_to_evaluate, batches_to_train
from wavemore.engine.distillation import NGRAM, taught_loss
from wavemore.engine.evaluate import modes_put_back, token_nats
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.recipe import Precision, Recipe
from wavemore.errors import RunError, TrainingError, UsageError
from wavemore.nn.layers import Dropout
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram
from wavemore.nn.tree import Tree
from wavemore.text.continuous import StreamPart, TextStream
from wavemore.text.corpus import Corpus, Part

VAL_CHARACTERS = 500_000
"""Of a text's val part that are enough to tell the better of two states."""


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on to the same bits: plain tensors and a few numbers, copied."""

    tensors: dict[str, Tensor]
    """`model.*`, `averaged.*` where weights are averaged, `best.*` (the lowest val loss so far), `optimizer.*`."""
    facts: str
    """The rest as JSON: steps done, lowest val loss and its step, the train loss gathered since the last record."""


@dataclass
class Progress:
    """What is known after a step. Losses are nats per character."""

    step: int
    """Steps done so far."""
    steps: int
    epoch: float
    """Passes over the training targets so far."""
    learning_rate: float
    train_nats: float
    """Mean loss of the batches since the last record that was `logged`, against the true characters."""
    taught_nats: float | None
    """Of a student, the same against its targets, which are partly its teachers': it is what the steps make lower."""
    val_nats: float | None
    """Exact val loss, at the steps where it is taken."""
    best_val_nats: float
    best_step: int
    seconds: float
    """Training time of this call so far, without evaluation."""
    steps_here: int
    """Steps done in this call: without those before a resumption."""
    chars_per_second: float
    """Predicted characters by training time, in this call."""
    logged: bool
    """Whether this step closes a stretch of the train loss: about 200 times a training, and at each evaluation."""
    update_ratios: dict[str, float] | None
    """Where `logged`: log10 of std(update) / std(weight) of every matrix by its name, those that did not move left out.

    The lecture's rule is about -3; what is healthy depends on the optimiser (Muon: about -1.5).
    """
    _fit: "_Fit"

    @property
    def is_best(self) -> bool:
        """Whether the state after this step has the lowest val loss so far."""
        return self.best_step == self.step

    def checkpoint(self) -> Checkpoint:
        """Everything that resuming after this step needs.

        Raises `UsageError` once the next step is taken or the iteration has ended: the weights are others then.
        """
        if self._fit.over or self._fit.step != self.step:
            raise UsageError(
                f"the state after step {self.step:,} is gone: take its checkpoint before the iteration goes on"
            )
        return self._fit.checkpoint()

    def best_state(self) -> dict[str, Tensor]:
        """The weights with the lowest val loss so far."""
        return self._fit.best


def fit(
    model: Model,
    corpus: Corpus | TextStream,
    recipe: Recipe,
    *,
    soft_targets: Tensor | None = None,
    resume: Checkpoint | None = None,
) -> Iterator[Progress]:
    """Train `model` on `corpus.train`, one record a step; at the end it holds the weights with the best val loss.

    It does so too when the iteration is left early (`break`, Ctrl-C) after a first evaluation; before one it holds
    the weights of the last step. The mode of every layer is put back. The same model, corpus, recipe and number of
    threads give the same bits on a CPU, also through a `Checkpoint` in between.

    With `recipe.teacher_share` above 0 the model is a student: `soft_targets` (N, V), made of its teachers in
    `engine/teaching.py`, are so much of what it is trained on. The val loss stays that of the true characters.

    Raises `TrainingError` when the train or the val loss is no longer finite; the model then holds the weights with
    the best val loss, or those that this call began with where there is none yet.

    >>> from wavemore.nn.config import TreeConfig
    >>> from wavemore.nn.models import build
    >>> corpus = Corpus.from_lines(["ab" * n for n in range(1, 21)])
    >>> model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2,), embedding=2, hidden=4), seed=0)
    >>> for progress in fit(model, corpus, Recipe(steps=20, batch_size=8)):
    ...     if progress.val_nats is not None:
    ...         last = progress
    >>> last.step, last.val_nats < 1.0
    (20, True)
    """
    state = _Fit(model, corpus, recipe, soft_targets)
    if resume is not None:
        state.load(resume)
    start = copied(model.state_dict())
    with modes_put_back(model):
        try:
            while state.step < recipe.steps:
                yield state.advance()
        except TrainingError:
            model.load_state_dict(start)
            raise
        finally:
            state.over = True
            if state.best:
                model.load_state_dict(state.best)


class _Fit:
    """A training between two steps."""

    def __init__(self, model: Model, corpus: Corpus | TextStream, recipe: Recipe, soft_targets: Tensor | None) -> None:
        if isinstance(model, Tree) and recipe.execution == "lines":
            raise UsageError("a tree is trained by the executions unique and windows: lines is for other models")
        self.model, self.recipe = model, recipe
        self.soft = _checked(soft_targets, model, corpus) if recipe.teacher_share else None
        self.train = batches_to_train(corpus.train, model, recipe)
        # The weights that are evaluated and kept: the mean over the last steps is better than any one of them.
        self.averaged = deepcopy(model) if recipe.average and not isinstance(model, Ngram) else model
        self.pairs = list(zip(self.averaged.state_dict().values(), model.state_dict().values(), strict=True))
        self.val = batches_to_evaluate(val_in_training(corpus), self.averaged)
        self.positions = self.train.positions(recipe.batch_size, recipe.order, recipe.seed)
        self.optimizers = Optimizers(model, recipe)
        self.matrices = {name: value.detach() for name, value in model.named_parameters() if value.ndim >= 2}
        self.random = any(isinstance(module, Dropout | torch.nn.Dropout) and module.p > 0 for module in model.modules())
        self.step = self.first_step = 0
        self.best: dict[str, Tensor] = {}
        self.best_val_nats, self.best_step = float("inf"), 0
        self.loss_sum, self.taught_sum, self.loss_steps = 0.0, 0.0, 0
        self.seconds = 0.0
        self.over = False  # the iteration has ended, and the model holds the best state

    def advance(self) -> Progress:
        """One step, and an evaluation where the recipe says so."""
        began = perf_counter()
        evaluates = self.recipe.evaluates_after(self.step + 1)
        logged = evaluates or (self.step + 1) % self.recipe.log_every == 0
        before = copied(self.matrices) if logged else {}
        loss, taught = self._train_step()
        ratios = update_ratios(before, self.matrices) if logged else None
        self.seconds += perf_counter() - began
        self._require_finite(taught, "loss")
        self.loss_sum, self.taught_sum = self.loss_sum + loss, self.taught_sum + taught
        self.loss_steps += 1
        val_nats = self._evaluate() if evaluates else None
        progress = Progress(
            step=self.step,
            steps=self.recipe.steps,
            epoch=self.step * self.recipe.batch_size / self.positions.targets,
            learning_rate=self.recipe.learning_rate * self.recipe.learning_rate_scale(self.step - 1),
            train_nats=self.loss_sum / self.loss_steps,
            taught_nats=None if self.soft is None else self.taught_sum / self.loss_steps,
            val_nats=val_nats,
            best_val_nats=self.best_val_nats,
            best_step=self.best_step,
            seconds=self.seconds,
            steps_here=self.step - self.first_step,
            chars_per_second=(self.step - self.first_step) * self.recipe.batch_size / self.seconds,
            logged=logged,
            update_ratios=ratios,
            _fit=self,
        )
        if logged:
            self.loss_sum, self.taught_sum, self.loss_steps = 0.0, 0.0, 0
        return progress

    def _train_step(self) -> tuple[float, float]:
        """The batch's loss against the true characters, and the one that was made lower."""
        if isinstance(self.model, Ngram):
            loss_of_counts = self._count(self.model)
            return loss_of_counts, loss_of_counts
        self.model.train()
        positions = self.positions.at(self.step)
        devices = [self.train.device] if self.train.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices, enabled=self.random):
            if self.random:  # a step's dropout masks depend on the seed and the step alone, so nothing is to be kept
                torch.manual_seed((self.recipe.seed * 1_000_003 + self.step) % 2**63)
            with multiplying_in(self.recipe.precision):
                logits = self.train.logits(positions)
                targets = self.train.targets(positions)
                if self.soft is None:
                    loss = plain = F.cross_entropy(logits, targets)
                else:
                    soft = self.soft[torch.from_numpy(positions)].to(logits)
                    loss, plain = taught_loss(logits, targets, soft, self.recipe.teacher_share)
                self.optimizers.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step(self.step)
        self.step += 1
        self._average()
        return plain.item(), loss.item()

    def _count(self, model: Ngram) -> float:
        """What is one step for a model that is not trained."""
        tokens = torch.from_numpy(self.train.tokens.astype(np.int64)).to(model.device)
        model.count(tokens, across_lines=isinstance(self.train, StretchBatches))
        self.step += 1
        return float(token_nats(model, self.train).mean())

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged state towards the model's, fast in the first steps, when it has seen few."""
        if self.averaged is self.model:
            return
        decay = min(self.recipe.average, self.step / (self.step + 10))
        for kept, now in self.pairs:
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)
            else:  # BatchNorm's count of batches
                kept.copy_(now)

    def _evaluate(self) -> float:
        val_nats = float(token_nats(self.averaged, self.val).mean())
        self._require_finite(val_nats, "val loss")
        if val_nats < self.best_val_nats:
            self.best_val_nats, self.best_step = val_nats, self.step
            self.best = copied(self.averaged.state_dict())
        return val_nats

    def _require_finite(self, nats: float, what: str) -> None:
        if not isfinite(nats):
            raise TrainingError(
                f"the {what} is {nats} at step {self.step:,}; a lower --learning-rate than "
                f"{self.recipe.learning_rate:g} may help"
            )

    def checkpoint(self) -> Checkpoint:
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not self.model else {},
            "best": self.best,
            "optimizer": self.optimizers.state(),
        }
        facts = {
            "step": self.step,
            "best_val_nats": self.best_val_nats if self.best else None,
            "best_step": self.best_step,
            "loss_sum": self.loss_sum,
            "taught_sum": self.taught_sum,
            "loss_steps": self.loss_steps,
        }
        tensors = {f"{part}.{name}": value.clone() for part, state in parts.items() for name, value in state.items()}
        return Checkpoint(tensors, json.dumps(facts))

    def load(self, checkpoint: Checkpoint) -> None:
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "averaged": {}, "best": {}, "optimizer": {}}
        try:
            for name, value in checkpoint.tensors.items():
                part, rest = name.split(".", 1)
                parts[part][rest] = value.to(self.train.device)
            facts = json.loads(checkpoint.facts)
            self.model.load_state_dict(parts["model"])
            if self.averaged is not self.model:
                self.averaged.load_state_dict(parts["averaged"])
            self.optimizers.load_state(parts["optimizer"])
            self.step = self.first_step = int(facts["step"])
            self.best_step = int(facts["best_step"])
            self.loss_sum, self.loss_steps = float(facts["loss_sum"]), int(facts["loss_steps"])
            self.taught_sum = float(facts.get("taught_sum", self.loss_sum))  # states from before have none
            self.best = parts["best"]
            self.best_val_nats = float(facts["best_val_nats"]) if self.best else float("inf")
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise RunError(f"the saved state does not fit this training: {str(error).splitlines()[0]}") from None


def _checked(soft_targets: Tensor | None, model: Model, corpus: Corpus | TextStream) -> Tensor:
    """The soft targets of a student; raises `UsageError` where there are none, or they are of other data."""
    if isinstance(model, Ngram):
        raise UsageError(NGRAM)
    if soft_targets is None:
        raise UsageError("a teacher_share above 0 needs teachers: give some, or leave it out")
    shape = (corpus.train.targets, len(corpus.vocabulary))
    if soft_targets.shape != shape:
        raise UsageError(
            f"soft targets of shape {tuple(soft_targets.shape)} are not those of this data, {shape}: make them of its "
            "train part"
        )
    return soft_targets


@contextmanager
def multiplying_in(precision: Precision) -> Iterator[None]:
    """Let float32 matrices be multiplied in `precision`: rounded to it first, and summed in float32.

    Where the processor has no instructions for bfloat16 all stays float32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if precision == "bfloat16" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def val_in_training(corpus: Corpus | TextStream) -> Part | StreamPart:
    """What the val loss is taken of while training goes on: all, but for a very long text its beginning."""
    if isinstance(corpus, TextStream):
        return StreamPart(corpus.val.tokens[:VAL_CHARACTERS])
    return corpus.val


def update_ratios(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, float]:
    """log10 of std(after - before) / std(before) of every weight by its name; those that did not move are left out."""
    if not before:
        return {}
    spreads = [
        torch.stack([(after[name] - weight).std(correction=0), weight.std(correction=0)])
        for name, weight in before.items()
    ]
    pairs = zip(before, torch.stack(spreads).tolist(), strict=True)
    moved = {name: update / weight for name, (update, weight) in pairs if weight > 0}
    return {name: log10(ratio) for name, ratio in moved.items() if 0 < ratio < inf}


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in memory of their own."""
    return {name: value.clone() for name, value in state.items()}
