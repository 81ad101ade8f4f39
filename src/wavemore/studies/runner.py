"""The trainings of a study: planned, done in parallel, resumed where they were interrupted, gathered into a record.

The study's folder holds `runs/<arm>/<what>-seed-<n>`, each a run folder like any other, and `study.json`, the record
that the page is made of. A run that is finished is never done again.
"""

import contextlib
import json
import multiprocessing
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from time import process_time
from typing import Any

import msgspec
import numpy as np
import torch

from wavemore.engine.fit import fit
from wavemore.engine.plan import Plan
from wavemore.engine.process import set_threads
from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError, UsageError
from wavemore.files import write_atomic
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.runs.environment import cores, environment
from wavemore.runs.memory_check import check_fits
from wavemore.runs.training import config_of, data_config
from wavemore.studies.file import Arm, Study, settle, slug
from wavemore.studies.job import Job, Result, begin_process, do, read_result, train_job
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load, load_text

FORMAT = 1
"""Of study.json."""


@dataclass(frozen=True)
class Event:
    """Something that has happened while a study runs."""

    done: int
    total: int
    """Trainings, those of the tuning included."""
    said: str
    """What has just been finished; empty where nothing was, so that the caller can look at the clock."""


class StudyRunner:
    """Runs a study in its folder."""

    def __init__(self, study: Study, folder: Path, data: str = "", jobs: int = 0) -> None:
        self.study, self.folder = study, folder
        self.data = data or study.file.data
        self.jobs = jobs or cores()
        self.corpus: Corpus | TextStream
        if study.file.text == "stream":
            self.corpus = load_text(self.data, share=study.file.share)
        else:
            self.corpus = load(self.data, split=study.file.split, split_seed=study.file.split_seed)
        self.steps: dict[tuple[int, int], int] = {}
        self.results: dict[tuple[int, int, int], Result] = {}
        self.chosen: dict[int, int] = {}
        for arm in study.arms:  # all mistakes are found before anything is trained
            for tried in arm.tries:
                check_fits(len(self.corpus.vocabulary), settle(arm, tried, self.corpus).settings)

    def run(self) -> Iterator[Event]:
        """Do what is left to do, and write `study.json` at the end.

        Can be left early at any event: the runs that were begun are kept and resumed next time. Raises `RunError`
        for a folder with runs of other settings, `UsageError` where all tries of an arm fail.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the study's folder {self.folder}: {error.strerror}") from None
        threads = torch.get_num_threads()
        set_threads(1)
        try:
            yield from self._measure_speeds()
            tuning = [job for arm in range(len(self.study.arms)) for job in self._tuning(arm)]
            finals = len(self.study.arms) * len(self.study.file.seeds)
            yield from self._do(tuning, 0, len(tuning) + finals)
            for number, arm in enumerate(self.study.arms):
                self.chosen[number] = self._best_try(number, arm)
            yield from self._do(self._finals(), len(tuning), len(tuning) + finals)
        finally:
            set_threads(threads)
        content = json.dumps(self.record(), indent=1, ensure_ascii=False).encode() + b"\n"
        write_atomic(self.folder / "study.json", content)

    def record(self) -> dict[str, Any]:
        """All that was found, ready for JSON: what the page is made of."""
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
            "training_seconds": round(sum(result.get("seconds", 0.0) for result in self.results.values()), 1),
        }

    def _split_record(self) -> dict[str, Any]:
        file, corpus = self.study.file, self.corpus
        if isinstance(corpus, TextStream):
            return {
                "text": "stream",
                "split": "share",
                "share": corpus.share,
                "train_targets": corpus.train.targets,
                "val_targets": corpus.val.targets,
            }
        return {
            "split": file.split,
            "split_seed": file.split_seed,
            "train_lines": len(corpus.train.lines),
            "val_lines": len(corpus.val.lines),
            "val_targets": corpus.val.targets,
            "leak_free_val_targets": int(corpus.val.leak_free_targets.sum()),
        }

    def _arm_record(self, number: int, arm: Arm) -> dict[str, Any]:
        base = self.study.base_of(arm)
        tried = self.chosen[number]
        chosen = settle(arm, arm.tries[tried], self.corpus, self.steps.get((number, tried)))
        tries = []
        if len(arm.tries) > 1:
            for index, settings in enumerate(arm.tries):
                vals = [self.results[number, index, seed].get("val_nats") for seed in self.study.tune_seeds]
                tries.append({"settings": settings, "val_nats": _mean(vals)})
        return {
            "name": arm.name,
            "group": arm.group,
            "against": base.name if base else None,
            "settings": {**arm.settings, **arm.tries[tried]},
            "model": {"name": chosen.model, **chosen.settings.values()},
            "words": chosen.settings.words,
            "recipe": {name: value for name, value in asdict(chosen.recipe).items() if name != "seed"},
            "epochs": round(chosen.recipe.steps * chosen.recipe.batch_size / self.corpus.train.targets, 2),
            "tuned": arm.tries[tried],
            "tries": tries,
            "published": None if arm.published is None else {"val": arm.published.val, "train": arm.published.train},
            "runs": [{"seed": seed, **self.results[number, tried, seed]} for seed in self.study.file.seeds],
        }

    def _measure_speeds(self) -> Iterator[Event]:
        """Steps that fit into the seconds of an arm: all kinds of steps in turns, medians, kept in a file."""
        kinds: dict[tuple[int, int], str] = {}  # (arm, try): what decides how long its steps take
        plans: dict[str, Plan] = {}
        for number, arm in enumerate(self.study.arms):
            if "seconds" in arm.settings and arm.settings.get("model") != "ngram":
                for tried, settings in enumerate(arm.tries):
                    chosen = settle(arm, settings, self.corpus)
                    kinds[number, tried] = _kind_of_step(chosen)
                    plans[kinds[number, tried]] = chosen
        path = self.folder / "step_ms.json"
        known: dict[str, float] = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):  # else it is measured anew
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, float])
        new = {kind: chosen for kind, chosen in plans.items() if kind not in known}
        times: dict[str, list[float]] = {kind: [] for kind in new}
        for _ in range(ROUNDS):
            for kind, chosen in new.items():
                times[kind].append(1e3 * _seconds_a_step(chosen, self.corpus))
                yield Event(0, 1, "")
        if new:
            known |= {kind: median(step_ms) for kind, step_ms in times.items()}
            write_atomic(path, json.dumps(known, indent=1).encode() + b"\n")
            yield Event(0, 1, "a step takes " + ", ".join(f"{known[kind]:.2f} ms ({kind})" for kind in new))
        for (number, tried), kind in kinds.items():
            seconds = self.study.arms[number].settings["seconds"]
            self.steps[number, tried] = max(1, round(1e3 * seconds / known[kind]))

    def _tuning(self, number: int) -> list[Job]:
        arm = self.study.arms[number]
        if len(arm.tries) == 1:
            self.chosen[number] = 0
            return []
        return [
            self._job(number, tried, seed, f", try {tried + 1}")
            for tried in range(len(arm.tries))
            for seed in self.study.tune_seeds
        ]

    def _best_try(self, number: int, arm: Arm) -> int:
        if len(arm.tries) == 1:
            return 0
        means = []
        for tried in range(len(arm.tries)):
            vals = [self.results[number, tried, seed].get("val_nats") for seed in self.study.tune_seeds]
            mean = _mean(vals)
            means.append(float("inf") if mean is None else mean)
        best = int(np.argmin(means))
        if means[best] == float("inf"):
            why = self.results[number, best, self.study.tune_seeds[0]]["failed"]
            raise UsageError(f"arm {arm.name!r}: every combination that was tried has failed: {why}")
        return best

    def _finals(self) -> list[Job]:
        numbers = range(len(self.study.arms))
        return [self._job(number, self.chosen[number], seed) for seed in self.study.file.seeds for number in numbers]

    def _job(self, number: int, tried: int, seed: int, what: str = "") -> Job:
        arm = self.study.arms[number]
        chosen = settle(arm, arm.tries[tried], self.corpus, self.steps.get((number, tried)))
        chosen = replace(chosen, recipe=replace(chosen.recipe, seed=seed))
        tuned = ", ".join(f"{key} {value}" for key, value in arm.tries[tried].items())
        config = config_of(
            chosen,
            data_config(self.corpus, self.data, self.study.file.split, self.study.file.split_seed),
            command=("wavemore", "study", self.study.name),
            note=tuned,
            experiment=f"{self.study.name}: {arm.name}{what}",
        )
        kind = f"try-{tried + 1}-" if len(arm.tries) > 1 else ""
        path = self.folder / "runs" / slug(arm.name) / f"{kind}seed-{seed}"
        return Job(number, tried, seed, config, path, tuple(self.study.file.measure))

    def _do(self, jobs: Sequence[Job], done: int, total: int) -> Iterator[Event]:
        """Do the jobs, `self.jobs` at once; those that are finished already are read."""
        left = []
        for job in jobs:
            result = read_result(job)
            if result is None:
                left.append(job)
            else:
                self.results[job.arm, job.tried, job.seed] = result
        done += len(jobs) - len(left)
        yield Event(done, total, "")
        if not left:
            return
        if self.jobs == 1:
            for job in left:
                with contextlib.closing(train_job(job)) as steps:
                    while True:
                        try:
                            next(steps)
                        except StopIteration as end:
                            result = end.value
                            break
                        yield Event(done, total, "")
                self.results[job.arm, job.tried, job.seed] = result
                done += 1
                yield Event(done, total, self._said(job, result))
            return
        yield from self._do_in_parallel(left, done, total)

    def _do_in_parallel(self, jobs: Sequence[Job], done: int, total: int) -> Iterator[Event]:
        context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
        stop = context.Event()
        pool = ProcessPoolExecutor(
            self.jobs, mp_context=context, initializer=begin_process, initargs=(stop, os.getpid())
        )
        try:
            # The longest first would be quicker by a little; in the order of seeds a stopped study is of use.
            futures: dict[Future[Result], Job] = {pool.submit(do, job): job for job in jobs}
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    job, result = futures[future], future.result()
                    if result.get("stopped"):
                        continue
                    self.results[job.arm, job.tried, job.seed] = result
                    done += 1
                    yield Event(done, total, self._said(job, result))
                if not finished:
                    yield Event(done, total, "")
        except BrokenProcessPool:
            raise RunError(
                "a training process was killed, perhaps for memory: the same command goes on; --jobs 1 needs less"
            ) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _said(self, job: Job, result: Result) -> str:
        arm = self.study.arms[job.arm]
        what = f"{arm.name}, seed {job.seed}"
        if job.config.note:
            what += f" ({job.config.note})"
        if "failed" in result:
            return f"{what}: failed, {result['failed']}"
        return f"{what}: val {result['val_nats']:.4f}, {result['seconds']:.1f} s"


ROUNDS, STEPS_A_ROUND, SECONDS_A_ROUND = 5, 60, 0.8
"""Of the measurement of speeds: medians of five rounds, in turns; fewer steps a round where they are slow."""

WARM_UP_STEPS, WARM_UP_SECONDS = 10, 0.2
"""The first steps, which are not counted."""


def _kind_of_step(chosen: Plan) -> str:
    """What decides how long a step takes, in words."""
    recipe = chosen.recipe
    how = f"{recipe.optimizer}, batch {recipe.batch_size}, {recipe.execution}"
    if recipe.execution == "stretches":
        how += f" of {recipe.stretch} after {recipe.lead_in}"
    if recipe.precision != "float32":
        how += f", {recipe.precision}"
    return f"{chosen.model}: {chosen.settings.words}, {how}"


def _seconds_a_step(chosen: Plan, corpus: Corpus | TextStream) -> float:
    """Processor time, which other work on the machine disturbs less than it does the clock."""
    # So many steps that none of those that are taken is the last one, which evaluates; of ten, one is logged.
    recipe = replace(chosen.recipe, steps=2_000, evaluations=1)
    model = build(chosen.model, len(corpus.vocabulary), chosen.settings, seed=0)
    with contextlib.closing(_times(model, corpus, recipe)) as times:
        began = next(times)
        for step, start in enumerate(times, start=1):
            if step >= WARM_UP_STEPS or start - began > WARM_UP_SECONDS:
                break
        for steps, now in enumerate(times, start=1):
            if steps >= STEPS_A_ROUND or now - start > SECONDS_A_ROUND:
                break
    return (now - start) / steps


def _times(model: Model, corpus: Corpus | TextStream, recipe: Recipe) -> Generator[float, None, None]:
    """The processor time after each step of a training."""
    for _ in fit(model, corpus, recipe):
        yield process_time()


def _mean(vals: Sequence[float | None]) -> float | None:
    """The mean; None where a training has failed."""
    known = [val for val in vals if val is not None]
    return fmean(known) if known and len(known) == len(vals) else None


def read_record(path: Path) -> Mapping[str, Any]:
    """The `study.json` of a study's folder.

    Raises `RunError` where there is none, or one of another format.
    """
    try:
        record = json.loads((path / "study.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} holds no finished study (it has no study.json): `wavemore study` makes one") from None
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path / 'study.json'}: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunError(f"{path / 'study.json'} is of another format; this wavemore reads format {FORMAT}")
    return record
