"""The time of a tuning: when the last trial may begin, and how much is kept for the repeats."""

from collections.abc import Sequence
from math import ceil
from statistics import median
from time import monotonic

from wavemore.errors import UsageError
from wavemore.studies.tuning.request import Request
from wavemore.studies.tuning.space import Limits
from wavemore.studies.tuning.trials import Tried

FINALISTS = 3
"""Trials that are repeated, besides the defaults; fewer if the repeats would take more than `MOST_FOR_REPEATS`."""
MOST_FOR_REPEATS = 0.4
"""Of the time."""
ENDING = 6.0
"""Seconds for the verdicts and the page."""
OVERHEAD, STARTING = 1.25, 4.0
"""Before any trial has ended, a training is expected to take so many times its limit, and so many seconds to start."""
RESERVED = 1.1
"""The repeats are given so many times the time that they are expected to take."""
LATE = 0.04
"""By how much of `minutes` the repeats may end late before the rest of them is left out."""


class Clock:
    """Knows what a trial takes, and what is left of `minutes`; without these, trials alone are counted."""

    def __init__(self, request: Request, started: float) -> None:
        self.request, self.started = request, started
        self.jobs = request.jobs
        """Trainings at a time."""
        self.used_before = 0.0
        """Seconds of the search before it was interrupted."""
        self._walls: list[float] = []
        self._only_repeats = False
        self._expected = OVERHEAD * (request.limits.max_seconds or 0.0) + STARTING

    def begin(self, tried: Sequence[Tried]) -> None:
        """Take over what is known of earlier trials."""
        self.used_before = max((each.facts.elapsed for each in tried), default=0.0)
        self._walls = [t.facts.wall_seconds for t in tried if t.val_nats is not None and t.facts.wall_seconds]

    def check(self, limits: Limits) -> None:
        """Raise `UsageError` if the time is too short for one trial of the search and one repeat of each finalist."""
        if self.request.minutes is None or limits.max_seconds is None:
            return
        rounds = 1 + self._rounds(1)
        least = self.used_before + rounds * (OVERHEAD * limits.max_seconds + 0.5) + STARTING + ENDING
        if 60 * self.request.minutes < least:
            raise UsageError(
                f"`minutes` is {self.request.minutes:g}, too short for a trial and the repeats of the best ones, "
                f"which take up to {limits.max_seconds:g} s each: give at least {1.05 * least / 60:.2g}, or a smaller "
                "`max_seconds`"
            )

    @property
    def elapsed(self) -> float:
        """Seconds of the search so far, over all parts of an interrupted one."""
        return round(self.used_before + monotonic() - self.started, 3)

    @property
    def end(self) -> float | None:
        """When everything must have ended, by `monotonic`."""
        minutes = self.request.minutes
        return None if minutes is None else self.started + 60 * minutes - self.used_before

    @property
    def left(self) -> float | None:
        """The seconds that are left; without `minutes`, what the trials are expected to take."""
        return None if self.end is None else max(0.0, self.end - monotonic())

    def learn(self, wall_seconds: float, train_seconds: float) -> None:
        """Note how long a finished trial took."""
        self._walls.append(wall_seconds)

    def expected(self) -> float:
        """Return the seconds that a training is expected to take, all that belongs to it included."""
        if not self._walls:
            return self._expected
        longest = sorted(self._walls)[-max(1, len(self._walls) // 4) :]
        return median(longest)

    def finalists(self) -> int:
        """Return how many of the best trials are repeated, besides the defaults."""
        if self.request.minutes is None:
            return FINALISTS
        most = MOST_FOR_REPEATS * 60 * self.request.minutes
        counts = (count for count in range(FINALISTS, 1, -1) if self._rounds(count) * self.expected() <= most)
        return next(counts, 1)

    def reserve(self) -> float:
        """Return the seconds for the repeats and what follows."""
        return RESERVED * self._rounds(self.finalists()) * self.expected() + STARTING + ENDING

    def _rounds(self, finalists: int) -> int:
        """Return how many trainings follow each other in the repeats of some finalists and the defaults."""
        return ceil((finalists + 1) * self.request.repeats / self.jobs)

    def has_time_for_a_trial(self, trials: int) -> bool:
        """Whether another trial may begin after so many."""
        if self.request.trials is not None and trials >= self.request.trials:
            return False
        if self.end is None or trials == 0:
            return True
        return monotonic() + self.expected() <= self.end - self.reserve()

    def must_end_search(self) -> bool:
        """Whether the trials that are still running must be stopped for the repeats."""
        return self.end is not None and bool(self._walls) and monotonic() > self.end - 0.9 * self.reserve()

    def search_is_over(self) -> None:
        """Note that the search ended before this program began: its repeats are then not cut short."""
        self._only_repeats = True

    def must_end(self) -> bool:
        """Whether the repeats that are still running must be left out."""
        if self._only_repeats:
            return False
        late = LATE * 60 * (self.request.minutes or 0.0)
        return self.end is not None and monotonic() > self.end + late - ENDING

    def asks_for_more(self, searched: tuple[int | None, float | None]) -> bool:
        """Whether more is asked for than the search that has ended."""
        trials, minutes = searched
        for now, before in ((self.request.trials, trials), (self.request.minutes, minutes)):
            if before is not None and (now is None or now > before):
                return True
        return False
