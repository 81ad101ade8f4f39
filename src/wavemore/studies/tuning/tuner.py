"""A tuning in its folder: trials in a pool, several at a time, and then the repeats of the best ones on fresh seeds.

The folder has `search.json` (what is searched), `journal.jsonl` (Optuna's storage), `trials/<number>` and
`trial-<number>-seed-<seed>`, run folders like any other: the trials, and the repeats of the best ones. At the end there
is `tune.json`, the result. A tuning that was stopped or killed is continued: trials that were cut short are resumed, to
the same bits.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

import torch

from wavemore.engine.plan import plan
from wavemore.engine.threads import set_threads
from wavemore.engine.training_plan import Plan
from wavemore.errors import RunError, UsageError
from wavemore.runs.describe import describe_model
from wavemore.runs.json_file import write_json
from wavemore.runs.layout import locked
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config, data_name
from wavemore.studies.budget import seconds_per_step, step_type
from wavemore.studies.job import Job, KilledError, Result, read_result
from wavemore.studies.pool import Pool, open_pool
from wavemore.studies.tuning.clock import Clock
from wavemore.studies.tuning.command import train_command
from wavemore.studies.tuning.record import FILE
from wavemore.studies.tuning.request import Request, begin_search, read_search
from wavemore.studies.tuning.result import Finalist, result_of
from wavemore.studies.tuning.space import Space
from wavemore.studies.tuning.trainings import KILLED, Event, Training, outcome, repeat_message
from wavemore.studies.tuning.trials import Trials, Tried, has_trials, with_facts
from wavemore.text.corpus import Corpus

PROBE_SECONDS, PROBE_STEPS = 0.8, 1_000
"""A step is measured for so long: of shorter measurements, those that are too low give a trial more steps, and win."""
ATTEMPTS = 2
"""How often the process of a trial may be killed, perhaps as memory ran out, before the trial is given up."""


class Tuner:
    """Runs a tuning in its folder."""

    def __init__(
        self,
        request: Request,
        corpus: Corpus,
        folder: Path,
        *,
        words: Sequence[str] = (),
        command: Sequence[str] = (),
        started: float | None = None,
    ) -> None:
        """`words` are those of `wavemore train` that read the same data; `started` is when the time began.

        Raises `UsageError` for a search space that contradicts itself.
        """
        self.request, self.corpus, self.folder = request, corpus, folder
        self.words = tuple(words) or (data_name(corpus),)
        self.command = tuple(command)
        self.clock = Clock(request, monotonic() if started is None else started)
        self.data = data_config(corpus, data_name(corpus))
        earlier = read_search(folder) if has_trials(folder) else None
        self.space = Space(corpus, request.models, (earlier or request).limits)
        self.finalists: list[Tried] = []
        self.result: dict[str, Any] | None = None
        self._step_seconds: dict[str, float] = {}
        self._longer: list[float] = []
        """How many times as long as measured each training has taken."""
        self._trainings: dict[Path, Training] = {}
        self._killed: dict[int, int] = {}

    def run(self) -> Iterator[Event]:
        """Search, repeat the best trials, and write `tune.json`.

        The iteration can be left at any event: what has started is saved, and resumed next time. Raises `RunError` for
        a folder of another tuning, and `UsageError` if no trial could be trained to its end.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create {self.folder}: {error.strerror}; choose another `folder`") from None
        threads = torch.get_num_threads()
        with locked(self.folder, what="tuning", parameter="folder"):
            set_threads(1)
            try:
                is_new = not has_trials(self.folder)
                search = begin_search(self.request, self.data, self.folder, self.command, is_new=is_new)
                self.space = Space(self.corpus, self.request.models, search.limits)
                self.trials = Trials(self.space, self.folder, self.request.seed, self.step_seconds)
                self.clock.begin(self.trials.all(), search.limits)
                yield from self._train()
                self.result = result_of(self, search, [self._finalist(tried) for tried in self.finalists])
                write_json(self.folder / FILE, self.result)
            finally:
                set_threads(threads)

    def step_seconds(self, planned: Plan) -> float:
        """Measure the CPU time of a step, once for each type of step.

        Trainings side by side take longer than a measurement says: by how much, those that have ended have shown.
        """
        key = step_type(planned, self.corpus)
        if key not in self._step_seconds:
            self._step_seconds[key] = seconds_per_step(planned, self.corpus, PROBE_SECONDS, PROBE_STEPS)
        return self._step_seconds[key] * max(1.0, median(self._longer or [1.0]))

    @property
    def elapsed(self) -> float:
        """Seconds so far, over all parts of an interrupted tuning."""
        return self.clock.elapsed

    def tried(self) -> list[Tried]:
        """All trials so far."""
        return self.trials.all()

    def _train(self) -> Iterator[Event]:
        """Search, and repeat the best trials; if a process is killed during the search, go on with new ones."""
        ended = self.trials.ended_search()
        is_over = ended is not None and not self.clock.asks_for_more(*ended[:2])
        if ended and is_over:
            self.clock.search_is_over()
            self.finalists = [tried for tried in self.trials.all() if tried.number in ended[2]]
        while True:
            try:
                with open_pool(self.request.jobs, self.request.cluster) as pool:
                    self.clock.jobs = max(1, pool.size)
                    if not is_over:
                        yield from self._search(pool)
                        is_over = True
                    yield from self._repeat(pool)
                return
            except KilledError:
                if is_over:
                    raise
                yield from self._after_kill()

    def _search(self, pool: Pool) -> Iterator[Event]:
        for tried in self.trials.all():
            if tried.state == "running":
                yield from self._resume(pool, tried)
        yield from self._train_trials(pool)
        self.clock.learn(self.trials.all())
        if not self.trials.curves():
            reasons = [tried.facts.why for tried in self.trials.all() if tried.facts.why]
            raise UsageError(f"no trial could be trained to its end: {reasons[0] if reasons else 'there was no time'}")
        self.finalists = self.clock.finalists()
        numbers = [tried.number for tried in self.finalists]
        self.trials.end_search(self.request.trials, self.request.minutes, numbers)

    def _train_trials(self, pool: Pool) -> Iterator[Event]:
        while True:
            self.clock.jobs = max(1, pool.size)  # a cluster may get its workers later
            while len(self._trainings) < self.clock.jobs and self.clock.has_time_for_a_trial(len(self.trials)):
                self._check_unknown(f"trials/{len(self.trials) + 1}")
                tried = self.trials.ask()
                if tried.state == "running":
                    self._submit(pool, tried.number, self._job(tried, self.request.seed))
                else:
                    yield self._event(f"trial {tried.number}: pruned, {tried.facts.why}")
            if not self._trainings:
                return
            for message in self._wait(pool):
                yield self._event(message)

    def _check_unknown(self, name: str) -> None:
        """Raise `RunError` if the folder of a new trial is there already: its journal is not the whole one."""
        if Run(self.folder / name).exists():
            raise RunError(
                f"{self.trials.journal.path} lacks {name}, which is in {self.folder}: put the whole journal back, or "
                "choose another `folder`"
            )

    def _wait(self, pool: Pool) -> Iterator[str]:
        """Wait for what happens next; yield it in words, or nothing after half a second."""
        waiting = {training.future: training for training in self._trainings.values()}
        finished, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for job, step, nats in pool.progress():
            self._measured(pool, job, step, nats)
        if self.clock.must_end_search():
            for training in self._trainings.values():
                training.why = training.why or "the time was over"
                pool.stop(training.job)
        yield from pool.news()
        for future in finished:
            place = pool.place(waiting[future].job)
            yield self._ended(waiting[future]) + (f" on {place}" if place else "")
        if not finished:
            yield ""

    def _measured(self, pool: Pool, job: Job, step: int, nats: float) -> None:
        """Store a val loss on the way, and stop a trial that is hopeless."""
        training, recipe = self._trainings.get(job.path), job.config.recipe
        if training is None:
            return
        training.evaluations = step * recipe.num_evals // recipe.steps
        if training.why or training.evaluations >= recipe.num_evals:
            return
        if self.trials.report(training.number, training.evaluations, nats):
            training.why = f"val {nats:.4f} at {training.evaluations / recipe.num_evals:.0%}"
            pool.stop(job)

    def _ended(self, training: Training) -> str:
        """Store the end of a trial, and return it in words."""
        result, number = outcome(training.future), training.number  # raises if its process was killed
        del self._trainings[training.job.path]
        # a trial that was resumed has taken longer than this process knows
        seconds = max(monotonic() - training.started, float((result or {}).get("seconds", 0.0)))
        tried = self.trials.all()[number - 1]
        facts = with_facts(tried.facts, elapsed=self.clock.elapsed, wall_seconds=round(seconds, 3))
        name = f"trial {number}, {describe_model(training.job.config)}"
        if result is None or training.why or "failed" in result:
            why = training.why or ("it was stopped" if result is None else f"failed: {result['failed']}")
            self.trials.prune(number, with_facts(facts, why=why, failed=not training.why))
            return f"{name}: pruned, {why}"
        nats = float(result["val_nats"])
        own = {"parameters": result["parameters"], "train_seconds": result["seconds"]}
        if measured := self._step_seconds.get(step_type(self._planned(tried), self.corpus)):
            self._longer.append(result["seconds"] / (result["steps"] * measured))
        before = min((curve.result for curve in self.trials.curves()), default=None)
        self.trials.finish(number, nats, with_facts(facts, **own))
        self.clock.learn(self.trials.all())
        best = "" if before is not None and before <= nats else ", the best so far"
        return f"{name}: val {nats:.4f}{best}, {result['seconds']:.1f} s"

    def _resume(self, pool: Pool, tried: Tried) -> Iterator[Event]:
        """Go on with a trial that was cut short."""
        if not tried.facts.settings:  # the disk was full as it began
            self.trials.prune(tried.number, with_facts(tried.facts, why="it was cut short as it began", failed=True))
            return
        job = self._job(tried, self.request.seed)
        yield from self._until_free(job)
        result = read_result(job)
        if result is None:
            self._submit(pool, tried.number, job)
            return
        future: Future[Result | None] = Future()  # the program was killed between the end of the training and its note
        future.set_result(result)
        self._trainings[job.path] = Training(tried.number, job, future, monotonic())
        for record in Run(job.path).metrics():
            if "val_nats" in record:
                self._measured(pool, job, record["step"], record["val_nats"])

    def _until_free(self, job: Job) -> Iterator[Event]:
        """Wait until no process of an earlier program saves a training any more."""
        deadline = monotonic() + 30
        while Run(job.path).is_training() and monotonic() < deadline:
            yield self._event()
            sleep(0.2)

    def _after_kill(self) -> Iterator[Event]:
        """Give up the trials whose process was killed too often, as memory may have run out."""
        for training in list(self._trainings.values()):
            number = training.number
            self._killed[number] = self._killed.get(number, 0) + 1
            if self._killed[number] >= ATTEMPTS:
                facts = self.trials.all()[number - 1].facts
                self.trials.prune(number, with_facts(facts, elapsed=self.clock.elapsed, why=KILLED, failed=True))
                yield self._event(f"trial {number}: pruned, {KILLED}")
        self._trainings.clear()

    def _repeat(self, pool: Pool) -> Iterator[Event]:
        """Train the best trials on fresh seeds; if the time is over, all but the first seed are left out."""
        jobs = [(each.number, self._job(each, seed)) for seed in self.request.fresh_seeds for each in self.finalists]
        waiting = [(number, job) for number, job in jobs if read_result(job) is None]
        done = len(jobs) - len(waiting)
        for number, job in waiting:
            yield from self._until_free(job)
            self._submit(pool, number, job)
        while self._trainings:
            futures = {training.future: training for training in self._trainings.values()}
            finished, _ = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
            if self.clock.must_end():
                for training in self._trainings.values():
                    if training.job.config.recipe.seed != self.request.fresh_seeds[0]:  # else there is no result
                        pool.stop(training.job)
            for line in pool.news():
                yield self._event(line, done, len(jobs))
            for future in finished:
                training = futures[future]
                del self._trainings[training.job.path]
                done += (result := outcome(future)) is not None
                yield self._event(repeat_message(training, result), done, len(jobs))
            if not finished:
                yield self._event("", done, len(jobs))

    def _finalist(self, tried: Tried) -> Finalist:
        jobs = [self._job(tried, seed) for seed in self.request.fresh_seeds]
        results = {job: result for job in jobs if (result := read_result(job)) is not None and "failed" not in result}
        planned = self._planned(tried)
        return Finalist(
            tried=tried,
            experiment=jobs[0].config.experiment,
            config=jobs[0].config,
            command=train_command(self.words, planned, tried.facts.settings, self.request.fresh_seeds[0]),
            runs=tuple(Run(job.path) for job in results),
            results=tuple({"seed": job.config.recipe.seed, **result} for job, result in results.items()),
        )

    def _planned(self, tried: Tried) -> Plan:
        try:
            return plan(self.corpus, model=tried.facts.model, **tried.facts.settings)
        except (UsageError, TypeError) as error:
            raise RunError(f"trial {tried.number} of {self.folder} cannot be trained: {error}") from None

    def _job(self, tried: Tried, seed: int) -> Job:
        """Return a training of a trial: in the search, or a repeat on another seed."""
        planned, number = self._planned(tried), tried.number
        is_repeat = seed != self.request.seed
        config = config_of(
            replace(planned, recipe=replace(planned.recipe, seed=seed)),
            self.data,
            command=train_command(self.words, planned, tried.facts.settings, seed),
            note=f"repeat of trial {number}" if is_repeat else f"trial {number} of {self.folder.name}",
            experiment=f"{self.folder.name}-trial-{number}" if is_repeat else f"{self.folder.name}-search-{number}",
        )
        name = f"trial-{number}-seed-{seed}" if is_repeat else f"trials/{number}"
        return Job((0, number, seed), config, self.folder / name, (), judged=False)

    def _submit(self, pool: Pool, number: int, job: Job) -> None:
        self._trainings[job.path] = Training(number, job, pool.submit(job), monotonic())

    def _event(self, message: str = "", done: int | None = None, total: int | None = None) -> Event:
        running = tuple(
            f"trial {each.number} {each.evaluations / each.job.config.recipe.num_evals:.0%}"
            for each in list(self._trainings.values())[: self.clock.jobs]
        )
        if done is None:
            done, total = len(self.trials) - len(self._trainings), self.request.trials
        return Event(done, total, running, self.clock.left, message)
