"""`wavemore inspect`: the layers of a run, or of a model before training, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore.cli.data_flags import DataFlags, source_of
from wavemore.cli.model_flags import ModelFlags, ModelName, RecipeFlags
from wavemore.cli.options import NO_HINT, Flag, Folder, MovedData, Text, given, option_names
from wavemore.cli.progress import busy
from wavemore.cli.run_words import say_run
from wavemore.cli.screen import Screen, print_json, table
from wavemore.errors import RunError, UsageError
from wavemore.signs import visible

if TYPE_CHECKING:
    from wavemore.inspection.result import Inspection
    from wavemore.runs.record import Record
    from wavemore.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Show the shape and statistics of every layer, and any problems.

    Examples:
      wavemore inspect runs/names-1
      wavemore inspect --model tree --fuse 2 2 2 --hidden 128 list.txt
    """

    source: Annotated[Positional[Text], arg(metavar="[RUN|DATA]")] = None
    """a run folder or its name in runs/ (default: the latest); with --model: a text file or data set"""
    model: Annotated[ModelName | None, arg(metavar=f"{{{','.join(get_args(ModelName))}}}"), NO_HINT] = None
    """inspect an untrained model of this kind instead of a run; the settings below are for it"""
    preset: Annotated[Literal["auto", "lecture"], NO_HINT] = "auto"
    """auto: settings that suit the data; lecture: those of Karpathy's lecture"""
    plot: Folder = None
    """write figures to this folder: activations, gradients, update ratios, learning curve, tree"""
    json: Flag = False
    """print the numbers as JSON: layers, losses, findings, ..."""
    data: MovedData = None
    """where the data of the run is now, if it was moved"""
    reading: OmitArgPrefixes[DataFlags] = field(default_factory=DataFlags)
    architecture: OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    training: OmitArgPrefixes[RecipeFlags] = field(default_factory=RecipeFlags)

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the table of layers, the tree and the findings."""
        screen = Screen(stderr=self.json)
        if self.plot is not None:
            import wavemore.plots  # noqa: F401 (raises if matplotlib is missing)
        with busy("a forward and a backward pass", screen):
            inspection, run = self._run(arguments) if self.model is None else (self._new_model(self.model), None)
        records = [] if run is None else run.metrics()
        paths = [] if self.plot is None else _write_figures(Path(self.plot), inspection, records)
        if self.json:
            print_json(inspection.to_dict())
        else:
            _show(screen, inspection)
        for path in paths:
            screen.say(f"wrote {path}")
        if run is not None:
            say_run(run, is_named=self.source not in (None, "latest"))
        return 0

    def _run(self, arguments: Sequence[str]) -> "tuple[Inspection, Run]":
        from wavemore.inspection.inspect import inspect
        from wavemore.runs.find import find_run

        for option in option_names(arguments):
            if option not in ("--data", "--plot", "--json"):
                raise UsageError(
                    f"a run has its own settings; leave {option} out, or add --model for an untrained model"
                )
        try:
            run = find_run(self.source or "latest", self.data or "")
        except RunError as error:
            raise RunError(f"{error}; for an untrained model: wavemore inspect --model tree") from None
        return inspect(run), run

    def _new_model(self, model_name: ModelName) -> "Inspection":
        from wavemore.engine.memory import check_fits
        from wavemore.engine.plan import plan
        from wavemore.inspection.inspect import inspect_model
        from wavemore.nn.models import build

        corpus, _ = self.reading.load(source_of((self.source,) if self.source else (), self.data))
        settings = {"model": model_name, **given(self.architecture), **given(self.training)}
        planned = plan(corpus, self.preset, **settings)
        check_fits(planned.model, len(corpus.vocabulary), planned.model_config)
        size, num_labels = len(corpus.vocabulary), len(corpus.vocabulary.labels)
        model = build(model_name, size, planned.model_config, planned.recipe.seed, num_labels)
        return inspect_model(model, corpus, recipe=planned.recipe, title=f"untrained {model_name} on {corpus.name}")


def _show(screen: Screen, inspection: "Inspection") -> None:
    from wavemore.inspection.result import HEADER, TEXT

    screen.say(f"{inspection.title}: {inspection.summary}")
    width = min(screen.width, 100) - 1
    for line in wrap(inspection.legend, width):
        screen.say(line)
    screen.say("")
    left = [HEADER[place] for place in TEXT]
    screen.say(table(screen, HEADER, inspection.rows(), left=left, spare=("size", "mean")))
    screen.say("", "saturated: fraction of the values at which the activation is flat")
    screen.say("grad std: standard deviation of one example's loss gradient with respect to this layer's output")
    if inspection.tree:
        screen.say("", *inspection.tree.splitlines())
    screen.say("", inspection.verdict)
    for finding in inspection.problems:
        where = f" ({finding.where})" if finding.where else ""
        screen.say("", f"{finding.kind}{where}", style="bold")
        for line in wrap(visible(finding.message), width - 2):
            screen.say(f"  {line}")


def _write_figures(folder: Path, inspection: "Inspection", records: "list[Record]") -> list[Path]:
    """Write one PNG per figure that has something to show."""
    from wavemore import plots
    from wavemore.engine.recipe import HEALTHY_UPDATE_RATIO
    from wavemore.files import write_atomic

    figures = {
        "activations": plots.activation_histograms(inspection.activations),
        "gradients": plots.gradient_histograms(inspection.gradients),
    }
    if any(record.get("update_ratios") for record in records):
        figures["update-ratios"] = plots.update_ratios(
            records, {str(optimizer): ratio for optimizer, ratio in HEALTHY_UPDATE_RATIO.items()}
        )
    if records:
        figures["learning-curve"] = plots.learning_curves({inspection.title: records})
    if inspection.fuse:
        figures["tree"] = plots.tree(inspection.fuse, inspection.line)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {folder}: {error.strerror}; choose another --plot") from None
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        write_atomic(path, plots.to_png(figure))
    return paths
