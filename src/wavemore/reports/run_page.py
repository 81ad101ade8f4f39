"""The page of a run: how good it is, how it learned, where it errs, what it generates, what is inside."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from math import exp, log

from torch import nn

from wavemore import plots
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import generate_text
from wavemore.engine.recipe import HEALTHY_UPDATE_RATIO, Optimizer
from wavemore.engine.sampling import Sampling
from wavemore.errors import WavemoreError
from wavemore.html import Html, table, text
from wavemore.inspection.inspect import inspect
from wavemore.inspection.result import HEADER, TEXT, Inspection
from wavemore.nn.layers import Embedding
from wavemore.nn.tree import Tree
from wavemore.reports import tags
from wavemore.reports.tags import picture
from wavemore.reports.val_lines import ValLines, losses, passage, surprises, val_lines
from wavemore.runs.config import RunConfig
from wavemore.runs.describe import describe_split, describe_training
from wavemore.runs.record import Record, Summary
from wavemore.runs.run import Run

NATS = "nats per character"
NUM_SAMPLES = 24
TEXT_LENGTH = 800
"""Characters of a generated text."""


def run_page(run: Run) -> str:
    """Return the page of a run; for an unfinished one, or one whose data is gone, with what is available.

    Raises `RunError` if there is no run.
    """
    config, summary, records = run.config, run.summary(), run.metrics()
    lead = [
        tags.paragraph(config.note),
        tags.paragraph(_description(config), "quiet"),
        *(_unfinished(run) if summary is None else []),
        tags.tiles(_progress(records) if summary is None else _results(config, summary)),
        *([_interpretation(config, summary, len(run.vocabulary()))] if summary else []),
    ]
    val = cache(lambda: val_lines(run))
    of_lines = config.data.format == "lines"
    sections = [
        ("Learning", _learning(records, config.recipe.optimizer)),
        ("Where the loss is", _attempt(lambda: losses(val()))),
        ("Surprise of each character", _attempt(lambda: surprises(val()) if of_lines else passage(val()))),
        ("Samples", _attempt(lambda: _sampled_lines(run, config) if of_lines else _sampled_text(run, config))),
        ("The model", _attempt(lambda: _model(run, val))),
        ("Layer by layer", _attempt(lambda: _layers(inspect(run)))),
        ("Settings", _settings(config, summary)),
        ("Repeat this run", _again(config)),
    ]
    return tags.page(run.path.resolve().name, lead, sections)


def _attempt(make: Callable[[], Sequence[Html]]) -> Sequence[Html]:
    """Return a section, or the reason why it cannot be made: the other sections are not affected."""
    try:
        return make()
    except WavemoreError as error:
        return [tags.paragraph(f"Not shown: {error}", "note")]


def _description(config: RunConfig) -> str:
    data = config.data
    return (
        f"{data.name} ({data.format}: {describe_split(data)}); {config.model}: {config.model_config.describe()}; "
        f"{describe_training(config)}, seed {config.recipe.seed}; started {config.created[:16].replace('T', ' ')}"
    )


def _unfinished(run: Run) -> list[Html]:
    message = f"Not finished: {run.progress()}. This page shows the best checkpoint."
    if run.failure() is not None:
        return [tags.paragraph(message, "warning")]
    command = tags.command("wavemore", "train", "--resume", run.path)
    return [tags.paragraph(f"{message} To continue:", "warning"), command]


def _progress(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    vals = [record["val_nats"] for record in records if "val_nats" in record]
    numbers = [("best val loss so far", f"{min(vals):.4f}", NATS)] if vals else []
    if records:
        numbers.append(("latest train loss", f"{records[-1]['train_nats']:.4f}", NATS))
        numbers.append(("training time so far", *_time(records[-1]["seconds"])))
    return numbers


def _results(config: RunConfig, summary: Summary) -> list[tuple[str, str, str]]:
    numbers = [("val loss", f"{summary.val_nats:.4f}", NATS)]
    if summary.leak_free_val_nats is not None and config.data.split_method == "lecture":
        numbers.append(("val, lines not in train", f"{summary.leak_free_val_nats:.4f}", NATS))
    return [
        *numbers,
        ("val, in bits", f"{summary.val_nats / log(2):.3f}", "bits per character"),
        ("train loss", f"{summary.train_nats:.4f}", NATS),
        ("parameters", f"{summary.parameters:,}", ""),
        ("training time", *_time(summary.train_seconds)),
        ("best checkpoint", f"step {summary.best_step:,}", f"of {summary.steps:,}"),
    ]


def _time(seconds: float) -> tuple[str, str]:
    return (f"{seconds:.1f}", "seconds") if seconds < 120 else (f"{seconds / 60:.1f}", "minutes")


def _interpretation(config: RunConfig, summary: Summary, size: int) -> Html:
    """Explain the losses; `size` is that of the vocabulary, the boundary included."""
    noun, end = ("lines", "end of the line") if config.data.format == "lines" else ("text", "line end")
    difference = summary.val_nats - summary.train_nats
    choices = f"{exp(summary.val_nats):,.1f}" if summary.val_nats < 20 else f"more than {exp(20):,.0f}"
    return tags.paragraph(
        f"Guessing uniformly among the {size - 1:,} characters and the {end} costs ln {size:,} = {log(size):.3f} nats. "
        f"On {noun} outside its training data this model needs {summary.val_nats:.3f} nats, as much as a choice among "
        f"{choices} equally likely characters; on its training {noun} it needs "
        f"{abs(difference):.3f} nats {'less' if difference >= 0 else 'more'}."
    )


def _learning(records: Sequence[Record], optimizer: Optimizer) -> list[Html]:
    if not records:
        return [tags.paragraph("There are no records yet: the run was stopped before its first.", "note")]
    title = f"Train and val loss over {records[-1]['step']:,} steps"
    caption = "Faint: the train loss of each record; line: its mean over windows of steps."
    pictures = [picture(plots.learning_curves({"": records}), title, caption)]
    if any(record.get("update_ratios") for record in records):
        rest: Optimizer = "adamw" if optimizer == "muon" else optimizer
        figure = plots.update_ratios(records, {name: HEALTHY_UPDATE_RATIO[name] for name in (optimizer, rest)})
        caption = "Muon trains the hidden matrices, AdamW the other weights." if optimizer == "muon" else ""
        pictures.append(picture(figure, "log10 of (size of one update / size of the weights), over the steps", caption))
    return pictures


def _sampled_lines(run: Run, config: RunConfig) -> list[Html]:
    temperature = _temperature(run)
    sampling = Sampling(temperature, max_length=max(1, config.data.longest_line), seed=config.recipe.seed)
    samples = list(generate(run.model(), run.vocabulary(), NUM_SAMPLES, sampling, run.line_hashes()))
    entries = "".join(
        f"<li><bdi>{text(sample.text)}</bdi><small>{'new' if sample.new else 'known'}</small></li>"
        for sample in samples
    )
    new = sum(sample.new for sample in samples)
    summary = run.summary()
    memorised = summary.memorised if summary else None
    return [
        tags.paragraph(
            f"{len(samples)} lines, drawn at temperature {temperature:g}; {new} of them do not occur in the data."
        ),
        Html(f'<ul class="samples">{entries}</ul>\n'),
        tags.paragraph(f"At the end of the training, {memorised}." if memorised else ""),
        tags.command("wavemore", "sample", run.path, "-n", NUM_SAMPLES, "--seed", sampling.seed),
    ]


def _sampled_text(run: Run, config: RunConfig) -> list[Html]:
    temperature = _temperature(run)
    sampling = Sampling(temperature, seed=config.recipe.seed)
    [sample] = generate_text(run.model(), run.vocabulary(), 1, TEXT_LENGTH, sampling)
    lines = "<br>".join(f"<bdi>{text(line)}</bdi>" for line in sample.text.split("\n"))
    return [
        tags.paragraph(f"{TEXT_LENGTH:,} characters, drawn at temperature {temperature:g}."),
        Html(f"<p>{lines}</p>\n"),
        tags.command("wavemore", "sample", run.path, "--length", TEXT_LENGTH, "--seed", sampling.seed),
    ]


def _temperature(run: Run) -> float:
    summary = run.summary()
    return summary.temperature if summary else 1.0


def _model(run: Run, val: Callable[[], ValLines]) -> list[Html]:
    model, vocabulary = run.model(), run.vocabulary()
    pictures = []
    if isinstance(model, Tree):
        context = model.context
        try:
            line = max(val().part.lines[:200], key=lambda line: min(len(line), context))
        except WavemoreError:  # the data is gone
            line = ""
        pictures.append(picture(plots.tree(model.config.fuse, line), "The tree: which characters are fused"))
    embedding = next((layer for layer in model.modules() if isinstance(layer, Embedding | nn.Embedding)), None)
    if embedding is not None:
        figure = plots.embedding(
            embedding.weight.detach().cpu().numpy(), ["", *vocabulary.characters, *vocabulary.labels.names]
        )
        description = "The embedding of the characters in the plane of its two largest principal components"
        caption = "Characters that the model treats alike are near each other; ⏎ is the boundary."
        pictures.append(picture(figure, description, caption))
    return [tags.side_by_side(pictures)] if pictures else []


def _layers(inspection: Inspection) -> list[Html]:
    problems = (str(finding).partition(": ") for finding in inspection.problems)
    items = "".join(f"<li><b>{text(kind)}</b>: {text(message)}</li>\n" for kind, _, message in problems)
    rows = [[text(cell) for cell in row] for row in inspection.rows()]
    return [
        Html(f"<ul>{items}</ul>\n") if items else tags.paragraph("No problems found."),
        Html(f'<div class="wide" tabindex="0">{table(HEADER, rows, left=TEXT)}</div>\n'),
        tags.paragraph(f"{inspection.legend}.", "quiet"),
        tags.side_by_side([
            picture(plots.activation_histograms(inspection.activations), "Histograms of the outputs of each layer"),
            picture(plots.gradient_histograms(inspection.gradients), "Histograms of the gradients of each layer"),
        ]),
    ]  # fmt: skip


def _settings(config: RunConfig, summary: Summary | None) -> list[Html]:
    values = {**asdict(config.data), "model": config.model, **asdict(config.model_config), **asdict(config.recipe)}
    values |= {"device": config.device, "threads": config.threads, "experiment": config.experiment}
    if not config.teachers:
        del values["distill_weight"]
    values["teachers"] = ", ".join(f"{teacher.run} ({teacher.model})" for teacher in config.teachers)
    if config.carried_from is not None:
        values["started from"] = config.carried_from.run
    if summary is not None:
        values["finished"] = summary.finished
        if summary.teachers_train_seconds is not None:
            values["training of the teachers"] = f"{summary.teachers_train_seconds:.0f} s"
    shown = {
        name.replace("_", " "): " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, "")
    }
    machine = [Html("<h3>Measured with</h3>"), tags.facts(summary.environment)] if summary else []
    return [tags.facts(shown), *machine]


def _again(config: RunConfig) -> list[Html]:
    if config.command[:2] not in (("wavemore", "train"), ("wavemore", "study")):  # a stranger may name any program
        return []
    note = "On a CPU, the same command, versions and number of threads give bit-identical weights."
    return [tags.command(*config.command), tags.paragraph(note, "quiet")]
