"""`wavemore train`: a list in, a trained model in a run folder, new lines out."""

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore import __version__
from wavemore.cli.options import flags_of, given
from wavemore.cli.screen import Screen, losses, seconds
from wavemore.engine.recipe import Recipe
from wavemore.errors import TrainingError, UsageError
from wavemore.nn.config import TreeConfig

if TYPE_CHECKING:
    from wavemore.engine.fit import Checkpoint, Progress
    from wavemore.lab.runs import Run
    from wavemore.nn.tree import Tree
    from wavemore.text.corpus import Corpus

TreeFlags: Any = flags_of(TreeConfig)
RecipeFlags: Any = flags_of(Recipe)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model on a list, one thing a line, and keep everything in a run folder.

    Example: wavemore train list.txt --epochs 20 --run runs/mine
    """

    data: Positional[str] = "names"
    """A text file with one thing a line, or a data set: names, makemore-names."""
    run: str | Literal["auto"] = "auto"
    """The run folder; auto: a new one in runs/."""
    resume: bool = False
    """Go on with a run where it was stopped (without --run: the latest); begins it where nothing was done yet."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    note: str = ""
    """A few words that `wavemore log` shows with the run."""
    split: Literal["distinct", "lecture"] = "distinct"
    """80/10/10: distinct (no line in two parts) or lecture (the lecture's own split, duplicates and all)."""
    split_seed: int = 0
    """Another seed, other lines in train, val and test (split distinct)."""
    encoding: str = "utf-8"
    """Encoding of the file."""
    recipe: Literal["auto", "lecture"] = "auto"
    """auto: settings that fit the data; lecture: those of Karpathy's lecture (about six minutes)."""
    model: Literal["tree"] = "tree"
    """The kind of model."""
    tree: OmitArgPrefixes[TreeFlags] = field(default_factory=TreeFlags)
    """The model; auto fits the data."""
    context: Annotated[int | Literal["auto"], arg(metavar="N")] = "auto"
    """Characters that a prediction sees: the product of --fuse; alone, a power of 2, fused in pairs."""
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)
    """The training; auto fits the data."""
    epochs: Annotated[float | Literal["auto"], arg(metavar="X")] = "auto"
    """Passes over the training lines, instead of --steps."""
    device: str = "cpu"
    """cpu, or what torch calls another one: cuda, cuda:1, mps."""
    threads: int | Literal["auto"] = "auto"
    """Processor threads; auto: as many as torch takes."""
    json: bool = False
    """At the end print the summary as JSON; all other words go to standard error."""

    def run_command(self) -> int:
        """Train, or go on training."""
        import torch

        from wavemore.lab.runs import Run, find_run, next_run_path

        _check_device(self.device)
        if self.threads != "auto":
            if self.threads < 1:
                raise UsageError(f"threads is {self.threads}; it must be at least 1")
            torch.set_num_threads(self.threads)
        screen = Screen(stderr=self.json)
        if self.run != "auto":
            run = Run(Path(self.run))
        elif self.resume:
            run = find_run()
        else:
            run = Run(next_run_path(_name_of(self.data)))
        if self.resume and run.exists():
            with run.lock():
                return self._go_on(run, screen)
        if not self.overwrite:
            run.check_free()
        corpus, config = self._prepare()
        with run.lock():
            if self.overwrite:
                run.delete()
            run.create(config, corpus)
            _introduce(screen, run, corpus)
            return _train(run, corpus, None, screen, self.json)

    def _prepare(self) -> tuple["Corpus", Any]:
        import torch

        from wavemore.engine.plan import plan
        from wavemore.lab.config import FORMAT, Config, DataConfig
        from wavemore.text.datasets import load

        corpus = load(self.data, split=self.split, split_seed=self.split_seed, encoding=self.encoding)
        chosen = plan(corpus, self.recipe, self._settings())
        config = Config(
            format=FORMAT,
            wavemore=__version__,
            command=("wavemore", *sys.argv[1:]),
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            data=DataConfig(
                source=corpus.source or self.data,
                name=corpus.name,
                sha256=corpus.sha256,
                encoding=corpus.encoding,
                split=self.split,
                split_seed=self.split_seed,
                longest=corpus.report.longest,
            ),
            model=self.model,
            settings=chosen.tree,
            recipe=chosen.recipe,
            device=self.device,
            threads=torch.get_num_threads(),
            note=self.note,
        )
        return corpus, config

    def _settings(self) -> dict[str, Any]:
        settings = given(self.tree) | given(self.training)
        for name in ("context", "epochs"):
            if getattr(self, name) != "auto":
                settings[name] = getattr(self, name)
        return settings

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
        corpus = run.corpus()
        self._check_same(config, corpus)
        torch.set_num_threads(config.threads)
        checkpoint = run.checkpoint()
        _introduce(screen, run, corpus)
        done = json.loads(checkpoint.facts)["step"] if checkpoint else 0
        screen.say(f"resuming after step {done:,} of {config.recipe.steps:,}")
        return _train(run, corpus, checkpoint, screen, self.json)

    def _check_same(self, config: Any, corpus: "Corpus") -> None:
        """A resumed run keeps its settings: flags that say something else are refused, not ignored."""
        from wavemore.engine.plan import plan

        asked = self._settings()
        planned = plan(corpus, self.recipe, asked)
        if "epochs" in asked:
            asked["steps"] = planned.recipe.steps
        if "context" in asked:
            asked["fuse"] = planned.tree.fuse
        kept = asdict(config.settings) | asdict(config.recipe)
        for name, value in asked.items():
            if name in kept and kept[name] != value:
                flag = name.replace("_", "-")
                raise UsageError(
                    f"this run has {flag} {_shown(kept[name])}, not {_shown(value)}: "
                    f"leave --{flag} out to resume it, or train another --run"
                )


def _train(run: "Run", corpus: "Corpus", checkpoint: "Checkpoint | None", screen: Screen, as_json: bool) -> int:
    from wavemore.engine.fit import fit
    from wavemore.lab.runs import Recorder

    config = run.config
    model = run.new_model()
    recorder = Recorder(run, checkpoint)
    stopped = False
    with _interrupts() as interrupted, _display(screen, config.recipe.steps, recorder.seconds_before) as show:
        try:
            for progress in fit(model, corpus, config.recipe, resume=checkpoint):
                recorder.add(progress)
                show(progress)
                if interrupted() and progress.step < progress.steps:
                    recorder.save()
                    stopped = True
                    break
        except TrainingError as error:
            where = run.path / "model.safetensors"
            kept = f"is in {where}" if where.exists() else "does not exist yet: nothing was evaluated before"
            raise TrainingError(f"{error} {kept}") from None
    if stopped:
        again = shlex.join(["wavemore", "train", "--resume", "--run", str(run.path)])
        screen.say(f"\nstopped after step {recorder.last_step:,}; what was learned is kept. Go on with:\n  {again}")
        return 130
    return _finish(run, model, corpus, recorder, screen, as_json)


def _finish(run: "Run", model: "Tree", corpus: "Corpus", recorder: Any, screen: Screen, as_json: bool) -> int:
    from wavemore.engine.evaluate import evaluate
    from wavemore.engine.generate import generate
    from wavemore.engine.sampling import Sampling
    from wavemore.lab.environment import environment
    from wavemore.lab.runs import Summary

    train, val = evaluate(model, corpus.train), evaluate(model, corpus.val)
    summary = Summary(
        train_nats=train.nats,
        val_nats=val.nats,
        leak_free_val_nats=val.leak_free_nats if val.leak_free_targets else None,
        parameters=model.parameter_count(),
        steps=run.config.recipe.steps,
        best_step=recorder.best_step,
        train_seconds=round(recorder.train_seconds, 3),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        environment=environment(),
    )
    sampling = Sampling(max_length=corpus.report.longest, seed=run.config.recipe.seed)
    samples = list(generate(model, corpus.vocabulary, 10, sampling, corpus.line_hashes))
    run.finish(summary, [sample.text for sample in samples])
    if as_json:
        print(json.dumps({"run": str(run.path), **asdict(summary)}, indent=1))
    screen.say(f"\ntrain  {losses(train.nats)}")
    screen.say(f"val    {losses(val.nats)}", style="bold")
    if val.leak_free_targets not in (0, val.targets):
        screen.say(f"       {losses(val.leak_free_nats)}, on lines that train does not hold")
    screen.say(
        f"trained for {seconds(summary.train_seconds)}; kept the state after step {summary.best_step:,} of "
        f"{summary.steps:,}, the one with the best val loss\n"
    )
    width = max((len(sample.text) for sample in samples), default=0)
    for sample in samples:
        screen.say(f"  {sample.text:<{width}}  {'new' if sample.new else 'known'}")
    path = shlex.quote(str(run.path))
    screen.say(
        f"\nnext:\n  wavemore sample {path} -n 20 --new --distinct\n"
        f"  wavemore score {path} {shlex.quote(corpus.val.lines[0])}\n  wavemore evaluate {path}\n  wavemore log"
    )
    return 0


def _introduce(screen: Screen, run: "Run", corpus: "Corpus") -> None:
    config = run.config
    tree, recipe = config.settings, config.recipe
    model = run.new_model()
    epochs = recipe.steps * recipe.batch_size / corpus.train.targets
    parts = f"{len(corpus.train.lines):,} train, {len(corpus.val.lines):,} val, {len(corpus.test.lines):,} test lines"
    screen.say(f"data    {corpus.name}: {corpus.report}")
    screen.say(f"split   {config.data.split}: {parts}")
    screen.say(
        f"model   {config.model}: {tree.context} characters fused {' x '.join(map(str, tree.fuse))}, "
        f"embedding {tree.embedding}, hidden {tree.hidden}, {tree.norm} norm, {tree.activation}"
        f"{f', dropout {tree.dropout:g}' if tree.dropout else ''}; {model.parameter_count():,} parameters"
    )
    rates = f"learning rate {recipe.learning_rate:g}"
    if recipe.optimizer == "muon":
        rates += f" (rest {recipe.rest_learning_rate:g})"
    screen.say(
        f"recipe  {recipe.optimizer}, {epochs:.3g} epochs = {recipe.steps:,} steps of {recipe.batch_size:,} "
        f"characters, {rates}, {recipe.schedule}, weight decay {recipe.weight_decay:g}, seed {recipe.seed}"
    )
    screen.say(f"run     {run.path}")


@contextmanager
def _interrupts() -> Iterator[Any]:
    """The first Ctrl-C (or termination) is noted, so that no step is cut in half; the second one stops at once."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _display(screen: Screen, steps: int, seconds_before: float) -> Iterator[Any]:
    """A moving bar on a terminal, a line an evaluation elsewhere."""
    if not screen.live:

        def line(progress: "Progress") -> None:
            if progress.val_nats is not None:
                spent = seconds(seconds_before + progress.seconds)
                left = seconds(progress.seconds / progress.steps_here * (steps - progress.step))
                screen.say(
                    f"step {progress.step:>7,} of {steps:,}  train {progress.train_nats:.4f}  "
                    f"val {progress.val_nats:.4f}{' *' if progress.is_best else '  '}  "
                    f"{progress.chars_per_second:,.0f} chars/s  {spent} so far, {left} left"
                )

        yield line
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn("{task.fields[what]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,}/{task.total:,} steps  {task.fields[losses]}"),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=screen.console, refresh_per_second=8, transient=False) as bar:
        task = bar.add_task("train", total=steps, what="training", losses="")
        val = "  …   "

        def move(progress: "Progress") -> None:
            nonlocal val
            if progress.val_nats is not None:
                val = f"{progress.val_nats:.4f}"
            speed = f"{progress.chars_per_second:,.0f} chars/s"
            bar.update(task, completed=progress.step, losses=f"train {progress.train_nats:.4f}  val {val}  {speed}")

        yield move


def _check_device(name: str) -> None:
    import torch

    try:
        torch.zeros(1, device=torch.device(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None


def _name_of(data: str) -> str:
    """A run's name from its data: `lists/My names.txt` -> `My-names`."""
    stem = "".join(character if character.isalnum() else "-" for character in Path(data).stem).strip("-")
    return stem or "run"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
