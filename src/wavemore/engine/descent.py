"""Training by gradients: one step after the other, the val loss, and the state between two steps."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from math import inf, log10, nan
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batcher import PADDED, PaddedBatch
from wavemore.engine.batchers import evaluation_batcher, training_batcher, training_sampler
from wavemore.engine.cuda_graphs import StepGraphs, can_be_recorded
from wavemore.engine.distillation import checked, distill_loss
from wavemore.engine.evaluate import restored_modes, token_nats
from wavemore.engine.loss_parts import val_in_training
from wavemore.engine.optimizer import Optimizers, Scale
from wavemore.engine.ranks import require_same_weights
from wavemore.engine.recipe import MAX_NATS, Recipe
from wavemore.engine.step_record import NO_STATE, Checkpoint, StepRecord
from wavemore.engine.threads import measured
from wavemore.engine.torch_optimizer import OwnOptimizer
from wavemore.errors import ModelError, RunError, TrainingError, UsageError
from wavemore.nn.layers import Dropout
from wavemore.nn.model import Model, copy_of
from wavemore.nn.precision import matmul_precision
from wavemore.nn.ranks import current_ranks
from wavemore.text.corpus import Corpus

FACTS = ("step", "best_val_nats", "best_step", "loss_sum", "distill_sum", "loss_steps")  # of a checkpoint


class Descent:
    """The state of a training by gradients between two steps."""

    def __init__(
        self,
        model: Model,
        corpus: Corpus,
        recipe: Recipe,
        soft_targets: Tensor | None,
        own: torch.optim.Optimizer | None,
    ) -> None:
        self.model, self.recipe = model, recipe
        self.batcher = training_batcher(corpus.train, model, recipe)
        self.soft_targets = checked(soft_targets, corpus).to(self.batcher.device) if recipe.distill_weight else None
        self.sampler = training_sampler(corpus.train, self.batcher, recipe)
        self.ranks = self.batcher.ranks = current_ranks()
        # The weights that are evaluated and kept: an average over the last steps is better than any single step.
        self.averaged = copy_of(model) if recipe.ema_decay else model
        pairs = zip(self.averaged.state_dict().values(), model.state_dict().values(), strict=True)
        self.pairs = list(pairs) if recipe.ema_decay else []
        val = val_in_training(corpus)
        self.val, self.val_weights = evaluation_batcher(val, self.averaged), val.target_weights()
        self.val.ranks = self.ranks
        self.optimizers = Optimizers(model, recipe, self.ranks) if own is None else OwnOptimizer(own, model)
        self.parameters = [value for value in model.parameters() if value.requires_grad]
        records = own is None and self.ranks.size == 1 and can_be_recorded(model)
        self.step_graphs = StepGraphs(self.batcher.device) if records else None
        self.work = f"training on {self.batcher.device.type}, {model.parameter_count()} parameters"
        self.matrices = {name: value.detach() for name, value in model.named_parameters() if value.ndim >= 2}
        self.drops = any(isinstance(layer, Dropout | torch.nn.Dropout) and layer.p > 0 for layer in model.modules())
        self.step = self.first_step = 0
        self.best_state: dict[str, Tensor] = {}
        self.best_val_nats, self.best_step = inf, 0
        self.loss_sum, self.distill_sum, self.loss_steps = 0.0, 0.0, 0  # since the last logged record
        self.seconds = 0.0
        self.ended = False  # whether the model holds the best weights instead of the last ones

    def records(self) -> Generator[StepRecord, None, None]:
        """Take all steps that are left, one per record; at the end, however it comes, load the best weights."""
        initial = _copied(self.model.state_dict())
        with restored_modes(self.model):
            try:
                while self.step < self.recipe.steps:
                    yield self._advance()
            except TrainingError:
                self.model.load_state_dict(initial)
                raise
            finally:
                self.ended = True
                if self.step_graphs:
                    self.step_graphs = None
                    self.optimizers.zero_grad()  # gradients are in the memory of the graphs
                if self.best_state:
                    self.model.load_state_dict(self.best_state)

    def _advance(self) -> StepRecord:
        """Take one step, and measure the val loss if the recipe says so."""
        start = perf_counter()
        evaluates = self.recipe.evaluates_after(self.step + 1)
        logged = evaluates or (self.step + 1) % self.recipe.log_every == 0
        before = _copied(self.matrices) if logged else {}
        with measured(self.work, self.recipe.batch_size):
            train_nats, loss = self._train_step()
        ratios = update_ratios(before, self.matrices) if logged else None
        self.seconds += perf_counter() - start
        self._require_finite(loss, "loss")
        self.loss_sum, self.distill_sum = self.loss_sum + train_nats, self.distill_sum + loss
        self.loss_steps += 1
        record = self._record(self._evaluate() if evaluates else None, logged, ratios)
        if logged:
            self.loss_sum, self.distill_sum, self.loss_steps = 0.0, 0.0, 0
        return record

    def _train_step(self) -> tuple[float, float]:
        """Return the batch's loss against the true characters, and the loss that was minimised."""
        self.model.train()
        batch = self.sampler.at(self.step)
        rates = self.recipe.learning_rate_scale(self.step), self._averaging_rate(self.step + 1)
        padded = None
        if self.step_graphs and can_be_recorded(self.model):  # there may be hooks since the last step
            padded = self.batcher.padded(batch)
        if self.step_graphs and padded:
            with self._computing():
                nats, distilled = self.step_graphs(self._padded_step, *self._tensors(padded, rates))
        else:
            nats, distilled = self._step(batch, *rates)
        self.step += 1
        return nats, distilled

    def _step(self, batch: NDArray[np.int64], scale: float, averaging_rate: float) -> tuple[float, float]:
        positions, alone = self.batcher.share(batch), self.ranks.size == 1
        with self._computing(), self.ranks.sharing():
            loss, plain = self._losses(positions)
            self.optimizers.zero_grad()
            share = len(positions) / len(batch)  # of the mean over the batches of all ranks
            (loss if alone else loss * share).backward()  # type: ignore[no-untyped-call]
        if not alone:
            losses = [plain.item() * share, loss.item() * share]
            nats, distilled = self.ranks.add_gradients(self.parameters, losses)
        self.optimizers.step(scale)
        self._average(averaging_rate)
        if alone:  # on a GPU, each waits for the device
            nats = plain.item()
            distilled = nats if loss is plain else loss.item()
        return nats, distilled

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute in the recipe's precision, with dropout masks that depend on the seed and the step only."""
        devices = [self.batcher.device] if self.batcher.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices, enabled=self.drops):
            if self.drops:  # so a checkpoint needs no state of the generator
                torch.manual_seed((self.recipe.seed * 1_000_003 + self.step + (self.ranks.rank << 40)) % 2**63)
            with matmul_precision(bfloat16=self.recipe.precision == "bfloat16"):
                yield

    def _losses(self, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the loss that is minimised, and that against the true characters."""
        if len(positions) == 0:  # a step of fewer lines than ranks
            return (nothing := torch.zeros((), requires_grad=True)), nothing
        logits, targets = self.batcher.logits(positions), self.batcher.targets(positions)
        if self.soft_targets is None:
            return (loss := F.cross_entropy(logits, targets)), loss
        soft = self.soft_targets.index_select(0, self.batcher.tensor(positions)).to(logits)
        return distill_loss(logits, targets, soft, self.recipe.distill_weight)

    def _tensors(self, batch: PaddedBatch, rates: tuple[float, float]) -> tuple[Tensor, ...]:
        """Return all that changes from step to step."""
        arrays = batch.places, self.batcher.tokens[batch.places], *batch.inputs
        return torch.tensor(rates, dtype=self.parameters[0].dtype), *map(torch.from_numpy, arrays)

    def _padded_step(self, rates: Tensor, places: Tensor, targets: Tensor, *inputs: Tensor) -> Tensor:
        """Take a step with a padded batch; return the two losses, as `_train_step` does."""
        targets = torch.where(places < 0, PADDED, targets.long())
        logits = self.batcher.predict(*inputs)
        if self.soft_targets is None:
            loss = plain = F.cross_entropy(logits, targets, ignore_index=PADDED)
        else:
            soft = self.soft_targets.index_select(0, places.clamp(min=0)) * (places >= 0)[:, None]
            loss, plain = distill_loss(logits, targets, soft.to(logits), self.recipe.distill_weight)
        self.optimizers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step(rates[0])
        self._average(rates[1])
        return torch.stack([plain.detach(), loss.detach()])

    def _averaging_rate(self, step: int) -> float:
        """Return how far the averaged weights move after so many steps: farther in the first ones."""
        return 1 - min(self.recipe.ema_decay, step / (step + 10))

    @torch.no_grad()
    def _average(self, rate: Scale) -> None:
        """Move the averaged weights towards the model's."""
        for average, current in self.pairs:
            if average.is_floating_point():
                average.lerp_(current, rate.to(average) if isinstance(rate, Tensor) else rate)
            else:  # BatchNorm's number of batches
                average.copy_(current)

    def _evaluate(self) -> float:
        require_same_weights(self.ranks, self.model, self.step)
        try:
            val_nats = float(np.average(token_nats(self.averaged, self.val), weights=self.val_weights))
        except ModelError:
            val_nats = nan
        self._require_finite(val_nats, "val loss")
        if val_nats < self.best_val_nats:
            self.best_val_nats, self.best_step = val_nats, self.step
            self.best_state = _copied(self.averaged.state_dict())
        return val_nats

    def _require_finite(self, nats: float, name: str) -> None:
        if not nats <= MAX_NATS:
            raise TrainingError(
                f"the {name} is {nats:g} at step {self.step:,}; a `learning_rate` lower than "
                f"{self.recipe.learning_rate:g} may help"
            )

    def _record(self, val_nats: float | None, logged: bool, ratios: dict[str, float] | None) -> StepRecord:
        steps_here = self.step - self.first_step
        return StepRecord(
            step=self.step,
            steps=self.recipe.steps,
            epoch=self.step * self.recipe.batch_size / self.sampler.num_targets,
            learning_rate=self.recipe.learning_rate * self.recipe.learning_rate_scale(self.step - 1),
            train_nats=self.loss_sum / self.loss_steps,
            distill_nats=None if self.soft_targets is None else self.distill_sum / self.loss_steps,
            val_nats=val_nats,
            best_val_nats=self.best_val_nats,
            best_step=self.best_step,
            seconds=self.seconds,
            steps_here=steps_here,
            chars_per_second=steps_here * self.recipe.batch_size / self.seconds,
            logged=logged,
            update_ratios=ratios,
        )

    def replan(self, steps: int) -> Recipe:
        """Change the number of steps in all."""
        self.recipe = self.recipe.with_steps(steps, self.step)
        return self.recipe

    def checkpoint(self) -> Checkpoint:
        """Copy everything that resuming after the last step needs."""
        if self.ended or self.step == self.first_step:
            raise UsageError(NO_STATE)
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not self.model else {},
            "best": self.best_state,
            "optimizer": self.optimizers.state(),
            "carried": self.batcher.carried(),
        }
        facts = {name: getattr(self, name) for name in FACTS}
        tensors = {f"{part}.{name}": value.clone() for part, state in parts.items() for name, value in state.items()}
        return Checkpoint(tensors, json.dumps(facts))

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint. Raises `RunError` if it belongs to another training."""
        position, optimizer = checkpoint.position, checkpoint.part("optimizer")
        counters = [int(value) for name, value in optimizer.items() if name.endswith("steps")]
        if position is None or not position.fits(self.recipe.steps) or any(n != position.step for n in counters):
            raise RunError("the saved state does not fit this training: it was not saved at one of its steps")
        try:
            self.model.load_state_dict(checkpoint.part("model"))
            if self.averaged is not self.model:
                self.averaged.load_state_dict(checkpoint.part("averaged"))
            self.optimizers.load_state(optimizer)
            self.batcher.carry(checkpoint.part("carried"))
            self.best_state = {name: value.to(self.batcher.device) for name, value in checkpoint.part("best").items()}
            for name in FACTS:
                setattr(self, name, getattr(position, name))
            self.first_step = self.step
        except (KeyError, ValueError, TypeError, RuntimeError, ModelError) as error:
            raise RunError(f"the saved state does not fit this training: {str(error).splitlines()[0]}") from None


def update_ratios(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, float]:
    """Return log10 of std(after - before) / std(before) of every weight that moved, by name."""
    ratios = {}
    for name, weight in before.items():
        update_std, weight_std = ((after[name] - weight).std(correction=0).item(), weight.std(correction=0).item())
        if weight_std > 0 and 0 < update_std / weight_std < inf:
            ratios[name] = log10(update_std / weight_std)
    return ratios


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}
