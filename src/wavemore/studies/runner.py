"""The training runs of a study: planned, run in parallel, resumed after an interruption, and gathered into a record.

The folder of a study has `runs/<arm>/<trial and seed>`, each a run folder like any other, and at the end `study.json`.
Finished runs are never repeated.
"""

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import torch

from wavemore.engine.memory import check_fits
from wavemore.engine.threads import set_threads
from wavemore.errors import RunError, UsageError
from wavemore.runs.environment import cores, environment
from wavemore.runs.json_file import write_json
from wavemore.runs.training import config_of, data_config
from wavemore.studies.budget import plan_trial, read_step_ms, step_type, time_steps, with_time
from wavemore.studies.file import Arm, Study, slug
from wavemore.studies.job import Job, Result, in_words, memory_explained, read_result, test_losses, train_job
from wavemore.studies.pool import Pool, open_pool
from wavemore.studies.record import FILE, FORMAT, Record, compare_arms, keep_other_seeds
from wavemore.text.datasets import load_corpus

Finished = tuple[Job, Result]


@dataclass(frozen=True)
class Event:
    """The progress of a study."""

    done: int
    """Finished training runs."""
    total: int
    """All training runs, those of the tuning included."""
    message: str
    """What has just finished; empty if nothing has, so that the caller can react to Ctrl-C."""


class StudyRunner:
    """Runs a study in its folder."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        data: str = "",
        jobs: int = 0,
        tuned: Record | None = None,
        command: Sequence[str] = (),
        cluster: str = "",
    ) -> None:
        """`data` replaces that of the study file; `jobs` is the number of parallel training runs, 0 for one per core.

        With the address of a Dask scheduler as `cluster`, they run on its workers, as many at a time as there are.

        With `tuned`, an earlier record of this study, nothing is tuned or timed again: the chosen settings and the
        steps are taken from it. The runs keep `command`. All settings are checked here, before anything is trained.
        """
        self.study, self.folder = study, folder
        self.command = tuple(command) or ("wavemore", "study", study.name)
        self.data = data or study.file.data
        self.jobs, self.cluster = jobs or cores(), cluster
        self.corpus = load_corpus(
            self.data,
            format=study.file.format,
            split_method=study.file.split_method,
            split_seed=study.file.split_seed,
            train_fraction=study.file.train_fraction,
        )
        self.plans = [[plan_trial(arm, trial, self.corpus) for trial in arm.trials] for arm in study.arms]
        self.results: dict[tuple[int, int, int], Result] = {}
        """By arm, trial and seed."""
        self.best_trial: dict[int, int] = {}
        self.tuned = tuned
        for planned in itertools.chain(*self.plans):
            check_fits(planned.model, len(self.corpus.vocabulary), planned.model_config)

    def run(self) -> Iterator[Event]:
        """Run everything that is not finished yet, and write `study.json` at the end.

        The iteration can be left at any event: runs that have started are saved, and resumed next time. Raises
        `RunError` for a folder that has runs with other settings, `UsageError` if all trials of an arm fail.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create {self.folder}: {error.strerror}; choose another `folder`") from None
        threads = torch.get_num_threads()
        set_threads(1)
        try:
            here = self.jobs == 1 and not self.cluster
            with contextlib.nullcontext() if here else open_pool(self.jobs, self.cluster) as pool:
                if self.tuned is None:
                    yield from self._measure_steps()
                total = yield from self._train(pool)
                self.jobs = 1 if pool is None else pool.size
        finally:
            set_threads(threads)
        if kept := keep_other_seeds(self.folder, self.study.file.seeds):
            yield Event(total, total, f"the record of other seeds is kept as {kept}")
        write_json(self.folder / FILE, self.record())

    def _train(self, pool: Pool | None) -> Generator[Event, None, int]:
        """Train the trials and then all seeds, in this process if there is no pool; returns the number of trainings."""
        arms, tuned = range(len(self.study.arms)), 0
        if self.tuned is None:
            tuned = yield from self._tune(pool)
        else:
            self.best_trial = {arm: self._take_trial(arm, self.tuned) for arm in arms}
        final = [self._job(arm, self.best_trial[arm], seed) for seed in self.study.file.seeds for arm in arms]
        yield from self._run_jobs(final, pool, tuned, tuned + len(final))
        return tuned + len(final)

    def _tune(self, pool: Pool | None) -> Generator[Event, None, int]:
        """Train all trials, and choose the best of each arm; returns their number."""
        arms = range(len(self.study.arms))
        jobs = [
            self._job(arm, trial, seed, tuning=True)
            for arm in arms
            for trial in (range(len(self.plans[arm])) if len(self.plans[arm]) > 1 else ())
            for seed in self.study.tune_seeds
        ]
        yield from self._run_jobs(jobs, pool, 0, len(jobs) + len(arms) * len(self.study.file.seeds))
        self.best_trial = {arm: self._choose_trial(arm) for arm in arms}
        return len(jobs)

    def _take_trial(self, number: int, record: Record) -> int:
        """Return the trial that an earlier record chose, and give it the steps that it had there."""
        arm = self.study.arms[number]
        earlier = next((each for each in record["arms"] if each["name"] == arm.name), None)
        trials = msgspec.to_builtins(arm.trials)
        if earlier is None or earlier["tuned"] not in trials:
            raise UsageError(f"arm {arm.name!r} is not in the earlier record, or was tuned otherwise there: tune again")
        trial = int(trials.index(earlier["tuned"]))
        planned = self.plans[number][trial]
        self.plans[number][trial] = replace(planned, recipe=replace(planned.recipe, steps=earlier["recipe"]["steps"]))
        return trial

    def record(self) -> dict[str, Any]:
        """The results, ready for JSON."""
        file = self.study.file
        return {
            "format": FORMAT,
            "name": self.study.name,
            "question": file.question,
            "expected": file.expected,
            "source": file.source,
            "measure": file.measure,
            "data": {"name": self.corpus.name, "sha256": self.corpus.sha256, **self._split_record()},
            "seeds": file.seeds,
            "tune_seeds": list(self.study.tune_seeds),
            "arms": [self._arm_record(number, arm) for number, arm in enumerate(self.study.arms)],
            "environment": environment(),
            "jobs": self.jobs,
            "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
            "training_seconds": round(self._tuning_seconds() + _seconds(self.results.values()), 1),
        }

    def _split_record(self) -> dict[str, Any]:
        corpus = self.corpus
        if corpus.format == "text":
            return {
                "format": "text",
                "split_method": "position",
                "train_fraction": corpus.train_fraction,
                "train_targets": corpus.train.num_targets,
                "val_targets": corpus.val.num_targets,
                "test_targets": corpus.test.num_targets,
            }
        return {
            "split_method": corpus.split_method,
            "split_seed": corpus.split_seed,
            "train_lines": len(corpus.train.as_lines(corpus.vocabulary).lines),
            "val_lines": len(corpus.val.as_lines(corpus.vocabulary).lines),
            "test_lines": len(corpus.test.as_lines(corpus.vocabulary).lines),
            "val_targets": corpus.val.num_targets,
            "test_targets": corpus.test.num_targets,
            "leak_free_test_targets": int(corpus.test.leak_free_targets.sum()),
        }

    def _arm_record(self, number: int, arm: Arm) -> dict[str, Any]:
        baseline, best = self.study.baseline_of(arm), self.best_trial[number]
        planned = self.plans[number][best]
        trials: Any = [
            {"settings": settings, "val_nats": self._tuning_nats(number, trial)}
            for trial, settings in enumerate(arm.trials if len(arm.trials) > 1 and self.tuned is None else ())
        ]
        if self.tuned is not None:
            trials = next(earlier["trials"] for earlier in self.tuned["arms"] if earlier["name"] == arm.name)
        return {
            "name": arm.name,
            "group": arm.group,
            "baseline": baseline.name if baseline else None,
            "settings": {**arm.settings, **arm.trials[best]},
            "model": {"name": planned.model, **asdict(planned.model_config)},
            "description": planned.model_config.describe(),
            "recipe": {name: value for name, value in asdict(planned.recipe).items() if name != "seed"},
            "epochs": round(planned.recipe.steps * planned.recipe.batch_size / self.corpus.train.num_targets, 2),
            "tuned": arm.trials[best],
            "trials": trials,
            "published": None if arm.published is None else msgspec.structs.asdict(arm.published),
            "runs": [{"seed": seed, **self.results[number, best, seed]} for seed in self.study.file.seeds],
            "comparison": None if baseline is None else self._comparison(self.study.arms.index(baseline), number),
        }

    def _comparison(self, *arms: int) -> Record | None:
        """Judge the second arm against the first; None if one of them has no finished seed."""
        sides, counted = [], []
        for arm in arms:
            keys = [(arm, self.best_trial[arm], seed) for seed in self.study.file.seeds]
            sides.append([test_losses(self._job(*key)) for key in keys if "failed" not in self.results[key]])
            counted.append(self.plans[arm][self.best_trial[arm]].model_config.counted)
        return compare_arms(sides[0], sides[1], (counted[0], counted[1])) if all(sides) else None

    def _tuning_seconds(self) -> float:
        """The time of the tuning of an earlier record; that of our own is among the results."""
        if self.tuned is None:
            return 0.0
        final = [run for arm in self.tuned["arms"] for run in arm["runs"]]
        return float(self.tuned["training_seconds"]) - _seconds(final)

    def _measure_steps(self) -> Iterator[Event]:
        """Give the arms with a time budget as many steps as fit into it."""
        seconds = {
            number: arm.settings["seconds"]
            for number, arm in enumerate(self.study.arms)
            if "seconds" in arm.settings and arm.settings.get("model") != "ngram"
        }
        plans = {step_type(planned, self.corpus): planned for number in seconds for planned in self.plans[number]}
        path = self.folder / "step_ms.json"
        for message in time_steps(plans, self.corpus, path):
            yield Event(0, 1, message)
        step_ms = read_step_ms(path)
        for number, limit in seconds.items():
            plans_of_arm = self.plans[number]
            self.plans[number] = [with_time(p, limit, step_ms[step_type(p, self.corpus)]) for p in plans_of_arm]

    def _choose_trial(self, arm: int) -> int:
        """Return the trial with the lowest val loss."""
        trials = range(len(self.study.arms[arm].trials))
        if len(trials) == 1:
            return 0
        known = {trial: nats for trial in trials if (nats := self._tuning_nats(arm, trial)) is not None}
        if not known:
            reason = next(r["failed"] for key, r in self.results.items() if key[0] == arm and "failed" in r)
            raise UsageError(f"arm {self.study.arms[arm].name!r}: all trials have failed: {reason}")
        return min(known, key=lambda trial: known[trial])

    def _tuning_nats(self, arm: int, trial: int) -> float | None:
        """Return the mean val loss of a trial; None if a training has failed."""
        results = [self.results[arm, trial, seed] for seed in self.study.tune_seeds]
        return None if any("failed" in result for result in results) else fmean(r["val_nats"] for r in results)

    def _job(self, number: int, trial: int, seed: int, tuning: bool = False) -> Job:
        arm = self.study.arms[number]
        planned = self.plans[number][trial]
        config = config_of(
            replace(planned, recipe=replace(planned.recipe, seed=seed)),
            data_config(self.corpus, self.data),
            command=self.command,
            note=", ".join(f"{key} {value}" for key, value in arm.trials[trial].items()),
            experiment=f"{self.study.name}: {arm.name}" + (f", trial {trial + 1}" if tuning else ""),
        )
        prefix = f"trial-{trial + 1}-" if len(arm.trials) > 1 else ""
        path = self.folder / "runs" / slug(arm.name) / f"{prefix}seed-{seed}"
        return Job((number, trial, seed), config, path, tuple(self.study.file.measure), judged=not tuning)

    def _run_jobs(self, jobs: Sequence[Job], pool: Pool | None, done: int, total: int) -> Iterator[Event]:
        """Run the jobs that are not finished, and read those that are."""
        results = {job: read_result(job) for job in jobs}
        self.results |= {job.key: result for job, result in results.items() if result is not None}
        waiting = [job for job, result in results.items() if result is None]
        done += len(jobs) - len(waiting)
        yield Event(done, total, "")
        train = _train_one_by_one(waiting) if pool is None else _train_in_pool(waiting, pool)
        with contextlib.closing(train):
            for finished in train:
                message = ""
                if finished is not None:
                    job, result = finished
                    self.results[job.key] = result
                    done, message = done + 1, self._message(job, result)
                    if pool is not None and (place := pool.place(job)):
                        message += f" on {place}"
                for line in [] if pool is None else pool.news():
                    yield Event(done, total, line)
                yield Event(done, total, message)

    def _message(self, job: Job, result: Result) -> str:
        arm, _, seed = job.key
        trial = f" ({job.config.note})" if job.config.note else ""
        return f"{self.study.arms[arm].name}, seed {seed}{trial}: {in_words(result)}"


def _seconds(results: Iterable[Result]) -> float:
    return float(sum(result.get("seconds", 0.0) for result in results))


def _train_one_by_one(jobs: Sequence[Job]) -> Generator[Finished | None, None, None]:
    """Train the jobs in this process; yield each that has finished, and None in between."""
    for job in jobs:
        with memory_explained(job), contextlib.closing(train_job(job)) as records:
            for _ in records:
                yield None
        result = read_result(job)
        assert result is not None
        yield job, result


def _train_in_pool(jobs: Sequence[Job], pool: Pool) -> Generator[Finished | None, None, None]:
    """Train the jobs in a pool; yield each that has finished, and None in between."""
    # The longest first would be a little faster, but in the order of seeds an interrupted study is more useful.
    futures = {pool.submit(job): job for job in jobs}
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in finished:
            with memory_explained(futures[future]):
                result = future.result()
            if result is not None:
                yield futures[future], result
        if not finished:
            yield None
