"""The trials in Optuna's storage: asked for, reported, finished, pruned, and found again after an interruption.

Trials are counted from 1, as their folders are; Optuna counts from 0. What Optuna draws for a trial depends on the
seed, the number of the trial, and the trials that were finished before.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from wavemore.engine.memory import check_fits
from wavemore.engine.plan import plan
from wavemore.engine.training_plan import Plan
from wavemore.errors import RunError, UsageError
from wavemore.studies.tuning.journal import NAME, Journal, damaged, open_study, optuna
from wavemore.studies.tuning.pruning import Curve, is_hopeless
from wavemore.studies.tuning.space import Choice, Space

JOURNAL = "journal.jsonl"
CREATE_TRIAL = 4
"""Optuna's number of the change that begins a trial."""
STARTUP_TRIALS = 10
"""Trials before Optuna learns from them: the first ones are given, the others random."""

State = optuna.trial.TrialState


class Facts(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of a trial besides its parameters and its losses."""

    model: str = ""
    settings: dict[str, Any] = {}
    """All that `plan` needs for its training, its seed excepted."""
    parameters: int | None = None
    train_seconds: float | None = None
    wall_seconds: float | None = None
    elapsed: float = 0.0
    """Seconds of the search when it ended, over all parts of an interrupted one."""
    why: str = ""
    """Why it was pruned."""
    failed: bool = False
    """Whether it was pruned because it could not be trained to its end."""


@dataclass(frozen=True)
class Tried:
    """A trial as it is stored."""

    number: int
    state: str
    """`running`, `complete`, `pruned`, or `fail` for one that was cut short before it began."""
    values: dict[str, Any]
    """The values that were chosen, by their names in the space, such as `lstm.embedding`."""
    losses: dict[int, float]
    """The val losses on its way, by the number of the evaluation."""
    val_nats: float | None
    facts: Facts
    distributions: dict[str, Any]
    """Of the values, as Optuna has them."""


class Trials:
    """The trials of a space. The caller holds the lock of the folder."""

    def __init__(self, space: Space, folder: Path, seed: int, step_seconds: Callable[[Plan], float]) -> None:
        """`step_seconds` measures the time of a step; it is asked only if the space has a limit of time."""
        self.space, self.seed = space, seed
        self.step_seconds = step_seconds
        self.journal = Journal(folder / JOURNAL)
        self.study = open_study(self.journal)
        self._starts: list[dict[str, Any]] | None = None
        _ = self.all()  # raises for a journal that was changed

    def __len__(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def all(self) -> list[Tried]:
        """Return all trials in order. Raises `RunError` if the storage was changed by somebody else."""
        try:
            trials = self.study.get_trials(deepcopy=False)
            return [_tried(trial) for trial in trials if trial.state != State.WAITING]
        except (msgspec.ValidationError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self.journal.path, error) from None

    def ask(self) -> Tried:
        """Begin a trial: with the next of the first points or, after these, with what Optuna chooses.

        A choice that no training can follow is pruned at once.
        """
        with self.journal.at_once(), _quiet():
            number = len(self)
            starts = self._first_points(number)
            if number < len(starts):
                self.study.enqueue_trial(starts[number])
            self.study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=STARTUP_TRIALS,
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            )
            trial = self.study.ask()
            choice = None
            try:
                choice = self.space.suggest(trial)
                seconds = self._seconds(choice)
                planned, settings = self.space.planned(choice, seconds)
                check_fits(planned.model, len(self.space.corpus.vocabulary), planned.model_config)
                self._set(trial.number, Facts(model=choice.model, settings=settings))
            except UsageError as error:
                model = choice.model if choice else ""
                self._set(trial.number, Facts(model=model, why=str(error), failed=True))
                self.study.tell(trial.number, state=State.PRUNED)
            except ValueError as error:  # Optuna's, as a setting had other choices before
                raise RunError(
                    f"{self.journal.path} is of another search, perhaps by another version of wavemore "
                    f"({str(error)[:100]}): choose another `folder`"
                ) from None
        return self.all()[-1]

    def _seconds(self, choice: Choice) -> float | None:
        """Return the time of a step, if that decides how many there are."""
        if self.space.limits.max_seconds is None or "length" not in self.space.kinds[choice.model].ranges:
            return None
        return self.step_seconds(plan(self.space.corpus, model=choice.model, **choice.settings))

    def _first_points(self, number: int) -> list[dict[str, Any]]:
        if self._starts is None and number < len(self.space.kinds) + 2:
            self._starts = self.space.starts(self.step_seconds)
        return self._starts or []

    def report(self, number: int, evaluation: int, nats: float) -> bool:
        """Store a val loss on the way; return whether the trial should be pruned."""
        tried = self.all()[number - 1]
        if tried.state != "running" or not isfinite(nats):
            return False
        if evaluation not in tried.losses:
            self.study._storage.set_trial_intermediate_value(self._id(number), evaluation, nats)
        losses = {step: loss for step, loss in (tried.losses | {evaluation: nats}).items() if step <= evaluation}
        return is_hopeless(tried.facts.model, losses, self.curves())

    def curves(self) -> list[Curve]:
        """Return the losses of all finished trials."""
        return [Curve(t.facts.model, t.losses, t.val_nats) for t in self.all() if t.val_nats is not None]

    def finish(self, number: int, nats: float, facts: Facts) -> None:
        """Store the result of a trial."""
        with self.journal.at_once(), _quiet():
            self._set(number - 1, facts)
            self.study.tell(number - 1, nats)

    def prune(self, number: int, facts: Facts) -> None:
        """Store that a trial was stopped, or failed, and why."""
        with self.journal.at_once(), _quiet():
            self._set(number - 1, facts)
            self.study.tell(number - 1, state=State.PRUNED)

    def end_search(self, trials: int | None, minutes: float | None, finalists: Sequence[int]) -> None:
        """Keep what was asked of the search, which has ended, and the numbers of the trials to be repeated."""
        self.study.set_user_attr("search", [trials, minutes, finalists])

    def ended_search(self) -> tuple[int | None, float | None, tuple[int, ...]] | None:
        """Return what `end_search` has kept, if the search has ended."""
        try:
            kept = self.study.user_attrs.get("search")
            return None if kept is None else msgspec.convert(kept, tuple[int | None, float | None, tuple[int, ...]])
        except msgspec.ValidationError as error:
            raise damaged(self.journal.path, error) from None

    def _set(self, index: int, facts: Facts) -> None:
        storage = self.study._storage
        storage.set_trial_user_attr(self._id(index + 1), "facts", msgspec.to_builtins(facts))

    def _id(self, number: int) -> int:
        storage = self.study._storage
        return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(NAME), number - 1)


def has_trials(folder: Path) -> bool:
    """Whether a trial has begun in the folder of a tuning. Raises `RunError` for a journal that is damaged."""
    logs = Journal(folder / JOURNAL).read_logs(0)
    return (folder / "trials").exists() or any(log.get("op_code") == CREATE_TRIAL for log in logs)


def with_facts(facts: Facts, **changed: Any) -> Facts:
    """Return facts with some others."""
    return msgspec.structs.replace(facts, **changed)


def _tried(trial: "optuna.trial.FrozenTrial") -> Tried:
    losses = {int(step): float(nats) for step, nats in sorted(trial.intermediate_values.items())}
    value = float(trial.value) if trial.state == State.COMPLETE and trial.value is not None else None
    facts = msgspec.convert(trial.user_attrs.get("facts", {}), Facts)
    return Tried(
        trial.number + 1, trial.state.name.lower(), dict(trial.params), losses, value, facts, dict(trial.distributions)
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what Optuna says about its own plans."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
