"""`wavemore evaluate`: exact losses of a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wavemore.cli.options import Flag, MovedData, RunName, Runs
from wavemore.cli.screen import Screen, losses, print_json, table
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Evaluation

MAX_POSITIONS = 20


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compute the exact loss of a run on data it was not trained on.

    Example:
      wavemore evaluate runs/names-1
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
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
        from wavemore.engine.evaluate import evaluate
        from wavemore.runs.find import find_run
        from wavemore.runs.identity import data_differences

        runs = [find_run(name, self.data or "") for name in (self.run, *(self.ensemble or ()))]
        data = runs[0].config.data
        for other in runs[1:]:
            if differences := data_differences(data, other.config.data):
                raise UsageError(f"{other.path} has different data from {runs[0].path}: {'; '.join(differences)}")
        models, corpus = [run.model() for run in runs], runs[0].corpus()
        parts = {"train": corpus.train, "val": corpus.val} if self.train else {"val": corpus.val}
        if self.test:
            parts["test"] = corpus.test
        parameters = sum(model.parameter_count() for model in models)
        evaluations = {name: evaluate(models, part) for name, part in parts.items()}
        if self.json:
            record: dict[str, Any] = {"run": str(runs[0].path), "ensemble": list(self.ensemble or ())}
            record["parameters"] = parameters
            for name, evaluation in evaluations.items():
                record |= _record(name, evaluation)
            print_json(record)
        else:
            _show(" + ".join(str(run.path) for run in runs), parameters, evaluations)
        return 0


def _record(name: str, evaluation: "Evaluation") -> dict[str, Any]:
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
    return record


def _show(title: str, parameters: int, evaluations: dict[str, "Evaluation"]) -> None:
    screen = Screen()
    screen.say(f"{title}: {parameters:,} parameters")
    for name, evaluation in evaluations.items():
        screen.say(f"{name:>6}: {losses(evaluation.nats)}, {evaluation.num_targets:,} targets")
        if name != "train" and evaluation.by_position and evaluation.leak_free_targets != evaluation.num_targets:
            if evaluation.leak_free_targets:
                screen.say(
                    f"        {losses(evaluation.leak_free_nats)}, "
                    f"{evaluation.leak_free_targets:,} targets of lines that are not in train"
                )
            else:
                screen.say("        all of these lines are also in train")
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
