"""What is asked of a tuning, and `search.json`, which keeps what its trials depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from wavemore.errors import RunError, UsageError
from wavemore.runs.config import DataConfig, LongText
from wavemore.runs.find import SEARCH
from wavemore.runs.identity import data_differences
from wavemore.runs.json_file import read_json, write_json
from wavemore.runs.record import Line
from wavemore.studies.tuning.space import Limits
from wavemore.version import __version__

FORMAT = 1
TRAININGS = 40
"""With `minutes` and without `max_seconds`, this many of the longest trainings fill the time of all processes."""
MAX_SHARE = 0.1
"""The largest part of `minutes` for one training; it matters on machines with many cores."""
MAX_ROUNDS_SHARE = 0.4
"""The largest part of `minutes` for all `Request.rounds` together; it matters with many repeats."""
MOST_MINUTES = 60 * 24 * 100


@dataclass(frozen=True)
class Request:
    """What is asked of a tuning. Raises `UsageError` for values out of range, or that contradict each other."""

    trials: int | None = None
    minutes: float | None = None
    """For everything, the repeats of the best trials included; these or `trials` are needed."""
    models: tuple[str, ...] = ()
    """The kinds to search; by default those that suit the data."""
    max_parameters: int | None = None
    max_seconds: float | None = None
    """Of CPU time, for each training."""
    seed: int = 0
    """Of all trials; the repeats use the seeds that follow it."""
    repeats: int = 3
    jobs: int = 1
    cluster: str = ""
    """Address of a Dask scheduler, on whose workers the trainings run."""

    def __post_init__(self) -> None:
        if self.trials is None and self.minutes is None:
            raise UsageError("how long may it search? Give `trials` or `minutes`")
        limits = {"trials": (self.trials, 100_000), "repeats": (self.repeats, 100), "jobs": (self.jobs, 1024)}
        for name, (value, most) in limits.items():
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"`{name}` is {value}; it must be at least 1 and at most {most:,}")
        if self.minutes is not None and not 0 < self.minutes <= MOST_MINUTES:
            raise UsageError(f"`minutes` is {self.minutes:g}; it must be above 0 and at most {MOST_MINUTES:,}")
        if not 0 <= self.seed < 2**63 - self.repeats:
            raise UsageError(f"`seed` is {self.seed}; it must be at least 0 and less than 2**63 - {self.repeats}")
        _ = Limits(self.max_parameters, self.max_seconds)

    @property
    def limits(self) -> Limits:
        """The limits of each training."""
        seconds = self.max_seconds
        if seconds is None and self.minutes is not None:
            seconds = float(f"{60 * self.minutes * self.share:.3g}")
        return Limits(self.max_parameters, seconds)

    @property
    def rounds(self) -> int:
        """How many trainings run one after the other in the shortest tuning: a trial, then the repeats of two."""
        return 1 + ceil(2 * self.repeats / self.jobs)

    @property
    def share(self) -> float:
        """The part of `minutes` that a training may take, without `max_seconds`."""
        return min(self.jobs / TRAININGS, MAX_SHARE, MAX_ROUNDS_SHARE / self.rounds)

    @property
    def fresh_seeds(self) -> list[int]:
        """The seeds of the repeats."""
        return [self.seed + number for number in range(1, self.repeats + 1)]


@dataclass(frozen=True)
class Search:
    """What the trials of a folder depend on."""

    format: int
    wavemore: Line
    created: Line
    command: Annotated[tuple[LongText, ...], Meta(max_length=10_000)]
    data: DataConfig
    models: tuple[Line, ...]
    max_parameters: int | None
    max_seconds: float | None
    """As it was given."""
    seconds: float | None
    """The limit that the trials have: `max_seconds`, or what follows from the first `minutes`."""
    seed: int

    @property
    def limits(self) -> Limits:
        """The limits of each training."""
        return Limits(self.max_parameters, self.seconds)


def read_search(folder: Path) -> Search | None:
    """Read what the trials of a folder depend on; None if there is none. Raises `RunError` if it is damaged."""
    decode = msgspec.json.Decoder(Search).decode
    search = read_json(folder / SEARCH, decode, "choose another `folder`, or delete this one")
    if search is not None and search.format != FORMAT:
        raise RunError(
            f"{folder} was written by wavemore {search.wavemore}, in another format: choose another `folder`"
        )
    return search


def begin_search(
    request: Request, data: DataConfig, folder: Path, command: Sequence[str], *, is_new: bool = False
) -> Search:
    """Return what the trials in a folder depend on, and write it if they begin now.

    With `is_new`, no trial has begun yet, so an earlier request that was refused, such as one for too short a time, is
    replaced.

    Raises `RunError` for a folder of another tuning, which says what differs, and for one that holds other things.
    """
    created = datetime.now().astimezone().isoformat(timespec="milliseconds")
    limits = request.limits
    new = Search(
        format=FORMAT,
        wavemore=__version__,
        created=created,
        command=tuple(command),
        data=data,
        models=tuple(sorted(set(request.models))),
        max_parameters=limits.max_parameters,
        max_seconds=request.max_seconds,
        seconds=limits.max_seconds,
        seed=request.seed,
    )
    old = read_search(folder)
    if old is None and (others := sorted(path.name for path in folder.iterdir() if path.name != "lock")):
        raise RunError(f"{folder} holds other things ({others[0]}): choose another `folder`")
    if old is None or is_new:
        write_json(folder / SEARCH, new)
        return new
    differences = data_differences(old.data, data)
    for name in ("models", "max_parameters", "max_seconds", "seed"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            differences.append(f"`{'model' if name == 'models' else name}` {_text(before)} there, {_text(now)} here")
    if differences:
        raise RunError(
            f"{folder} is another tuning ({'; '.join(differences)}): choose another `folder`, or the same flags"
        )
    return replace(old, data=data)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "auto"
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
