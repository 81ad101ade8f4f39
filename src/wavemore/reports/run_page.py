"""A run on one page of HTML: how good it is, how it learned, what is inside, where it errs, what it makes."""

import shlex
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wavemore import plots
from wavemore.engine.blocks import batches_to_evaluate
from wavemore.engine.evaluate import positions_of, token_nats
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import write
from wavemore.engine.sampling import Sampling
from wavemore.errors import RunError, WavemoreError
from wavemore.inspection.inspect import inspect_run
from wavemore.inspection.result import HEADER, TEXT, Inspection
from wavemore.nn.layers import Embedding
from wavemore.nn.model import Model
from wavemore.nn.tree import Tree
from wavemore.reports.tags import (
    Html,
    command,
    facts,
    items,
    page,
    paragraph,
    picture,
    side_by_side,
    table,
    text,
    tiles,
    visible,
)
from wavemore.runs.config import Config
from wavemore.runs.record import Record, Summary
from wavemore.runs.run import Run
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Part

SAMPLES = 24
WRITTEN = 800
"""Characters of text."""
PASSAGE = 12
"""Lines in a row."""
END = {"lines": "end of the line", "stream": "line end"}
WHAT = {"lines": "lines", "stream": "text"}
LONGEST_SHOWN = 80
"""Characters of a line whose surprises are shown."""
HOTTEST_NATS = 6.0
"""Surprise of the deepest colour: a chance of one in 400."""


def report_run(run: Run) -> str:
    """The page of a run, as HTML; of one that is not finished, or whose data has gone, what there is.

    Raises `RunError` where there is no run, `UsageError` without matplotlib.
    """
    config, summary, records = run.config, run.summary(), run.metrics()
    size = len(run.vocabulary())
    lead = [
        paragraph(config.note),
        paragraph(_what(config), "quiet"),
        *_unfinished(run, config, summary, records),
        tiles(_numbers(config, summary, records)),
        paragraph(_in_words(summary, size, config)),
    ]
    seen = _Seen(run)
    sections: list[tuple[str, Sequence[Html]]] = [
        ("Learning", _learning(records, config.recipe.optimizer)),
        ("Where the loss is", seen.attempt(seen.losses)),
        ("Surprise, letter by letter", seen.attempt(seen.surprises)),
        ("What it makes", seen.attempt(seen.samples)),
        ("The model", seen.attempt(lambda: _model(run.model(), config, seen))),
        ("Layer by layer", seen.attempt(lambda: _layers(inspect_run(run)))),
        ("Settings", [_settings(config, summary)]),
        ("Do it again", _again(run, config, summary)),
    ]
    return page(run.path.resolve().name, lead, sections)


def _what(config: Config) -> str:
    data = config.data
    model = "" if config.model == "tree" else f"{config.model}: "
    return (
        f"{data.name}, {_split_words(config)}; {model}{config.settings.words}; "
        f"{config.recipe.optimizer}, {config.recipe.steps:,} steps of "
        f"{config.recipe.batch_size:,}, seed {config.recipe.seed}; begun {config.created[:16].replace('T', ' ')}"
    )


def _unfinished(run: Run, config: Config, summary: Summary | None, records: Sequence[Record]) -> list[Html]:
    if summary is not None:
        return []
    last = records[-1]["step"] if records else 0
    return [
        paragraph(
            f"Not finished: stopped at step {last:,} of {config.recipe.steps:,}, or still running. What follows is of "
            "the best state so far. To go on:",
            "warning",
        ),
        command(shlex.join(["wavemore", "train", "--resume", "--run", str(run.path)])),
    ]


def _numbers(config: Config, summary: Summary | None, records: Sequence[Record]) -> list[tuple[str, str, str]]:
    nats = "nats per character"
    if summary is None:
        vals = [record["val_nats"] for record in records if record.get("val_nats") is not None]
        found = [("val loss, best so far", f"{min(vals):.4f}", nats)] if vals else []
        if records:
            found.append(("train loss, latest", f"{records[-1]['train_nats']:.4f}", nats))
            found.append(("training time so far", *_time(records[-1]["seconds"])))
        return found
    found = [("val loss", f"{summary.val_nats:.4f}", nats)]
    if summary.leak_free_val_nats is not None and config.data.split == "lecture":
        found.append(("val, lines not in train", f"{summary.leak_free_val_nats:.4f}", nats))
    return [
        *found,
        ("val, in bits", f"{summary.val_nats / log(2):.3f}", "bits per character"),
        ("train loss", f"{summary.train_nats:.4f}", nats),
        ("parameters", f"{summary.parameters:,}", ""),
        ("training time", *_time(summary.train_seconds)),
        ("best state", f"{summary.best_step:,}", f"of {summary.steps:,} steps"),
    ]


def _time(seconds: float) -> tuple[str, str]:
    return (f"{seconds:.1f}", "seconds") if seconds < 120 else (f"{seconds / 60:.1f}", "minutes")


def _in_words(summary: Summary | None, size: int, config: Config) -> str:
    if summary is None:
        return ""
    text = config.data.text
    return (
        f"Guessing evenly among the {size - 1:,} characters and the {END[text]} costs ln {size:,} = "
        f"{log(size):.3f} nats. This model needs {summary.val_nats:.3f} on {WHAT[text]} that it was not trained on, "
        f"as if it guessed among {exp(summary.val_nats):,.1f}; on its training {WHAT[text]} it needs "
        f"{abs(summary.val_nats - summary.train_nats):.3f} "
        f"{'less' if summary.train_nats <= summary.val_nats else 'more'}."
    )


def _learning(records: Sequence[Record], optimizer: str) -> list[Html]:
    if not records:
        return [paragraph("There are no records yet: the run was stopped before its first.", "note")]
    made = [
        picture(
            plots.learning_curves({"": records}),
            f"Train and val loss over {records[-1]['step']:,} steps",
            "Faint: the train loss of each record; the line: its mean over windows of steps.",
        )
    ]
    if any(record.get("update_ratios") for record in records):
        made.append(
            picture(
                plots.update_ratios(records),
                "log10 of the size of a step's update against that of the weights, over the steps",
                PACES[optimizer == "muon"],
            )
        )
    return made


PACES = {
    False: "About -3 is healthy: far above it the training is rash, far below it is slow.",
    True: "Muon moves the hidden matrices by about -2, which is healthy for it; for the others it is about -3.",
}


class _Seen:
    """The kept model on the val lines, looked at once for several sections."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._val: tuple[Part, NDArray[np.float64]] | None = None

    def attempt(self, make: Callable[[], Sequence[Html]]) -> Sequence[Html]:
        """What `make` gives, or why it cannot be made: data that has gone takes nothing else from the page."""
        try:
            return make()
        except WavemoreError as error:
            return [paragraph(f"Not shown: {error}", "note")]

    def val(self) -> tuple[Part, NDArray[np.float64]]:
        """The val part, and the nats of its targets (B,)."""
        if self._val is None:
            data, model = self.run.data(), self.run.model()
            if isinstance(data, TextStream):  # line by line, each with the text before it
                part = data.val.as_lines(data.vocabulary)
                nats = token_nats(model, batches_to_evaluate(data.val, model))[: part.targets]
            else:
                part = data.val
                nats = token_nats(model, batches_to_evaluate(part, model))
            if not len(part.lines):
                raise RunError("the val part of this text has no line end, so it cannot be shown by lines")
            self._val = part, nats
        return self._val

    def losses(self) -> list[Html]:
        part, nats = self.val()
        positions = positions_of(part.tokens)
        counts = np.bincount(positions)
        means = np.bincount(positions, nats) / counts
        variances = np.bincount(positions, nats**2) / counts - means**2
        half = 1.96 * np.sqrt(np.maximum(variances, 0) / counts)
        half[counts < 2] = 0
        return [
            side_by_side(
                [
                    picture(
                        plots.loss_by_position(means.tolist(), counts.tolist(), interval=half.tolist()),
                        "Loss by position in the line",
                        "Of the val lines, with 95 % intervals; a line's end counts where it stands.",
                    ),
                    picture(
                        plots.loss_by_length(part.lines.lengths, _sums(part, nats)),
                        "Loss by length of the line",
                        "Of the val lines, with 95 % intervals.",
                    ),
                ]
            )
        ]

    def surprises(self) -> list[Html]:
        part, nats = self.val()
        if self.run.config.data.text == "stream":
            return self._passage(part, nats)
        targets = part.lines.lengths + 1
        order = np.argsort(_sums(part, nats) / targets, kind="stable")
        ends = np.cumsum(targets)
        middle = len(order) // 2
        kinds = {
            "The most usual val lines": order[:2],
            "In the middle": order[middle : middle + 3],
            "The least usual ones": order[max(2, len(order) - 3) :],
        }
        made = [
            paragraph(
                "Under each letter its surprise in nats, given the letters before it: 0.7 is a chance of one in two, "
                "4.6 of one in a hundred. ⏎ is the end of the line.",
                "quiet",
            )
        ]
        for heading, chosen in kinds.items():
            rows = [
                _line(part.lines[int(number)], nats[ends[number] - targets[number] : ends[number]]) for number in chosen
            ]
            made.append(Html(f'<h3>{text(heading)}</h3><div class="lines">{"".join(rows)}</div>\n'))
        return made

    def _passage(self, part: Part, nats: NDArray[np.float64]) -> list[Html]:
        """Some lines in a row, from the middle of the val text."""
        ends = np.cumsum(part.lines.lengths + 1)
        first = len(ends) // 2
        rows = [
            _line(part.lines[number], nats[ends[number] - part.lines.lengths[number] - 1 : ends[number]])
            for number in range(first, min(len(ends), first + PASSAGE))
        ]
        return [
            paragraph(
                "A passage from the middle of the val text. Under each letter its surprise in nats, given the text "
                "before it: 0.7 is a chance of one in two, 4.6 of one in a hundred. ⏎ is a line end.",
                "quiet",
            ),
            Html(f'<div class="lines">{"".join(rows)}</div>\n'),
        ]

    def samples(self) -> list[Html]:
        run, config = self.run, self.run.config
        if config.data.text == "stream":
            sampling = Sampling(seed=config.recipe.seed)
            [written] = write(run.model(), run.vocabulary(), 1, WRITTEN, sampling)
            words = ["wavemore", "sample", str(run.path), "--length", str(WRITTEN), "--seed", str(sampling.seed)]
            rows = "<br>".join(f"<bdi>{text(visible(row))}</bdi>" for row in written.text.split("\n"))
            return [
                paragraph(f"{WRITTEN:,} characters, drawn at temperature 1."),
                Html(f"<p>{rows}</p>\n"),
                command(shlex.join(words)),
            ]
        sampling = Sampling(max_length=max(1, config.data.longest), seed=config.recipe.seed)
        made = list(generate(run.model(), run.vocabulary(), SAMPLES, sampling, run.line_hashes()))
        rows = "".join(
            f"<li><bdi>{text(visible(one.text))}</bdi><small>{'new' if one.new else 'known'}</small></li>"
            for one in made
        )
        new = sum(one.new for one in made)
        return [
            paragraph(f"{len(made)} lines, drawn at temperature 1; {new} of them are in no part of the data."),
            Html(f'<ul class="samples">{rows}</ul>\n'),
            command(
                shlex.join(["wavemore", "sample", str(run.path), "-n", str(SAMPLES), "--seed", str(sampling.seed)])
            ),
        ]


def _sums(part: Part, nats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats of each line, its end included."""
    targets = part.lines.lengths + 1
    sums: NDArray[np.float64] = np.add.reduceat(nats, np.cumsum(targets) - targets)
    return sums


def _line(line: str, nats: NDArray[np.float64]) -> str:
    """A line as cells, the more surprising the deeper their colour."""
    shown = list(zip([*map(_letter, line), "⏎"], nats.tolist(), strict=True))
    cells = "".join(
        f'<i style="--s:{min(1.0, value / HOTTEST_NATS):.0%}">{text(letter)}<small>{value:.1f}</small></i>'
        for letter, value in shown[:LONGEST_SHOWN]
    )
    left = f", {len(shown) - LONGEST_SHOWN:,} more letters" if len(shown) > LONGEST_SHOWN else ""
    mean = f"{nats.mean():.3f} nats per character{left}"
    return f'<div class="line" dir="auto">{cells}<span dir="ltr">{mean}</span></div>'


def _letter(character: str) -> str:
    """A character that can be seen, also alone."""
    if character == " ":
        return "␣"
    return f"◌{character}" if unicodedata.category(character)[0] == "M" else visible(character)


def _model(model: Model, config: Config, seen: _Seen) -> list[Html]:
    characters = seen.run.vocabulary().characters
    pictures = []
    if isinstance(model, Tree):
        context = model.context
        try:
            line = max(seen.val()[0].lines[:200], key=lambda line: min(len(line), context))
        except WavemoreError:
            line = ""
        pictures.append(picture(plots.tree(model.config.fuse, line), "The tree in which the characters meet"))
    embeddings = [module for module in model.modules() if isinstance(module, Embedding | nn.Embedding)]
    if embeddings:
        pictures.append(
            picture(
                plots.embedding(embeddings[0].weight.detach().cpu().numpy(), ["", *characters]),
                "The embedding of the characters in the plane of its two largest principal components",
                "Characters that the model treats alike are near each other; ⏎ is the boundary.",
            )
        )
    if not pictures:
        return [paragraph(f"A model of kind {config.model} has no tree and no embedding to draw.")]
    return [side_by_side(pictures)]


def _layers(inspection: Inspection) -> list[Html]:
    found = [
        Html(f"<b>{text(finding.kind)}</b>{text(f', {finding.where}' if finding.where else '')}: {text(finding.words)}")
        for finding in inspection.findings
    ]
    rows = [[text(cell) for cell in row] for row in inspection.rows()]
    made = [
        paragraph("" if found else "Nothing was found that is wrong."),
        items(found),
        table(HEADER, rows, left=TEXT),
        paragraph(f"{inspection.legend}.", "quiet"),
    ]
    pictures = [
        picture(plots.activation_histograms(inspection.activations), "Histograms of the outputs of each layer"),
        picture(plots.gradient_histograms(inspection.gradients), "Histograms of the gradients of each layer"),
    ]
    return [*made, side_by_side(pictures)]


def _settings(config: Config, summary: Summary | None) -> Html:
    data = config.data
    shown = {"data": data.source or data.name, "sha256": data.sha256, "split": data.split_words}
    values = {**shown, "encoding": data.encoding, "model": config.model, **config.settings.values()}
    values |= {**asdict(config.recipe), "device": config.device, "threads": config.threads}
    if config.experiment:
        values["experiment"] = config.experiment
    if config.teachers:
        values["teachers"] = ", ".join(f"{teacher.run} ({teacher.model})" for teacher in config.teachers)
        if summary is not None:
            values["training of the teachers"] = f"{summary.teachers_train_seconds:.0f} s"
    else:
        del values["teacher_share"]
    named = {
        name.replace("_", " "): " ".join(map(str, value)) if isinstance(value, tuple | list) else value
        for name, value in values.items()
    }
    machine = facts(summary.environment) if summary is not None else Html("")
    heading = "<h3>Measured with</h3>" if machine else ""
    return Html(f"{facts(named)}{heading}{machine}")


def _split_words(config: Config) -> str:
    data = config.data
    return f"continuous text, {data.split_words}" if data.text == "stream" else f"{data.split} split"


def _again(run: Run, config: Config, summary: Summary | None) -> list[Html]:
    made = [command(shlex.join(config.command))]
    if summary is not None:
        made.append(
            paragraph(
                "The same command, versions and number of threads give the same bits on a CPU. "
                f"Finished {summary.finished}.",
                "quiet",
            )
        )
    return made
