"""`wavemore inspect`: see inside a run, or a model that is not trained yet."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore.cli.options import Flag, ModelFlags, Number, flags_of, given
from wavemore.cli.screen import Screen, table, visible
from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError, UsageError
from wavemore.nn.config import ModelName

if TYPE_CHECKING:
    from wavemore.inspection.result import Inspection
    from wavemore.runs.record import Record

RecipeFlags: Any = flags_of(Recipe)


@dataclass(frozen=True, kw_only=True)
class Inspect(ModelFlags):
    """See inside a run, or a fresh model: every layer's shape and numbers, the tree, and what is wrong, in words.

    Example: wavemore inspect runs/names-1   (or: wavemore inspect --model tree --fuse 2 2 2 --hidden 128 list.txt)
    """

    what: Annotated[Positional[str], arg(name="run-or-data", metavar="[RUN|DATA]", help_behavior_hint="")] = "auto"
    """A run folder, or its name in runs/ (without one: the latest run). With --model: the text file or data set whose
    lines, or whose text, go through the model (without one: names)."""
    model: Literal["none", ModelName] = "none"
    """Look at a fresh model of this kind instead of a run; the flags below say which."""
    plot: Annotated[str | Literal["none"], arg(metavar="FOLDER")] = "none"
    """Write the figures to this folder: activations, gradients, update ratios, learning curve, tree."""
    json: Flag = False
    """Print the numbers as JSON: layers, losses, findings, ..."""
    text: Literal["auto", "lines", "stream"] = "auto"
    """What the data of --model holds: lines (one thing each), stream (one text), or auto: what it looks like."""
    split: Literal["distinct", "lecture"] = "distinct"
    """How the data of --model is split."""
    split_seed: Number = 0
    """Another seed, other lines in train, val and test (split distinct)."""
    encoding: Annotated[str, arg(metavar="NAME")] = "utf-8"
    """Encoding of the file."""
    recipe: Literal["auto", "lecture"] = "auto"
    """auto: settings that fit the data; lecture: those of Karpathy's lecture."""
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)
    """The training, of which one step is taken; auto fits the data."""

    def run_command(self) -> int:
        """Print the table, the tree and the findings."""
        screen = Screen(stderr=self.json)
        if self.plot != "none":
            _require_matplotlib()
        with screen.busy("forwards and backwards"):
            found, records = self._of_run() if self.model == "none" else self._of_model()
        written = _write_figures(Path(self.plot), found, records) if self.plot != "none" else []
        if self.json:
            print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1, allow_nan=False))
        else:
            _show(screen, found)
        for path in written:
            screen.say(f"wrote {path}")
        return 0

    def _of_run(self) -> "tuple[Inspection, list[Record]]":
        from wavemore.inspection.inspect import inspect_run
        from wavemore.runs.find import find_run

        settings = self._settings() | {
            name: value
            for name in ("text", "split", "split_seed", "encoding", "recipe")
            if (value := getattr(self, name)) != getattr(Inspect, name)
        }
        if settings:
            flag = next(iter(settings)).replace("_", "-")
            raise UsageError(f"a run has its settings already: leave --{flag} out, or look at a fresh --model tree")
        try:
            run = find_run("latest" if self.what == "auto" else self.what)
        except RunError as error:
            raise RunError(f"{error}; to look at a fresh model: wavemore inspect --model tree") from None
        return inspect_run(run), run.metrics()

    def _of_model(self) -> "tuple[Inspection, list[Record]]":
        from wavemore.engine.plan import plan
        from wavemore.inspection.inspect import inspect_model
        from wavemore.nn.models import build
        from wavemore.runs.memory_check import check_fits
        from wavemore.text.continuous import TextStream
        from wavemore.text.corpus import Corpus
        from wavemore.text.datasets import detect_text, load, load_text

        data = "names" if self.what == "auto" else self.what
        detected = detect_text(data, self.encoding) if self.text == "auto" else None
        corpus: Corpus | TextStream
        if self.text == "stream" or (detected is not None and detected.kind == "stream"):
            corpus = load_text(data, encoding=self.encoding)
        else:
            corpus = load(data, split=self.split, split_seed=self.split_seed, encoding=self.encoding)
        chosen = plan(corpus, self.recipe, {"model": self.model, **self._settings()})
        check_fits(len(corpus.vocabulary), chosen.settings)
        model = build(self.model, len(corpus.vocabulary), chosen.settings, seed=chosen.recipe.seed)
        title = f"fresh {self.model} on {corpus.name}"
        return inspect_model(model, corpus, recipe=chosen.recipe, title=title), []

    def _settings(self) -> dict[str, Any]:
        return self.model_settings() | given(self.training)


SPARE = ("numbers", "mean")


def _show(screen: Screen, found: "Inspection") -> None:
    from wavemore.inspection.result import HEADER, TEXT

    screen.say(f"{visible(found.title)}: {found.parameters:,} parameters, {found.sees}")
    width = min(screen.width, 100) - 1
    for line in wrap(found.legend, width):
        screen.say(line)
    screen.say("")
    screen.say(table(screen, HEADER, found.rows(), left=[HEADER[place] for place in TEXT], spare=SPARE))
    screen.say("\nflat: share of values at which the activation is saturated")
    screen.say("grad: standard deviation of the gradient of one example's loss by the output")
    screen.say("update: log10 of how far a step moves the weights, by their size")
    if found.tree:
        screen.say(f"\n{found.tree}")
    screen.say(f"\n{found.verdict}")
    for finding in found.told:
        where = f" ({visible(finding.where)})" if finding.where else ""
        screen.say(f"\n{finding.kind}{where}", style="bold")
        for line in wrap(visible(finding.words), width - 2):
            screen.say(f"  {line}")


def _require_matplotlib() -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError("figures need matplotlib: pip install 'wavemore[plot]'")


def _write_figures(folder: Path, found: "Inspection", records: "list[Record]") -> list[Path]:
    """Write one PNG a figure; those that have nothing to show are left out."""
    from wavemore import plots
    from wavemore.files import write_atomic

    figures = {
        "activations": plots.activation_histograms(found.activations),
        "gradients": plots.gradient_histograms(found.gradients),
    }
    if any(record.get("update_ratios") for record in records):
        figures["update-ratios"] = plots.update_ratios(records)
    if records:
        figures["learning-curve"] = plots.learning_curves({found.title: records})
    if found.fuse:
        figures["tree"] = plots.tree(found.fuse, found.line)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}; take another --plot") from None
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        write_atomic(path, plots.to_png(figure))
    return paths
