"""`wavemore train`: a list or a text in, a trained model in a run folder, new lines or text out."""

import json
import shlex
import sys
from collections.abc import Sequence
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
    from wavemore.nn.model import Model
    from wavemore.runs.config import DataConfig, TeacherConfig
    from wavemore.runs.recorder import Recorder
    from wavemore.runs.run import Run
    from wavemore.runs.tensorboard import Board
    from wavemore.text.continuous import TextStream
    from wavemore.text.corpus import Corpus
    from wavemore.text.detect import Detected, TextKind

RecipeFlags: Any = flags_of(Recipe)

NOBODY = ("",)
"""The teachers where none are asked for; `--teachers` without a name, as of an empty folder, is a mistake."""


@dataclass(frozen=True, kw_only=True)
class Train(ModelFlags):
    """Train a model on a list, one thing a line, or on continuous text, and keep everything in a run folder.

    Example: wavemore train list.txt --epochs 20 --run runs/mine
    """

    data: Annotated[Positional[str], arg(metavar="[DATA]")] = "names"
    """A text file, or a data set: names, makemore-names, tinyshakespeare."""
    text: Literal["auto", "lines", "stream"] = "auto"
    """What the file holds: lines (one thing each), stream (one continuous text), or auto: what it looks like."""
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
    split_share: Annotated[float | Literal["auto"], arg(metavar="X")] = "auto"
    """Of a continuous text: the share, from its beginning, that is trained on (auto: 0.9); the rest is val."""
    encoding: Annotated[str, arg(metavar="NAME")] = "utf-8"
    """Encoding of the file."""
    recipe: Literal["auto", "lecture"] = "auto"
    """auto: settings that fit the data; lecture: those of Karpathy's lecture (about six minutes)."""
    model: Literal["auto", ModelName] = "auto"
    """The kind of model: tree (as in the lecture), wavenet (as in the paper), or one that they must beat; auto: a tree
    for a list, an lstm for a text."""
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)
    """The training; auto fits the data."""
    teachers: Annotated[tuple[str, ...], arg(metavar="RUN [RUN ...]", help_behavior_hint="")] = NOBODY
    """Distillation: finished runs, experiments or folders of runs, whose mean probability is a part of each target."""
    epochs: Annotated[float | Literal["auto"], arg(metavar="X")] = "auto"
    """Passes over the training lines, instead of --steps."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """cpu, or what torch calls another one: cuda, cuda:1, mps."""
    threads: Annotated[int | Literal["auto"], arg(metavar="N")] = "auto"
    """Processor threads; auto: one, as small models gain nothing by more; up to four from --hidden 256 on, and for
    texts with all but tiny models."""
    tensorboard: Flag = False
    """Write the records for TensorBoard too, into the run folder."""
    json: Flag = False
    """At the end print the summary as JSON; all other words go to standard error."""

    def run_command(self) -> int:
        """Train, or go on training."""
        from wavemore.engine.process import set_threads
        from wavemore.runs.find import find_runs, new_run
        from wavemore.runs.run import Run

        if not self.teachers:
            raise UsageError("--teachers needs a run or more that teach: name them, or leave it out")
        if self.resume and self.overwrite:
            raise UsageError("--resume goes on with a run and --overwrite removes it: give one of them")
        _check_device(self.device)
        if self.tensorboard:
            from wavemore.runs.tensorboard import require_tensorboard

            require_tensorboard()
        if self.threads != "auto":
            if not 1 <= self.threads <= 4096:
                raise UsageError(f"threads is {self.threads}; it must be at least 1 and at most 4096")
            set_threads(self.threads)
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
        detected = self._detected()
        kind: TextKind = "stream" if self._is_stream(detected) else "lines"
        corpus, config = self._prepare(kind)
        run = run or new_run(_name_of(self.data))
        with run.lock():
            run.create(config, corpus, overwrite=self.overwrite)
            model = run.new_model()
            usual = "" if self.model != "auto" or kind == "lines" else "; --model takes another"
            _introduce(screen, run, model, corpus, _text_words(self.text, detected), usual)
            return self._train(run, model, corpus, None, screen)

    def _detected(self) -> "Detected | None":
        from wavemore.text.datasets import detect_text

        return detect_text(self.data, self.encoding)

    def _is_stream(self, detected: "Detected | None") -> bool:
        """Whether the data is one text; flags that are for the other kind are refused."""
        seen = "lines" if detected is None else detected.kind
        is_stream = (seen if self.text == "auto" else self.text) == "stream"
        if is_stream and (self.split, self.split_seed) != (Train.split, Train.split_seed):
            flag = "split" if self.split != Train.split else "split-seed"
            raise UsageError(
                f"--{flag} is for lists, and this is one text ({self._by(detected)}): take --split-share, "
                "or --text lines"
            )
        if not is_stream and self.split_share != "auto":
            raise UsageError(
                f"--split-share is for continuous text, and this is a list ({self._by(detected)}): take --split, "
                "or --text stream"
            )
        return is_stream

    def _by(self, detected: "Detected | None") -> str:
        return f"--text {self.text}" if self.text != "auto" or detected is None else detected.why

    def _prepare(self, kind: "TextKind") -> tuple["Corpus | TextStream", Any]:
        from wavemore.engine.plan import plan, worth_threads
        from wavemore.engine.process import set_threads
        from wavemore.runs.environment import cores
        from wavemore.runs.memory_check import check_fits
        from wavemore.runs.teachers import check_teachers
        from wavemore.runs.training import config_of, data_config
        from wavemore.text.continuous import SHARE
        from wavemore.text.datasets import load, load_text

        corpus: Corpus | TextStream
        if kind == "stream":
            share = SHARE if self.split_share == "auto" else self.split_share
            corpus = load_text(self.data, share=share, encoding=self.encoding)
        else:
            corpus = load(self.data, split=self.split, split_seed=self.split_seed, encoding=self.encoding)
        chosen = plan(corpus, self.recipe, self._named() | self._settings() | self._teacher_share())
        check_fits(len(corpus.vocabulary), chosen.settings)
        if self.threads == "auto":
            set_threads(min(4, cores()) if worth_threads(chosen) else 1)
        data = data_config(corpus, self.data, self.split, self.split_seed)
        config = config_of(
            chosen,
            data,
            command=("wavemore", *sys.argv[1:]),
            device=self.device,
            note=self.note,
            experiment=self.experiment,
            teachers=self._teachers(data),
        )
        check_teachers(config, corpus)
        return corpus, config

    def _named(self) -> dict[str, str]:
        return {} if self.model == "auto" else {"model": self.model}

    def _teacher_share(self) -> dict[str, float]:
        """What `auto` means, where there are teachers; a share of what nobody teaches is refused."""
        asked = given(self.training).get("teacher_share")
        if asked and self.teachers == NOBODY:
            raise UsageError(f"--teacher-share {asked:g} is for a student: say with --teachers which runs teach it")
        return {"teacher_share": 0.5} if self.teachers != NOBODY and asked is None else {}

    def _teachers(self, data: "DataConfig") -> "tuple[TeacherConfig, ...]":
        from wavemore.runs.teachers import find_teachers

        if self.teachers == NOBODY:
            return ()
        return find_teachers(self.teachers, data, None if self.run == "auto" else Path(self.run))

    def _settings(self) -> dict[str, Any]:
        epochs = {} if self.epochs == "auto" else {"epochs": self.epochs}
        return self.model_settings() | given(self.training) | epochs

    def _go_on(self, run: "Run", screen: Screen) -> int:
        from wavemore.engine.process import set_threads
        from wavemore.runs.teachers import check_teachers

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
        corpus = run.data()
        self._check_same_settings(config, corpus)
        if self.teachers != NOBODY and self._teachers(config.data) != config.teachers:
            raise _not_same("teachers", [teacher.run for teacher in config.teachers] or "none", list(self.teachers))
        check_teachers(config, corpus)
        set_threads(config.threads)
        checkpoint, model = run.checkpoint(), run.new_model()
        _introduce(screen, run, model, corpus, config.data.text if config.data.text == "stream" else "")
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
        kept |= {"text": config.data.text, "split_share": config.data.share}
        for name in ("text", "split", "split_seed", "split_share", "encoding", "device", "threads"):
            value = getattr(self, name)
            if value not in (getattr(Train, name), kept[name]):
                raise _not_same(name, kept[name], value)

    def _check_same_settings(self, config: Any, corpus: "Corpus | TextStream") -> None:
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
            preset = {name: value for name, value in asdict(planned.recipe).items() if name != "teacher_share"}
            asked = planned.settings.values() | preset | asked
        kept = config.settings.values() | asdict(config.recipe)
        for name, value in asked.items():
            if name in kept and kept[name] != value:
                raise _not_same(name, kept[name], value)

    def _train(
        self, run: "Run", model: "Model", corpus: "Corpus | TextStream", checkpoint: "Checkpoint | None", screen: Screen
    ) -> int:
        from wavemore.runs.recorder import Recorder
        from wavemore.runs.teachers import teach
        from wavemore.runs.training import train

        recipe = run.config.recipe
        with screen.busy("the teachers' probabilities") if run.config.teachers else nullcontext():
            lessons = teach(run.config, corpus)
        recorder = Recorder(run, checkpoint, seconds=0.0 if lessons is None else lessons.seconds)
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
                for progress in train(run, model, corpus, recorder, None if lessons is None else lessons.soft_targets):
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
        from wavemore.runs.tensorboard import Board

        return Board(run, recorder.records) if self.tensorboard else nullcontext()


def _not_same(name: str, kept: Any, asked: Any) -> UsageError:
    flag = name.replace("_", "-")
    return UsageError(
        f"this run has {flag} {_shown(kept)}, not {_shown(asked)}: "
        f"leave --{flag} out to resume it, or train another --run"
    )


def _finish(
    run: "Run", model: "Model", corpus: "Corpus | TextStream", recorder: Any, screen: Screen, as_json: bool
) -> int:
    from wavemore.runs.training import finish, train_to_evaluate
    from wavemore.text.continuous import TextStream

    with screen.busy("exact losses of train and val"):
        summary, val, samples = finish(run, model, corpus, recorder)
    if as_json:
        print(json.dumps({"run": str(run.path), **asdict(summary)}, indent=1))
    of = f", on its last {train_to_evaluate(corpus).targets:,} characters" if isinstance(corpus, TextStream) else ""
    screen.say(f"\ntrain  {losses(summary.train_nats)}{of}")
    screen.say(f"val    {losses(val.nats)}", style="bold")
    if val.leak_free_targets not in (0, val.targets):
        screen.say(f"       {losses(val.leak_free_nats)}, on lines that train does not hold")
    screen.say(
        f"trained for {seconds(summary.train_seconds)}; kept the state after step {summary.best_step:,} of "
        f"{summary.steps:,}, the one with the best val loss\n"
    )
    path = shlex.quote(str(run.path))
    if isinstance(corpus, TextStream):
        for row in samples[0].text.split("\n"):
            screen.say(f"  {visible(row)}")
        screen.say(f"\nnext:\n  wavemore sample {path} --length 500\n  wavemore evaluate {path}\n  wavemore log")
        return 0
    _show_lines(screen, samples)
    screen.say(f"\nnext:\n  wavemore sample {path} -n 20 --new --distinct")
    for line in corpus.val.lines:
        if len(line) <= 40 and line.isprintable():
            screen.say(f"  wavemore score {path} {'-- ' if line.startswith('-') else ''}{shlex.quote(line)}")
            break
    screen.say(f"  wavemore evaluate {path}\n  wavemore log")
    return 0


def _show_lines(screen: Screen, samples: "Sequence[Any]") -> None:
    texts = [visible(sample.text) for sample in samples]
    width = max(map(cells, texts), default=0)
    for sample, text in zip(samples, texts, strict=True):
        screen.say(f"  {padded(text, width)}  {'new' if sample.new else 'known'}")


def _introduce(
    screen: Screen, run: "Run", model: "Model", corpus: "Corpus | TextStream", text: str, usual: str = ""
) -> None:
    from wavemore.runs.entry import teacher_words
    from wavemore.text.continuous import TextStream

    config = run.config
    recipe = config.recipe
    epochs = recipe.steps * recipe.batch_size / corpus.train.targets
    if isinstance(corpus, TextStream):
        parts = f"{corpus.train.targets:,} train, {corpus.val.targets:,} val characters"
        how = f"{recipe.batch_size // recipe.stretch:,} stretches of {recipe.stretch:,}"
        batch = f"{recipe.batch_size:,} characters ({how}, {recipe.lead_in:,} more seen before each)"
    else:
        sizes = [f"{len(part.lines):,}" for part in (corpus.train, corpus.val, corpus.test)]
        parts = f"{sizes[0]} train, {sizes[1]} val, {sizes[2]} test lines"
        batch = f"{recipe.batch_size:,} characters"
    screen.say(f"data    {corpus.name}: {corpus.report}")
    if text:
        screen.say(f"text    {text}")
    split = config.data.split if config.data.share is None else config.data.split_words
    screen.say(f"split   {split}: {parts}")
    if isinstance(corpus, TextStream) and (doubt := _doubt(corpus.val.targets, config.settings.receptive_field)):
        screen.say(f"note    {doubt}")
    if config.model == "ngram":
        screen.say(f"model   ngram: {config.settings.words}; counted in one pass")
        screen.say(f"run     {run.path}")
        return
    screen.say(f"model   {config.model}: {config.settings.words}; {model.parameter_count():,} parameters{usual}")
    rates = f"learning rate {recipe.learning_rate:g}"
    if recipe.optimizer == "muon":
        rates += f" (rest {recipe.rest_learning_rate:g})"
    screen.say(
        f"recipe  {recipe.optimizer}, {epochs:.3g} epochs = {recipe.steps:,} steps of {batch}, "
        f"{rates}, {recipe.schedule}, weight decay {recipe.weight_decay:g}, {recipe.precision}, seed {recipe.seed}"
    )
    if config.teachers:
        screen.say(
            f"taught  by {teacher_words(config)}, {100 * recipe.teacher_share:g} % of each target; "
            f"they were trained for {seconds(sum(teacher.train_seconds for teacher in config.teachers))}"
        )
    screen.say(f"run     {run.path}")


def _doubt(targets: int, seen: int | None) -> str:
    """What makes the val loss of a text uncertain; nothing where little does."""
    if targets >= FEW:
        return ""
    # The surprise of a character has a deviation of about 1.5 nats, and characters are not independent.
    doubt = f"of {targets:,} val characters the loss is uncertain by {1.5 / targets**0.5:.2f} nats or more"
    if seen is not None and seen > targets:
        doubt += f", and no character has all {seen:,} before it that the model can see"
    return f"{doubt}: a longer text says more"


FEW = 5_000
"""Val characters of a text, whose loss is known to 0.02 nats at best."""


def _text_words(asked: str, detected: "Detected | None") -> str:
    """What the file looks like, and what it is taken for."""
    if detected is None:
        return "stream, as asked: a data set of lines" if asked == "stream" else ""
    looks = {"lines": "a list", "stream": "continuous text"}[detected.kind]
    if asked == "auto":
        other = "stream" if detected.kind == "lines" else "lines"
        return f"{detected.kind}: it looks like {looks} ({detected.why}); otherwise --text {other}"
    if asked == detected.kind:
        return f"{asked}, as asked"
    return f"{asked}, as asked, although it looks like {looks} ({detected.why})"


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
