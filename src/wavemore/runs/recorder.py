"""From the records of a training to its run folder."""

import json
import time

import torch

from wavemore.engine.fit import Checkpoint, Progress
from wavemore.files import write_atomic
from wavemore.runs.tensors import write_tensors
from wavemore.runs.record import Record
from wavemore.runs.run import Run

CHECKPOINT_SECONDS = 20.0
"""How much training a kill may cost at most, where evaluations are further apart."""


class Recorder:
    """Keeps a run folder up to date with the records of `fit`."""

    def __init__(self, run: Run, checkpoint: Checkpoint | None, *, seconds: float = 0.0) -> None:
        """`seconds` is training time that has passed already in this call: that of the teachers' probabilities."""
        self.run = run
        self.checkpoint = checkpoint
        """Where the training goes on from; None where it begins."""
        self._owner = run.owner()
        done = json.loads(checkpoint.facts)["step"] if checkpoint else 0
        self.records = [record for record in run.metrics() if record["step"] <= done]
        self.seconds_before = seconds + (float(self.records[-1]["seconds"]) if self.records else 0.0)
        self._last: Progress | None = None
        self._saved_step = done
        self._saved_at = time.monotonic()
        self._best_step = int(json.loads(checkpoint.facts)["best_step"]) if checkpoint else 0
        if checkpoint is not None:  # a kill between the two writes of `_save` may have left the older weights here
            self._write_model(
                {n.removeprefix("best."): t for n, t in checkpoint.tensors.items() if n.startswith("best.")}
            )

    def add(self, progress: Progress) -> None:
        """Take up a record; write to disk at evaluations and every 20 seconds."""
        self._last = progress
        if progress.logged:
            record = Record(
                step=progress.step,
                epoch=round(progress.epoch, 4),
                learning_rate=progress.learning_rate,
                train_nats=progress.train_nats,
                seconds=round(self.seconds_before + progress.seconds, 3),
            )
            if progress.val_nats is not None:
                record["val_nats"] = progress.val_nats
            if progress.taught_nats is not None:
                record["taught_nats"] = progress.taught_nats
            if progress.update_ratios:
                record["update_ratios"] = {name: round(ratio, 4) for name, ratio in progress.update_ratios.items()}
            self.records.append(record)
        if progress.val_nats is not None or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._save(progress)

    @property
    def last_step(self) -> int:
        """Steps done so far."""
        return self._last.step if self._last else self._saved_step

    @property
    def best_step(self) -> int:
        """The step whose state is kept."""
        return self._last.best_step if self._last else self._best_step

    @property
    def train_seconds(self) -> float:
        """Training time over all stretches of the run."""
        return self.seconds_before + (self._last.seconds if self._last else 0.0)

    def save(self) -> None:
        """Write the state after the last record; where no val loss was taken yet, its weights are the kept ones."""
        if self._last is None:
            return
        if self._last.step != self._saved_step:
            self._save(self._last)
        if not self._last.best_state():
            tensors = self._last.checkpoint().tensors
            self._write_model({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})

    def _save(self, progress: Progress) -> None:
        checkpoint = progress.checkpoint()
        write_atomic(self.run.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in self.records).encode())
        write_tensors(self.run.path / "state.safetensors", checkpoint.tensors, checkpoint.facts, owner=self._owner)
        if progress.is_best:
            self._write_model(progress.best_state())
        self._saved_step, self._saved_at = progress.step, time.monotonic()

    def _write_model(self, state: dict[str, torch.Tensor]) -> None:
        if state:
            write_tensors(self.run.path / "model.safetensors", state, owner=self._owner)
