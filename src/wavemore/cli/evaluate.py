"""`wavemore evaluate`: exact losses of a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from wavemore.cli.options import NO_HINT, Flag, MovedData, RunName, Runs, Text
from wavemore.cli.run_words import say_run
from wavemore.cli.screen import Screen, label_table, losses, print_json, table
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Evaluation
    from wavemore.engine.labels import Recovery
    from wavemore.nn.model import Model
    from wavemore.runs.run import Run
    from wavemore.text.parts import Part

MAX_POSITIONS = 20


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compute the exact loss of a run on data it was not trained on.

    Examples:
      wavemore evaluate runs/names-1
      wavemore evaluate runs/names-1 others.csv
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
    file: Annotated[Positional[Text], arg(metavar="[FILE]")] = None
    """another list or text, instead of the run's own data; lines with unknown characters are left out and counted"""
    column: Annotated[Text, NO_HINT, arg(aliases=("--field",))] = None
    """for a table or JSON: name or number of the column or field with the items"""
    count_column: Annotated[Text, NO_HINT] = None
    """of such a file: name or number of the column that says how often each item occurs, its weight in the loss"""
    label: Text = None
    """for a run with labels: the label of all items of FILE (default: FILE has the same columns as the run's data)"""
    ensemble: Runs = None
    """average the probabilities with those of other runs on the same data"""
    test: Flag = False
    """also on the test part: look at it once, after all decisions"""
    train: Flag = False
    """also on the train part"""
    data: MovedData = None
    """where the data of the run is now, if it was moved"""
    json: Flag = False
    """print JSON: val_nats, leak_free_val_nats, parameters, ..."""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the loss on val, and on the other parts that are asked for."""
        from wavemore.cli.train_output import by_count
        from wavemore.engine.evaluate import evaluate
        from wavemore.runs.ensemble import check_together
        from wavemore.runs.find import find_run
        from wavemore.runs.identity import data_differences

        runs = [find_run(name, self.data or "") for name in (self.run, *(self.ensemble or ()))]
        data = runs[0].config.data
        for other in runs[1:]:
            if differences := data_differences(data, other.config.data):
                raise UsageError(f"{other.path} has different data from {runs[0].path}: {'; '.join(differences)}")
        check_together(runs)
        models = [run.model() for run in runs]
        parts, note = self._parts(runs[0])
        parameters = sum(model.parameter_count() for model in models)
        evaluations = {name: evaluate(models, part) for name, part in parts.items()}
        found = _recovered(runs[0], models, parts)
        if self.json:
            record: dict[str, Any] = {"run": str(runs[0].path), "ensemble": list(self.ensemble or ())}
            record["parameters"] = parameters
            for name, evaluation in evaluations.items():
                record |= _record(name, evaluation, found.get(name))
            print_json(record)
        else:
            unit = by_count(next(iter(parts.values())))
            _show(" + ".join(str(run.path) for run in runs), parameters, evaluations, unit)
            _show_labels(evaluations, found)
        if note:
            Screen(stderr=True).say(f"wavemore: {note}")
        say_run(runs[0], is_named=self.run != "latest")
        return 0

    def _parts(self, run: "Run") -> "tuple[dict[str, Part], str]":
        """Return the parts to evaluate, and what was left out of a file, in words."""
        if self.file is None:
            if self.column or self.count_column:
                raise UsageError("--column and --count-column are for another FILE: give one, or leave them out")
            if self.label is not None:
                raise UsageError("--label is for another file, and the run's own data has its labels: leave it out")
            corpus = run.corpus()
            parts = {"train": corpus.train, "val": corpus.val} if self.train else {"val": corpus.val}
            return parts | {"test": corpus.test} if self.test else parts, ""
        from wavemore.text.layout import Wanted
        from wavemore.text.other_data import read_other

        if self.train or self.test or self.data:
            raise UsageError(f"all of {self.file} is evaluated: leave out --train, --test and --data")
        layout, vocabulary = run.config.data.layout, run.vocabulary()
        known = run.line_hashes() if run.config.data.format == "lines" else None
        wanted = Wanted(self.column, self.count_column)
        other = read_other(self.file, run.config.data.format, vocabulary, known, wanted, layout, self.label)
        return {"file": other.part}, "; ".join(filter(None, [other.how and f"read {other.how}", other.note]))


def _recovered(run: "Run", models: "list[Model]", parts: "dict[str, Part]") -> "dict[str, Recovery]":
    """Return for how many items of each part the likeliest label is their own; empty without labels."""
    from wavemore.engine.labels import recovery

    vocabulary = run.vocabulary()
    counted = {name: recovery(models, part, vocabulary) for name, part in parts.items()}
    return {name: found for name, found in counted.items() if found is not None}


def _record(name: str, evaluation: "Evaluation", found: "Recovery | None") -> dict[str, Any]:
    record: dict[str, Any] = {
        f"{name}_nats": evaluation.nats,
        f"{name}_bits_per_char": evaluation.bits_per_char,
        f"{name}_targets": evaluation.num_targets,
    }
    if not evaluation.by_position:  # a text has no lines
        return record
    record[f"{name}_nats_by_position"] = evaluation.by_position
    if name != "train":
        leak_free = evaluation.leak_free_nats if evaluation.leak_free_targets else None
        record |= {f"leak_free_{name}_nats": leak_free, f"leak_free_{name}_targets": evaluation.leak_free_targets}
    if found is not None:
        record[f"{name}_nats_by_label"] = {each.label: each.nats for each in evaluation.by_label if each.lines}
        record[f"{name}_label_recovery"] = found.recovered / found.lines
    return record


def _show_labels(evaluations: dict[str, "Evaluation"], found: "dict[str, Recovery]") -> None:
    """Print a table of the losses per label for each part, and how often labels are recovered."""
    screen = Screen()
    for name, recovered in found.items():
        screen.say("", f"{name}, nats per character by label (the likeliest label is the item's own for {recovered}):")
        screen.say(label_table(screen, evaluations[name].by_label))


def _known(name: str) -> str:
    """Return the data that a part is compared with."""
    return "the run's data" if name == "file" else "train"


def _show(title: str, parameters: int, evaluations: dict[str, "Evaluation"], unit: str) -> None:
    screen = Screen()
    screen.say(f"{title}: {parameters:,} parameters")
    for name, evaluation in evaluations.items():
        screen.say(f"{name:>6}: {losses(evaluation.nats)}{unit}, {evaluation.num_targets:,} targets")
        if name != "train" and evaluation.by_position and evaluation.leak_free_targets != evaluation.num_targets:
            if evaluation.leak_free_targets:
                screen.say(
                    f"        {losses(evaluation.leak_free_nats)}, "
                    f"{evaluation.leak_free_targets:,} targets of lines that are not in {_known(name)}"
                )
            else:
                screen.say(f"        all of these lines are also in {_known(name)}")
    columns = [evaluation.by_position for evaluation in evaluations.values()]
    longest = max(map(len, columns))
    if not longest:
        return
    screen.say("", "nats by position in the line (the end of a line counts at its position):")
    rows = [
        [str(place + 1), *(f"{nats[place]:.3f}" if place < len(nats) else "" for nats in columns)]
        for place in range(min(longest, MAX_POSITIONS))
    ]
    screen.say(table(screen, ["position", *evaluations], rows, left=()))
    if longest > MAX_POSITIONS:
        screen.say(f"(positions {MAX_POSITIONS + 1} to {longest}: --json)")
