"""A training in its run folder, shown step by step until its end or Ctrl-C."""

import shlex
import signal
from contextlib import nullcontext
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING

from wavemore.cli.progress import busy, display, interrupts
from wavemore.cli.screen import Screen, print_json
from wavemore.cli.train_output import show_result, show_settings
from wavemore.errors import RankError, RunError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from wavemore.nn.model import Model
    from wavemore.runs.deadline import Deadline
    from wavemore.runs.recorder import Recorder
    from wavemore.runs.run import Run
    from wavemore.runs.tensorboard import Board
    from wavemore.text.corpus import Corpus


def train_run(
    run: "Run",
    corpus: "Corpus",
    screen: Screen,
    *,
    tensorboard: bool,
    as_json: bool,
    explanation: str = "",
    started: float | None = None,
) -> int:
    """Train in a run folder, from its checkpoint if there is one; the caller holds the run's lock.

    `explanation` says how the data is read, `started` when the program started, by `monotonic`. Return the exit code:
    128 plus the signal if one stopped the training.
    """
    from wavemore.nn.ranks import current_ranks
    from wavemore.runs.deadline import Deadline
    from wavemore.runs.recorder import Recorder
    from wavemore.runs.teachers import teacher_probabilities
    from wavemore.runs.tensorboard import Board
    from wavemore.runs.training import finish

    config, checkpoint, model = run.config, run.checkpoint(), run.new_model()
    show_settings(screen, run, model, corpus, explanation)
    if (size := current_ranks().size) > 1:
        screen.say(f"ranks   {size} processes; each computes its share of every step")
    command = shlex.join(["wavemore", "train", "--resume", str(run.home)])
    if tensorboard:
        command += " --tensorboard"
        screen.say(f"board   tensorboard --logdir {shlex.quote(str(run.home))}")
    try:
        if stopped := _train_teachers(run, corpus, screen):
            screen.say("", "stopped; the run is kept. Continue with:", f"  {command}")
            return 128 + stopped
        start = perf_counter()
        with busy("the teachers' probabilities", screen) if config.teachers else nullcontext():
            soft_targets = teacher_probabilities(run.config, corpus)
        recorder = Recorder(run, checkpoint, seconds=perf_counter() - start if config.teachers else 0.0)
        if checkpoint is not None:
            screen.say(f"resuming after step {recorder.last_step:,} of {config.recipe.steps:,}")
        with Board(run, recorder.records) if tensorboard else nullcontext() as board:
            deadline = Deadline.of(run.config, recorder.seconds_before, started)
            if stopped := _take_steps(run, model, corpus, recorder, screen, deadline, soft_targets, board):
                kept = f"{run.home} still holds the old run" if run.is_replacement else "the run is kept"
                screen.say("", f"stopped after step {recorder.last_step:,}; {kept}. Continue with:", f"  {command}")
                return 128 + stopped
        with busy("losses of train and val", screen):
            summary, val, samples = finish(run, model, corpus, recorder, count_known=True)
    except RankError as error:
        if current_ranks().rank == 0:
            error.args = (f"{error}. Continue from the last checkpoint with: {command}",)
        raise
    except (TrainingError, RunError) as error:
        raise _explained(error, run) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the last checkpoint is kept. Continue with: {command}") from None
    if as_json:
        print_json({"run": str(run.path), **asdict(summary)})
    show_result(screen, run, corpus, summary, val, samples)
    return 0


def _take_steps(
    run: "Run",
    model: "Model",
    corpus: "Corpus",
    recorder: "Recorder",
    screen: Screen,
    deadline: "Deadline | None",
    soft_targets: "Tensor | None" = None,
    board: "Board | None" = None,
) -> int:
    """Train to the end, or until a signal; return its number, 0 at the end."""
    from wavemore.nn.ranks import current_ranks
    from wavemore.runs.training import train

    ranks = current_ranks()
    with interrupts() as interrupted, display(screen, recorder.seconds_before) as show:
        for record in train(run, model, corpus, recorder, soft_targets, deadline):
            show(record)
            if board is not None:
                board.update()
            if ranks.any("stop", interrupted() > 0):
                recorder.save(record)
                return interrupted() or signal.SIGINT
    return 0


def _train_teachers(run: "Run", corpus: "Corpus", screen: Screen) -> int:
    """Train what a student's own teachers still lack; return the number of a signal that stopped it, or 0."""
    from wavemore.runs.deadline import Deadline
    from wavemore.runs.recorder import Recorder
    from wavemore.runs.teachers import keep_teacher, next_teacher
    from wavemore.runs.training import finish

    while (following := next_teacher(run)) is not None:
        index, teacher = following
        with teacher.lock():
            teacher = teacher.replacement if teacher.replacement.exists() else teacher
            if teacher.summary() is None:
                screen.say("", f"teacher {index + 1} of {len(run.config.teachers)}")
                recorder, model = Recorder(teacher, teacher.checkpoint()), teacher.new_model()
                deadline = Deadline.of(teacher.config, recorder.seconds_before)
                if stopped := _take_steps(teacher, model, corpus, recorder, screen, deadline):
                    return stopped
                with busy("losses of train and val", screen):
                    finish(teacher, model, corpus, recorder)
            keep_teacher(run, index, teacher)
    return 0


def _explained(error: TrainingError | RunError, run: "Run") -> TrainingError | RunError:
    """Return the error of a training with what is left of it."""
    if isinstance(error, RunError):  # such as a full disk: the training can be resumed
        return error
    if run.discard():
        return TrainingError(f"{error}; {run.home} still holds the old run")
    state = "the best checkpoint" if (run.path / "model.safetensors").exists() else "no model, only the settings,"
    return TrainingError(f"{error}; {state} is in {run.path}")
