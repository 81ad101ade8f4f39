"""Keeps a training to its time on a machine that is slower or faster than the plan expected."""

from collections import deque
from time import monotonic

from wavemore.engine.step_record import StepRecord
from wavemore.runs.config import RunConfig

RECENT = 20
"""Logged records, of at most 200, from which the speed is known."""
LATE, EARLY = 0.02, 0.05
"""By which fraction of its time a training may end late or early before its length is changed."""


class Deadline:
    """The time at which a training must end."""

    def __init__(self, seconds: float, most_steps: int = 0) -> None:
        """The training, with its evaluations, has `seconds` from now on.

        A training with time to spare is made longer, up to `most_steps`.
        """
        now = monotonic()
        self.end, self.late, self.early = now + seconds, LATE * seconds, EARLY * seconds
        self.most_steps = most_steps
        self.recent = deque([(now, 0)], maxlen=RECENT)

    @classmethod
    def of(cls, config: RunConfig, trained: float, started: float | None = None) -> "Deadline | None":
        """The deadline of a training that was trained for so many seconds before; None without a budget.

        The budget began when the training `started`, by `monotonic`. Of one that is resumed, what it and its teachers
        were trained for is over.
        """
        if config.budget is None:
            return None
        teaching = sum(teacher.train_seconds for teacher in config.teachers)
        used = trained + teaching if started is None else monotonic() - started
        return cls(60 * config.budget.minutes - used - config.budget.ending_seconds, config.budget.most_steps)

    def end_in(self, seconds: float) -> None:
        """Let the training end in so many seconds, or one step later, however long it was to be."""
        self.end, self.most_steps = monotonic() + seconds, 0

    def check(self, record: StepRecord) -> int | None:
        """Return how many steps the training should have, if it would not end in time with those of the record."""
        now = monotonic()
        if record.step >= record.steps or not (record.logged or now > self.end):
            return None
        (before, steps_before), known = self.recent[0], len(self.recent) == RECENT
        self.recent.append((now, record.steps_here))
        if not known and now <= self.end:
            return None
        per_step = (now - before) / (record.steps_here - steps_before)
        if -self.early <= now + (record.steps - record.step) * per_step - self.end <= self.late:
            return None
        steps = record.step + max(1, int((self.end - now) / per_step))
        steps = min(steps, max(record.steps, self.most_steps))
        return None if steps == record.steps else steps
