"""`wavemore train`: a list in, a trained model in a run folder, new lines out."""

import json
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore.cli.options import Flag, ModelFlags, Number, Words, flags_of, given
from wavemore.cli.progress import display, interrupts
from wavemore.cli.screen import Screen, cells, losses, padded, seconds, visible
from wavemore.engine.recipe import Recipe
from wavemore.errors import TrainingError, UsageError
from wavemore.nn.config import ModelName, TreeConfig

if TYPE_CHECKING:
    from wavemore.engine.fit import Checkpoint
    from wavemore.lab.board import Board
    from wavemore.lab.recorder import Recorder
    from wavemore.lab.runs import Run
    from wavemore.nn.model import Model
    from wavemore.text.corpus import Corpus

RecipeFlags: Any = flags_of(Recipe)


@dataclass(frozen=True, kw_only=True)
class Train(ModelFlags):
    """Train a model on a list, one thing a line, and keep everything in a run folder.

    Example: wavemore train list.txt --epochs 20 --run runs/mine
    """

    data: Annotated[Positional[str], arg(metavar="[DATA]")] = "names"
    """A text file with one thing a line, or a data set: names, makemore-names."""
    run: Annotated[str | Literal["auto"], arg(metavar="FOLDER")] = "auto"
    """The run folder; auto: a new one in runs/."""
    resume: Flag = False
    """Go on with a run where it was stopped (without --run: the latest); begins it where nothing was done yet."""
    overwrite: Flag = False
    """Replace the run that is in the folder."""
    note: Words = ""
    """A few words that `wavemore log` shows with the run."""
    experiment: Words = ""
    """What the run is one seed of: `wavemore log` and `wavemore compare` take runs of one name together."""
    split: Literal["distinct", "lecture"] = "distinct"
    """80/10/10: distinct (no line in two parts) or lecture (the lecture's own split, duplicates and all)."""
    split_seed: Number = 0
    """Another seed, other lines in train, val and test (split distinct)."""
    encoding: Annotated[str, arg(metavar="NAME")] = "utf-8"
    """Encoding of the file."""
    recipe: Literal["auto", "lecture"] = "auto"
    """auto: settings that fit the data; lecture: those of Karpathy's lecture (about six minutes)."""
    model: ModelName = "tree"
    """The kind of model: tree (as in the lecture), wavenet (as in the paper), or one that they must beat."""
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)
    """The training; auto fits the data."""
    epochs: Annotated[float | Literal["auto"], arg(metavar="X")] = "auto"
    """Passes over the training lines, instead of --steps."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """cpu, or what torch calls another one: cuda, cuda:1, mps."""
    threads: Annotated[int | Literal["auto"], arg(metavar="N")] = "auto"
    """Processor threads; auto: one, as small models gain nothing by more; from --hidden 256 on up to four."""
    tensorboard: Flag = False
    """Write the records for TensorBoard too, into the run folder."""
    json: Flag = False
    """At the end print the summary as JSON; all other words go to standard error."""

    def run_command(self) -> int:
        """Train, or go on training."""
        import torch

        from wavemore.lab.runs import Run, find_runs, new_run

        if self.resume and self.overwrite:
            raise UsageError("--resume goes on with a run and --overwrite removes it: give one of them")
        _check_device(self.device)
        if self.tensorboard:
            from wavemore.lab.board import require_tensorboard

            require_tensorboard()
        if self.threads != "auto":
            if not 1 <= self.threads <= 4096:
                raise UsageError(f"threads is {self.threads}; it must be at least 1 and at most 4096")
            torch.set_num_threads(self.threads)
        screen = Screen(stderr=self.json)
        run = Run(Path(self.run)) if self.run != "auto" else None
        if run is None and self.resume:
            run = next(reversed(find_runs()), None)
        if run is not None and run.exists():
            with run.lock():  # first: whoever trains there knows best what the folder is
                if self.resume:
                    return self._go_on(run, screen)
        if run is not None and not self.overwrite:
            run.check_free()
        corpus, config = self._prepare()
        run = run or new_run(_name_of(self.data))
        with run.lock():
            run.create(config, corpus, overwrite=self.overwrite)
            model = run.new_model()
            _introduce(screen, run, model, corpus)
            return self._train(run, model, corpus, None, screen)

    def _prepare(self) -> tuple["Corpus", Any]:
        import torch

        from wavemore.engine.plan import plan
        from wavemore.lab.environment import cores
        from wavemore.lab.memory import check_fits
        from wavemore.lab.training import config_of, data_config
        from wavemore.text.datasets import load

        corpus = load(self.data, split=self.split, split_seed=self.split_seed, encoding=self.encoding)
        chosen = plan(corpus, self.recipe, {"model": self.model, **self._settings()})
        check_fits(len(corpus.vocabulary), chosen.settings)
        if self.threads == "auto":
            torch.set_num_threads(min(4, cores()) if chosen.settings.width >= 256 else 1)
        config = config_of(
            chosen,
            data_config(corpus, self.data, self.split, self.split_seed),
            command=("wavemore", *sys.argv[1:]),
            device=self.device,
            note=self.note,
            experiment=self.experiment,
        )
        return corpus, config

    def _settings(self) -> dict[str, Any]:
        epochs = {} if self.epochs == "auto" else {"epochs": self.epochs}
        return self.model_settings() | given(self.training) | epochs

    def _go_on(self, run: "Run", screen: Screen) -> int:
        import torch

        config = run.config
        summary = run.summary()
        if summary is not None:
            screen.say(
                f"{run.path} is finished ({summary.steps:,} steps, val {losses(summary.val_nats)}): nothing to resume"
            )
            if self.json:
                print(json.dumps(asdict(summary), indent=1))
            return 0
        self._check_same_data(config)
        corpus = run.corpus()
        self._check_same_settings(config, corpus)
        torch.set_num_threads(config.threads)
        checkpoint, model = run.checkpoint(), run.new_model()
        _introduce(screen, run, model, corpus)
        done = json.loads(checkpoint.facts)["step"] if checkpoint else 0
        screen.say(f"resuming after step {done:,} of {config.recipe.steps:,}")
        return self._train(run, model, corpus, checkpoint, screen)

    def _check_same_data(self, config: Any) -> None:
        """A resumed run keeps its data: flags that say something else are refused, not ignored."""
        from wavemore.text.datasets import DATASETS

        source = self.data if self.data in DATASETS else str(Path(self.data).absolute())
        if self.data != Train.data and source != config.data.source:
            raise UsageError(
                f"this run was trained on {config.data.source}, not {source}: leave the data out to resume it, "
                "or train another --run"
            )
        kept = asdict(config.data) | {"device": config.device, "threads": config.threads}
        for name in ("split", "split_seed", "encoding", "device", "threads"):
            value = getattr(self, name)
            if value not in (getattr(Train, name), kept[name]):
                raise _not_same(name, kept[name], value)

    def _check_same_settings(self, config: Any, corpus: "Corpus") -> None:
        """And its settings."""
        from wavemore.engine.plan import plan

        asked = self._settings()
        if self.model not in (Train.model, config.model):
            raise _not_same("model", config.model, self.model)
        planned = plan(corpus, self.recipe, {"model": config.model, **asked})
        if "epochs" in asked:
            asked["steps"] = planned.recipe.steps
        if "context" in asked and isinstance(planned.settings, TreeConfig):
            asked["fuse"] = planned.settings.fuse
        if self.recipe != "auto":
            asked = planned.settings.values() | asdict(planned.recipe)
        kept = config.settings.values() | asdict(config.recipe)
        for name, value in asked.items():
            if name in kept and kept[name] != value:
                raise _not_same(name, kept[name], value)

    def _train(
        self, run: "Run", model: "Model", corpus: "Corpus", checkpoint: "Checkpoint | None", screen: Screen
    ) -> int:
        from wavemore.lab.recorder import Recorder
        from wavemore.lab.training import train

        recipe = run.config.recipe
        recorder = Recorder(run, checkpoint)
        again = shlex.join(["wavemore", "train", "--resume", "--run", str(run.path)])
        if self.tensorboard:
            again += " --tensorboard"
            screen.say(f"board   tensorboard --logdir {shlex.quote(str(run.path))}")
        try:
            with (
                interrupts() as interrupted,
                self._board(run, recorder) as board,
                display(screen, recipe.steps, recorder.seconds_before) as show,
            ):
                for progress in train(run, model, corpus, recorder):
                    show(progress)
                    if board is not None and progress.logged:
                        board.add(recorder.records[-1])
                    if interrupted() and progress.step < progress.steps:
                        recorder.save()
                        break
            if recorder.last_step < recipe.steps:
                screen.say(
                    f"\nstopped after step {recorder.last_step:,}; what was learned is kept. Go on with:\n  {again}"
                )
                return 128 + int(interrupted())
            return _finish(run, model, corpus, recorder, screen, self.json)
        except TrainingError as error:
            kept = (
                "the best state so far" if (run.path / "model.safetensors").exists() else "no model, only the settings,"
            )
            raise TrainingError(f"{error}; {kept} is in {run.path}") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; what was saved is kept. Go on with: {again}") from None

    def _board(self, run: "Run", recorder: "Recorder") -> AbstractContextManager["Board | None"]:
        from wavemore.lab.board import Board

        return Board(run, recorder.records) if self.tensorboard else nullcontext()


def _not_same(name: str, kept: Any, asked: Any) -> UsageError:
    flag = name.replace("_", "-")
    return UsageError(
        f"this run has {flag} {_shown(kept)}, not {_shown(asked)}: "
        f"leave --{flag} out to resume it, or train another --run"
    )


def _finish(run: "Run", model: "Model", corpus: "Corpus", recorder: Any, screen: Screen, as_json: bool) -> int:
    from wavemore.lab.training import finish

    with screen.busy("exact losses of train and val"):
        summary, val, samples = finish(run, model, corpus, recorder)
    if as_json:
        print(json.dumps({"run": str(run.path), **asdict(summary)}, indent=1))
    screen.say(f"\ntrain  {losses(summary.train_nats)}")
    screen.say(f"val    {losses(val.nats)}", style="bold")
    if val.leak_free_targets not in (0, val.targets):
        screen.say(f"       {losses(val.leak_free_nats)}, on lines that train does not hold")
    screen.say(
        f"trained for {seconds(summary.train_seconds)}; kept the state after step {summary.best_step:,} of "
        f"{summary.steps:,}, the one with the best val loss\n"
    )
    texts = [visible(sample.text) for sample in samples]
    width = max(map(cells, texts), default=0)
    for sample, text in zip(samples, texts, strict=True):
        screen.say(f"  {padded(text, width)}  {'new' if sample.new else 'known'}")
    path = shlex.quote(str(run.path))
    screen.say(f"\nnext:\n  wavemore sample {path} -n 20 --new --distinct")
    for line in corpus.val.lines:
        if len(line) <= 40 and line.isprintable():
            screen.say(f"  wavemore score {path} {'-- ' if line.startswith('-') else ''}{shlex.quote(line)}")
            break
    screen.say(f"  wavemore evaluate {path}\n  wavemore log")
    return 0


def _introduce(screen: Screen, run: "Run", model: "Model", corpus: "Corpus") -> None:
    config = run.config
    recipe = config.recipe
    epochs = recipe.steps * recipe.batch_size / corpus.train.targets
    parts = f"{len(corpus.train.lines):,} train, {len(corpus.val.lines):,} val, {len(corpus.test.lines):,} test lines"
    screen.say(f"data    {corpus.name}: {corpus.report}")
    screen.say(f"split   {config.data.split}: {parts}")
    screen.say(f"model   {config.model}: {config.settings.words}; {model.parameter_count():,} parameters")
    rates = f"learning rate {recipe.learning_rate:g}"
    if recipe.optimizer == "muon":
        rates += f" (rest {recipe.rest_learning_rate:g})"
    screen.say(
        f"recipe  {recipe.optimizer}, {epochs:.3g} epochs = {recipe.steps:,} steps of {recipe.batch_size:,} "
        f"characters, {rates}, {recipe.schedule}, weight decay {recipe.weight_decay:g}, seed {recipe.seed}"
    )
    screen.say(f"run     {run.path}")


def _check_device(name: str) -> None:
    import torch

    try:
        torch.zeros(1, device=torch.device(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None


def _name_of(data: str) -> str:
    """A run's name from its data: `lists/My names.txt` -> `My-names`."""
    stem = "".join(character if character.isalnum() else "-" for character in Path(data).stem).strip("-")
    return stem[:60] or "run"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
