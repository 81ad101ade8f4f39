"""`wavemore evaluate`: exact losses of a trained model."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from wavemore.cli.options import Flag, RunName
from wavemore.cli.screen import Screen, losses, table
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Evaluation
    from wavemore.text.continuous import StreamPart
    from wavemore.text.corpus import Part


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Exact losses on lines, or text, that the model was not trained on.

    Example: wavemore evaluate runs/names-1 --test
    """

    run: RunName = "latest"
    """A run folder, or its name in runs/."""
    others: Annotated[tuple[str, ...], arg(name="with", metavar="RUN [RUN ...]")] = ()
    """More runs on the same data: the probabilities of all are averaged."""
    test: Flag = False
    """The test part too: once, when all choices are made."""
    train: Flag = False
    """The train part too."""
    json: Flag = False
    """Print JSON: val_nats, leak_free_val_nats, parameters, ..."""

    def run_command(self) -> int:
        """Print the losses of val, and of the parts that were asked for."""
        from wavemore.engine.evaluate import evaluate
        from wavemore.runs.entry import same_data
        from wavemore.runs.find import find_run
        from wavemore.text.continuous import TextStream
        from wavemore.text.corpus import Corpus

        run = find_run(self.run)
        runs = [run, *map(find_run, self.others)]
        for other in runs[1:]:
            if not same_data(other.config.data, run.config.data):
                raise UsageError(f"{other.path} and {run.path} have other data or another split: give runs on the same")
        models, corpus = [each.model() for each in runs], run.data()
        parameters = sum(model.parameter_count() for model in models)
        parts: dict[str, Part | StreamPart] = {"val": corpus.val}
        if self.train:
            parts = {"train": corpus.train, **parts}
        if self.test and isinstance(corpus, TextStream):
            raise UsageError(f"{run.path} was trained on a continuous text, which has no test part: leave --test out")
        if self.test and isinstance(corpus, Corpus):
            parts = {**parts, "test": corpus.test}
        found = {name: evaluate(models, part) for name, part in parts.items()}
        if self.json:
            record: dict[str, Any] = {"run": str(run.path), "with": list(self.others), "parameters": parameters}
            for name, evaluation in found.items():
                record |= _record(name, evaluation)
            print(json.dumps(record, indent=1))
        else:
            _show(" + ".join(str(each.path) for each in runs), parameters, found)
        return 0


def _record(name: str, evaluation: "Evaluation") -> dict[str, Any]:
    record: dict[str, Any] = {
        f"{name}_nats": evaluation.nats,
        f"{name}_bits_per_char": evaluation.bits_per_char,
        f"{name}_targets": evaluation.targets,
    }
    if not evaluation.by_position:  # of a text
        return record
    record[f"{name}_nats_by_position"] = evaluation.by_position
    if name != "train":
        free = evaluation.leak_free_nats if evaluation.leak_free_targets else None
        record |= {f"leak_free_{name}_nats": free, f"leak_free_{name}_targets": evaluation.leak_free_targets}
    return record


def _show(run: str, parameters: int, found: dict[str, "Evaluation"]) -> None:
    screen = Screen()
    screen.say(f"{run}: {parameters:,} parameters")
    for name, evaluation in found.items():
        screen.say(f"{name:>6}: {losses(evaluation.nats)}, {evaluation.targets:,} targets")
        if name != "train" and evaluation.by_position and evaluation.leak_free_targets != evaluation.targets:
            free = losses(evaluation.leak_free_nats) if evaluation.leak_free_targets else "nothing"
            screen.say(
                f"        {free}, on the {evaluation.leak_free_targets:,} targets of lines that train does not hold"
            )
    if not any(evaluation.by_position for evaluation in found.values()):
        screen.say("each character with all that the model sees of the part before it; its first has nothing before it")
        return
    screen.say("\nby position in the line (nats, the line's end counted where it stands):")
    longest = max(len(evaluation.by_position) for evaluation in found.values())
    shown = min(longest, 20)
    rows = [
        [str(position + 1)]
        + [f"{e.by_position[position]:.3f}" if position < len(e.by_position) else "" for e in found.values()]
        for position in range(shown)
    ]
    screen.say(table(screen, ["position", *found], rows, left=(), spare=()))
    if longest > shown:
        screen.say(f"(positions {shown + 1} to {longest}: --json)")
