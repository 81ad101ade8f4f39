"""`wavemore train`: data in; a trained model in a run folder and samples out."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore.cli.data_flags import DataFlags, source_of
from wavemore.cli.model_flags import ModelFlags, ModelName, RecipeFlags
from wavemore.cli.options import (
    NO_HINT,
    Flag,
    FloatOrAuto,
    Folder,
    IntOrAuto,
    Minutes,
    MovedData,
    Name,
    Runs,
    SourceRun,
    Text,
    given,
)
from wavemore.cli.start import started
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.training_plan import Plan
    from wavemore.nn.ranks import Ranks
    from wavemore.runs.config import RunConfig
    from wavemore.runs.run import Run
    from wavemore.runs.source import Source
    from wavemore.text.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model on a list or a text; a run folder keeps everything.

    Examples:
      wavemore train list.txt
      wavemore train list.txt --epochs 20 --run runs/mine
      wavemore train --resume
      wavemore train short-list.txt --from RUN
    """

    source: Annotated[Positional[tuple[str, ...]], arg(metavar="[DATA ...|RUN]"), NO_HINT] = ()
    """files, folders, - for standard input, or names (the default), tinyshakespeare, ...; with --resume: the run"""
    resume: Flag = False
    """continue a stopped run (default: the latest one), or start it if it has not begun yet"""
    run: Folder = None
    """folder for the run (default: a new one in runs/)"""
    overwrite: Flag = False
    """replace the run that is in the folder"""
    note: Text = None
    """a note that `wavemore log` shows with the run"""
    experiment: Text = None
    """name of its experiment; `wavemore log` and `wavemore compare` group runs by it (one run per seed)"""
    preset: Annotated[Literal["auto", "lecture"], NO_HINT] = "auto"
    """auto: settings that suit the data; lecture: those of Karpathy's lecture (about four minutes)"""
    model: Annotated[Literal["auto", ModelName], NO_HINT] = "auto"
    """tree (as in the lecture), wavenet (as in the paper) or another; auto: tree for many short lines, else lstm"""
    minutes: Minutes = None
    """time for the whole command: the model and all other settings are chosen for it"""
    epochs: FloatOrAuto = "auto"
    """passes over the training data, instead of --steps"""
    carried_from: SourceRun = None
    """begin with the model and weights of this run on a related list or text; helps if there is little data"""
    teachers: Runs = None
    """distillation: finished runs, experiments or folders; their mean probabilities are part of each target"""
    device: Name = "cpu"
    """cpu, another device of torch (cuda, cuda:1, mps), or auto: a GPU if there is one"""
    threads: IntOrAuto = "auto"
    """processor threads; auto: one for small models and, for large ones, up to four while they are faster"""
    tensorboard: Flag = False
    """also write the records for TensorBoard, into the run folder"""
    json: Flag = False
    """print the summary as JSON at the end; everything else goes to standard error"""
    data: MovedData = None
    """with --resume: where the data of the run is now, if it was moved"""
    reading: OmitArgPrefixes[DataFlags] = field(default_factory=DataFlags)
    architecture: OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)

    def run_command(self, arguments: Sequence[str]) -> int:
        """Train a new run, or resume one."""
        from wavemore.cli.resume import resume
        from wavemore.runs.ranks import joined

        if self.tensorboard:
            from wavemore.runs.tensorboard import require_tensorboard

            require_tensorboard()
        if not self.resume:
            with joined(self.device) as ranks:
                return self._train(ranks, arguments)
        if len(self.source) > 1:
            raise UsageError(f"--resume continues one run, not {len(self.source)}: name one")
        name, data = self.source[0] if self.source else "latest", self.data or ""
        with joined(None) as ranks:
            return resume(name, data, arguments, ranks, tensorboard=self.tensorboard, as_json=self.json)

    def _train(self, ranks: "Ranks", arguments: Sequence[str]) -> int:
        from wavemore.cli.progress import busy
        from wavemore.cli.screen import Screen
        from wavemore.cli.training import train_run
        from wavemore.runs.find import new_run, run_name
        from wavemore.runs.identity import training_digest
        from wavemore.runs.ranks import received_run, send_run, together
        from wavemore.runs.teachers import create_teachers, own_teachers

        screen = Screen(stderr=self.json)
        with together(ranks) as facts:
            if ranks.size > 1 and "-" in self.source:
                raise UsageError("several processes cannot share standard input: save it to a file, and give that")
            self._usable_device()  # before the data is read
            run = self._checked_run() if ranks.rank == 0 else None
            source, begin = source_of(self.source, self.data), self._source_run()
            corpus, explanation = self.reading.load(source, begin.characters if begin else "")
            with busy("measuring the speed of this machine", screen) if self.minutes else nullcontext():
                config, teachers = self._config(corpus, source[0], run, arguments, begin)
            start = begin.model(corpus, config.recipe.seed) if begin else None
            facts |= {"data": config.data.sha256, "settings": training_digest(config)}
        if ranks.rank:
            with together(ranks):
                pass  # rank 0 makes the folder
            with received_run(ranks) as own:
                return train_run(own, corpus, screen, tensorboard=self.tensorboard, as_json=self.json)
        with ExitStack() as stack:
            with together(ranks):
                run = run or new_run(run_name(source[0]))
                stack.enter_context(run.lock())
                if teachers:
                    config = own_teachers(config, run.home, teachers)
                run = run.create(config, corpus, overwrite=self.overwrite, start=start)
                create_teachers(run, teachers, corpus)
            send_run(ranks, run)
            return train_run(
                run,
                corpus,
                screen,
                tensorboard=self.tensorboard,
                as_json=self.json,
                explanation=explanation,
                started=started(),
            )

    def _usable_device(self) -> str:
        from wavemore.engine.devices import usable_device

        return usable_device(self.device)

    def _checked_run(self) -> "Run | None":
        """Return the run of --run after checking that its folder is free; None for a new one in runs/."""
        from wavemore.runs.run import Run

        if self.run is None:
            return None
        run = Run(Path(self.run))
        if run.exists() or run.replacement.exists():
            with run.lock():  # raises if another training is writing there
                pass
        if not self.overwrite:
            run.check_free()
        return run

    def _config(
        self, corpus: "Corpus", source: str, run: "Run | None", arguments: Sequence[str], begin: "Source | None"
    ) -> "tuple[RunConfig, tuple[Plan, ...]]":
        """Choose the settings that are not given, and set the number of threads; the plans are those of teachers."""
        from wavemore.engine.memory import check_fits
        from wavemore.engine.plan import uses_threads
        from wavemore.runs.environment import use_threads
        from wavemore.runs.teachers import check_teachers, find_teachers
        from wavemore.runs.training import config_of, data_config

        threads = self.threads
        if threads != "auto" and not 1 <= threads <= 4096:
            raise UsageError(f"--threads is {threads}; it must be at least 1 and at most 4,096")
        use_threads(threads)
        planned = self._plan(corpus, begin)
        check_fits(planned.model, len(corpus.vocabulary), planned.model_config)
        if threads == "auto" and planned.budget is None and not uses_threads(planned, corpus.format):
            threads = 1
            use_threads(threads)
        data = data_config(corpus, source)
        config = config_of(
            planned,
            data,
            command=("wavemore", *arguments),
            device=self._usable_device(),
            note=self.note or "",
            experiment=self.experiment or "",
            threads=threads,
            teachers=find_teachers(self.teachers or (), data, run.path if run else None),
            carried_from=begin.describe(corpus) if begin else None,
        )
        check_teachers(config, corpus)
        return config, planned.teachers

    def _source_run(self) -> "Source | None":
        """Return the run to begin with; raises `UsageError` for flags that are not for it."""
        if self.carried_from is None:
            return None
        from wavemore.runs.source import find_source

        if self.teachers:
            raise UsageError("--from and --teachers are two ways to use other runs: leave out one of them")
        source = find_source(self.carried_from)
        model = source.config.model
        if self.model not in ("auto", model):
            raise UsageError(f"--model is {self.model}, and {source.run.path} has the model {model}: leave --model out")
        return source

    def _plan(self, corpus: "Corpus", begin: "Source | None") -> "Plan":
        from wavemore.engine.plan import plan

        if self.minutes is not None and self.teachers:
            raise UsageError(
                "--minutes cannot plan for --teachers, as the time for the teachers' probabilities is not known: "
                "leave out one of the two"
            )
        elapsed, settings, device = monotonic() - started(), self._settings(), self._usable_device()
        if begin is not None:
            settings |= {"model": begin.config.model, "carried": begin.config.model_config}
        return plan(corpus, self.preset, minutes=self.minutes, elapsed=elapsed, device=device, **settings)

    def _settings(self) -> dict[str, Any]:
        settings = given(self.architecture) | given(self.training)
        if self.model != "auto":
            settings["model"] = self.model
        if self.epochs != "auto":
            settings["epochs"] = self.epochs
        if self.teachers:
            settings.setdefault("distill_weight", 0.5)
        elif settings.get("distill_weight"):
            raise UsageError("--distill-weight is for distillation: name the teachers with --teachers")
        return settings
