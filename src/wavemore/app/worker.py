"""One training in a process of its own: `python -m wavemore.app.worker`.

It reads an order as one line of JSON, then a word: "finish" ends the training soon and finishes the run with what was
learned; "pause", or the end of the input, saves it as it is, to be resumed. It writes one line of JSON per event.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import closing, suppress
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from wavemore.app.lists import How, load_list
from wavemore.engine.generate_lines import generate
from wavemore.engine.memory import check_fits
from wavemore.engine.plan import plan
from wavemore.engine.sampling import Sampling
from wavemore.engine.threads import set_threads
from wavemore.errors import WavemoreError
from wavemore.nn.model import Model
from wavemore.runs.run import Run
from wavemore.runs.teachers import FOLDER, check_teachers, create_teachers, keep_best_teacher, own_teachers
from wavemore.runs.train import TrainingStep, training_steps
from wavemore.runs.training import config_of, data_config
from wavemore.text.corpus import Corpus

NICE = 10
"""The pages come first."""
WIND_DOWN = 1.0
"""Seconds that a training still has when it is told to finish: with a falling learning rate, they matter."""
STEP_EVERY, SAMPLES_EVERY, SAMPLES = 0.25, 3.0, 8
"""Seconds between two reports of steps, and of samples, and how many these are."""


def main() -> int:
    """Train as ordered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that has started this one
    order = json.loads(sys.stdin.readline())
    with suppress(AttributeError, OSError):
        os.nice(NICE)
    set_threads(1)
    try:
        _Training(Run(order["run"]), Orders()).run(order)
    except WavemoreError as error:
        tell("failed", message=str(error))
        return 1
    except MemoryError:
        tell("failed", message="this machine has too little memory for this list: give a shorter one")
        return 1
    return 0


def tell(event: str, **values: Any) -> None:
    """Report an event."""
    with suppress(BrokenPipeError):  # the program has gone; the end of the input says so too
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()


class Orders:
    """What the program that has started this one wants now."""

    def __init__(self) -> None:
        self.finish = self.pause = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            if line.strip() == "finish":
                self.finish = True
            else:
                break
        self.pause = True


class _Training:
    def __init__(self, run: Run, orders: Orders) -> None:
        self.target, self.orders, self.started = run, orders, monotonic()
        self.told = self.sampled = -inf
        self.preview: tuple[Path, Model] | None = None

    def run(self, order: dict[str, Any]) -> None:
        """Begin or resume the run, and train to its end or until another order."""
        with self.target.lock():
            corpus = self._resumed() if order["resume"] else self._begun(order)
            config = self.target.config
            tell("planned", teachers=len(config.teachers))
            with closing(training_steps(self.target, corpus, None if order["resume"] else self.started)) as steps:
                if self._follow(steps, corpus):
                    tell("done")

    def _follow(self, steps: Iterable[TrainingStep], corpus: Corpus) -> bool:
        """Train; return whether the run is finished."""
        finishing: Path | None = None  # the run, or the teacher, that ends soon
        for step in steps:
            path = step.recorder.run.path
            if finishing not in (None, path):  # the teacher that was to end soon has ended
                break
            self._report(step, corpus)
            if self.orders.pause:
                step.recorder.save(step.record)
                tell("paused")
                return False
            if self.orders.finish and finishing is None:
                step.deadline.end_in(WIND_DOWN)
                finishing = path
        if finishing is not None:
            keep_best_teacher(self.target)
        return True

    def _begun(self, order: dict[str, Any]) -> Corpus:
        corpus, _ = load_list(order["data"], How(**order["how"]))
        self.started = monotonic()  # reading does not count
        planned = plan(corpus, minutes=order["minutes"])
        check_fits(planned.model, len(corpus.vocabulary), planned.model_config)
        config = config_of(planned, data_config(corpus, order["data"]), command=("wavemore", "app"), threads=1)
        if planned.teachers:
            config = own_teachers(config, self.target.home, planned.teachers)
        run = self.target.create(config, corpus)
        create_teachers(run, planned.teachers, corpus)
        return corpus

    def _resumed(self) -> Corpus:
        corpus = self.target.corpus()
        self.target.found_data(corpus.source)
        check_teachers(self.target.config, corpus)
        trained = [self.target, *(Run(path) for path in (self.target.home / FOLDER).glob("*"))]
        self.started -= sum(records[-1]["seconds"] for run in trained if (records := run.metrics()))
        return corpus

    def _report(self, step: TrainingStep, corpus: Corpus) -> None:
        now, record, path = monotonic(), step.record, step.recorder.run.path
        if (record.logged and now - self.told >= STEP_EVERY) or record.val_nats is not None:
            self.told = now
            tell(
                "step",
                step=record.step,
                steps=record.steps,
                seconds=round(now - self.started, 2),
                train_nats=record.train_nats,
                val_nats=record.val_nats,
                teacher=int(path.name) if path.parent.name == FOLDER else 0,
            )
        if now - self.sampled >= SAMPLES_EVERY and (record.logged or self.preview is not None):
            tell("samples", texts=self._samples(step, corpus))
            self.sampled = monotonic()

    def _samples(self, step: TrainingStep, corpus: Corpus) -> list[str]:
        """Draw some items from the weights as they are now; the training goes on as if nothing had happened."""
        run = step.recorder.run
        if self.preview is None or self.preview[0] != run.path:
            self.preview = run.path, run.new_model()
        model = self.preview[1]
        model.load_state_dict(step.recorder.weights())
        sampling = Sampling(
            temperature=0.8, max_length=max(1, corpus.longest_line), distinct=True, seed=step.record.step
        )
        vocabulary = corpus.vocabulary
        model.characters, model.labels = vocabulary.characters, vocabulary.labels.names
        return [sample.text for sample in generate(model, vocabulary, SAMPLES, sampling, corpus.line_hashes)]


if __name__ == "__main__":
    sys.exit(main())
