"""From the records of a training to its run folder."""

import time

from torch import Tensor

from wavemore.engine.fit import Training
from wavemore.engine.process import return_freed_memory
from wavemore.engine.step_record import Checkpoint, StepRecord
from wavemore.nn.ranks import current_ranks
from wavemore.runs.record import Record
from wavemore.runs.run import Run

CHECKPOINT_SECONDS, CHECKPOINT_SHARE = 20.0, 0.05
"""A killed run loses at most about this many seconds of training, however rare the evaluations are; more if writing the
state on a slow disk would take more than this share of the time."""
TRIM_SECONDS = 5.0
"""Freed memory is returned at a write that comes so many seconds after the last one, or later."""


class Recorder:
    """Keeps a run folder up to date with the records of `fit`."""

    def __init__(self, run: Run, checkpoint: Checkpoint | None, *, seconds: float = 0.0) -> None:
        """`seconds` is training time that already passed in this call, for the teachers' probabilities."""
        self.run = run
        self.checkpoint = checkpoint
        """The state to resume from; None for a new training."""
        position = checkpoint.position if checkpoint else None
        self.last_step = position.step if position else 0
        """Steps done so far."""
        self.best_step = position.best_step if position else 0
        """The step after which the val loss was lowest."""
        self.records = [record for record in run.metrics() if record["step"] <= self.last_step]
        self.seconds_before = seconds + (self.records[-1]["seconds"] if self.records else 0.0)
        self.train_seconds = self.seconds_before
        """Training time over all parts of the run."""
        self._training: Training | None = None
        self._saved_at, self._pause = time.monotonic(), CHECKPOINT_SECONDS
        if checkpoint is not None and (best := checkpoint.part("best")):
            run.save_model(best)  # a kill between the writes of `save` leaves the older weights
            run.take_place()

    def follow(self, training: Training) -> None:
        """Take the state and the weights from this training, whose records will be added."""
        self._training = training

    def weights(self) -> dict[str, Tensor]:
        """Copy the weights as they are now: their running mean if there is one."""
        assert self._training is not None
        checkpoint = self._training.checkpoint()
        return checkpoint.part("averaged") or checkpoint.part("model") or checkpoint.part("best")

    def add(self, step: StepRecord) -> None:
        """Add a record; write to disk at evaluations and every 20 seconds."""
        self.last_step, self.best_step = step.step, step.best_step
        self.train_seconds = self.seconds_before + step.seconds
        if step.logged:
            self.records.append(self._record(step))
        due = current_ranks().any("save", time.monotonic() - self._saved_at > self._pause)
        if step.val_nats is not None or due:
            self.save(step)

    def save(self, step: StepRecord) -> None:
        """Write the state after a step, and the best weights: before the first evaluation, those of this step.

        A replacement takes its place after the first evaluation.
        """
        assert self._training is not None
        begin = time.monotonic()
        checkpoint, best = self._training.checkpoint(), self._training.best_state
        self.run.save_metrics(self.records)
        self.run.save_checkpoint(checkpoint)
        if step.is_best:
            self.run.save_model(best)
        elif not best:
            self.run.save_model(checkpoint.part("model"))
        if best:
            self.run.take_place()
        if time.monotonic() - self._saved_at > TRIM_SECONDS:  # batches of other shapes leave blocks of other sizes
            return_freed_memory()
        self._saved_at = time.monotonic()
        self._pause = max(CHECKPOINT_SECONDS, (self._saved_at - begin) / CHECKPOINT_SHARE)

    def _record(self, step: StepRecord) -> Record:
        record = Record(
            step=step.step,
            epoch=round(step.epoch, 4),
            learning_rate=step.learning_rate,
            train_nats=step.train_nats,
            seconds=round(self.train_seconds, 3),
        )
        if step.val_nats is not None:
            record["val_nats"] = step.val_nats
        if step.distill_nats is not None:
            record["distill_nats"] = step.distill_nats
        if step.update_ratios:
            record["update_ratios"] = {name: round(ratio, 4) for name, ratio in step.update_ratios.items()}
        return record
