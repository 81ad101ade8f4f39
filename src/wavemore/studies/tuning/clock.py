"""The time of a tuning: when the last trial may begin, and which trials are repeated in the time that is kept for that.

A repeat is expected to take as long as the same trial took in the search, and the next trial as long as the slow ones.
"""

from collections.abc import Sequence
from heapq import heapreplace
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
"""A trial begins only if so many times the time that the repeats are expected to take remains after it."""
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
        self._limit = request.limits.max_seconds or 0.0
        self._tried: Sequence[Tried] = ()
        self._walls: list[float] = []
        self._only_repeats = False

    def begin(self, tried: Sequence[Tried], limits: Limits) -> None:
        """Take over what is known of earlier trials, and the limits that all have.

        Raises `UsageError` if the time is too short for one trial and the repeats of this one and the defaults.
        """
        self.used_before = max((each.facts.elapsed for each in tried), default=0.0)
        self._limit = limits.max_seconds or 0.0
        self.learn(tried)
        if self.request.minutes is None or not self._limit or tried:
            return
        request, time = self.request, 60 * self.request.minutes
        rest = 0.5 * request.rounds + STARTING + ENDING
        least = request.rounds * OVERHEAD * self._limit + rest
        if time >= least:
            return
        hint = ", or a smaller `max_seconds`" if request.max_seconds and time > rest else ""
        if not request.max_seconds:  # with more minutes, a training takes longer too
            least = rest / (1 - request.rounds * OVERHEAD * request.share)
        raise UsageError(
            f"`minutes` is {request.minutes:g}, too short for a trial and the repeats of the best ones, which take up "
            f"to {self._limit:g} s each: give at least {1.05 * least / 60:.2g}{hint}"
        )

    def learn(self, tried: Sequence[Tried]) -> None:
        """Note what is known now of all trials."""
        self._tried = tried
        self._walls = sorted(t.facts.wall_seconds for t in tried if t.val_nats is not None and t.facts.wall_seconds)

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
        """The seconds that are left; None without `minutes`."""
        return None if self.end is None else max(0.0, self.end - monotonic())

    def expected(self) -> float:
        """Return the seconds that the next trial is expected to take: seven in eight finished ones took no longer."""
        return self._walls[len(self._walls) * 7 // 8] if self._walls else OVERHEAD * self._limit + STARTING

    def finalists(self) -> list[Tried]:
        """Return the trials that are repeated: the best ones, as many as there is time for, and the defaults."""
        return self._repeated()[0]

    def _repeated(self) -> tuple[list[Tried], float]:
        """Return the trials that are repeated, and the seconds that their repeats are expected to take."""
        for count in range(FINALISTS, 0, -1):
            finalists = self._best(count)
            walls = [(t.val_nats is not None and t.facts.wall_seconds) or self.expected() for t in finalists]
            walls += [self.expected()] * (count + 1 - len(walls))
            ends = [0.0] * self.jobs
            for wall in walls * self.request.repeats:  # the process that is free first trains the next
                heapreplace(ends, ends[0] + wall)
            if self.request.minutes is None or max(ends) <= MOST_FOR_REPEATS * 60 * self.request.minutes:
                break
        return finalists, max(ends)

    def _best(self, count: int) -> list[Tried]:
        """Return the best trials, and the defaults, which are the first trial, if they did not fail."""
        different: dict[str, Tried] = {}
        for each in sorted(self._tried, key=lambda each: each.val_nats or 0.0):
            if each.val_nats is not None:  # the same settings may have been tried twice
                different.setdefault(str((each.facts.model, each.facts.settings)), each)
        best, defaults = list(different.values())[:count], [t for t in self._tried[:1] if t.facts.settings]
        return best + [t for t in defaults if t not in best and not t.facts.failed]

    def has_time_for_a_trial(self, trials: int) -> bool:
        """Whether another trial may begin after so many."""
        if self.request.trials is not None and trials >= self.request.trials:
            return False
        if self.end is None or trials == 0:
            return True
        return monotonic() + self.expected() <= self.end - ENDING - RESERVED * self._repeated()[1]

    def must_end_search(self) -> bool:
        """Whether the trials that are still running must be stopped for the repeats."""
        return self.end is not None and bool(self._walls) and monotonic() > self.end - ENDING - self._repeated()[1]

    def search_is_over(self) -> None:
        """Note that the search ended before this program began: its repeats are then not cut short."""
        self._only_repeats = True

    def must_end(self) -> bool:
        """Whether the repeats that are still running must be left out."""
        if self._only_repeats:
            return False
        late = LATE * 60 * (self.request.minutes or 0.0)
        return self.end is not None and monotonic() > self.end + late - ENDING

    def asks_for_more(self, trials: int | None, minutes: float | None) -> bool:
        """Whether more is asked for than a search that has ended was."""
        for now, before in ((self.request.trials, trials), (self.request.minutes, minutes)):
            if before is not None and (now is None or now > before):
                return True
        return False
