"""Keeps a training to its time when the machine becomes slower than the plan expected."""

from collections import deque
from time import monotonic

from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import StepRecord

RECENT = 20
"""Logged records, of at most 200, from which the speed is known."""
TOLERANCE = 0.02
"""How late a training may end before it is shortened, as a fraction of its time."""


class Deadline:
    """The time at which a training must end."""

    def __init__(self, seconds: float) -> None:
        """The training, with its evaluations, has `seconds` from now on."""
        now = monotonic()
        self.end, self.late = now + seconds, TOLERANCE * seconds
        self.recent = deque([(now, 0)], maxlen=RECENT)

    def check(self, record: StepRecord) -> Recipe | None:
        """Shorten the training after this record if it would end late, and return its new recipe."""
        now = monotonic()
        if record.step >= record.steps or not (record.logged or now > self.end):
            return None
        (before, steps_before), known = self.recent[0], len(self.recent) == RECENT
        self.recent.append((now, record.steps_here))
        if not known and now <= self.end:
            return None
        per_step = (now - before) / (record.steps_here - steps_before)
        if now + (record.steps - record.step) * per_step <= self.end + self.late:
            return None
        fitting = record.step + max(1, int((self.end - now) / per_step))
        if fitting >= record.steps:
            return None
        return record.shorten(fitting)
