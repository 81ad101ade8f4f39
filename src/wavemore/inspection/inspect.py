"""See inside a model: every layer's numbers on a real batch, which characters meet where, and what is wrong.

B windows, T context length, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn

from wavemore.engine.fit import Progress
from wavemore.engine.recipe import Recipe
from wavemore.errors import ModelError, UsageError
from wavemore.inspection import finding as findings
from wavemore.inspection.checks import batchnorm
from wavemore.inspection.checks import learning_rate as pace
from wavemore.inspection.checks import weights as units
from wavemore.inspection.finding import Evaluated, Finding, Losses
from wavemore.inspection.layer_stats import Layer, Pass, logits_of, undisturbed
from wavemore.inspection.probe import Probe, Sample
from wavemore.inspection.result import Inspection
from wavemore.inspection.tree_text import draw_tree
from wavemore.nn.fusion import fusion_sizes
from wavemore.nn.model import LineModel
from wavemore.nn.ngram import Ngram
from wavemore.runs.run import Run
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus, windows
from wavemore.text.vocabulary import BOUNDARY

LONGEST_PROBE = 64
LONGEST_OF_TEXT = 256
"""Characters of a text that a model is shown which sees further."""


def inspect(what: Run | nn.Module, corpus: Corpus | TextStream | None = None, **settings: Any) -> Inspection:
    """Look inside a run, or a model with a corpus: `inspect_run` or `inspect_model`.

    Raises `UsageError` for a model without a corpus.

    >>> from wavemore.nn.models import build
    >>> from wavemore.nn.tree import TreeConfig
    >>> from wavemore.text.datasets import load
    >>> corpus = load("names")
    >>> found = inspect(build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2, 2)), seed=0), corpus)
    >>> found.layers[2].letters, found.layers[2].shape, found.receptive_field, found.findings
    ('(B, T/2, H)', (1024, 4, 128), 8, [])
    """
    if isinstance(what, Run):
        return inspect_run(what)
    if corpus is None:
        raise UsageError("a model is inspected on data: give a corpus too, as in inspect(model, load('names'))")
    return inspect_model(what, corpus, **settings)


def inspect_run(run: Run) -> Inspection:
    """Look inside the kept model of a run, on its own data and with the records of its training.

    Raises `RunError` for a run without a model, or whose data has changed.
    """
    corpus, config = run.data(), run.config
    return inspect_model(
        run.model(),
        corpus,
        recipe=config.recipe,
        records=run.metrics(),
        start=run.new_model(),
        title=str(run.path),
    )


def inspect_model(
    model: nn.Module,
    corpus: Corpus | TextStream,
    *,
    recipe: Recipe | None = None,
    records: Sequence[Progress | Mapping[str, Any]] = (),
    start: nn.Module | None = None,
    context: int | None = None,
    title: str = "",
) -> Inspection:
    """Look inside any torch model that takes contexts (B, T) and gives logits (B, V); it is left as it was.

    With the `recipe` and the `records` of its training (those of `fit`, or of `metrics.jsonl`) the pace of learning is
    judged too, and with the `start`, the model before training, what has not moved since. `context` is needed where
    the model does not tell how many characters it takes. A model of whole lines is shown their beginnings, up to the
    usual length, or of a text as much as it sees, 256 characters at most.

    Raises `UsageError` for a model of another vocabulary, and `ModelError` for one that does not take such contexts.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"what is inspected is a torch model (torch.nn.Module), not {type(model).__name__}")
    if isinstance(model, Ngram):
        raise UsageError("an ngram is a table of counts and has no layers: see wavemore evaluate and wavemore score")
    told = [record for record in map(_record, records) if record is not None]
    size = context or (_usual_length(model, corpus) if isinstance(model, LineModel) else _context_of(model))
    probe = Probe(model, corpus, size)
    if recipe is not None and told:
        ratios = pace.pace_of(told).ratios
    else:
        ratios = probe.one_step(recipe) if recipe is not None else {}
    seen, sample, evaluated = probe.one_pass(ratios), probe.sample(), probe.evaluated()
    begun = None if start is None else Probe(start, corpus, size)
    losses = probe.losses(seen, sample, evaluated, begun, told)
    judged = _judge(probe, seen, sample, evaluated, losses, begun, told, recipe)
    fuse = fusion_sizes(model.modules())
    if prod(fuse) != size:
        fuse = ()
    line, drawn = _line(corpus, size)
    first = seen.seen.index(True) if seen.seen and any(seen.seen) else 0
    return Inspection(
        title=title or type(model).__name__,
        layers=seen.layers,
        findings=list(judged),
        activations=seen.activations,
        gradients=seen.gradients,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=probe.size,
        context=size,
        receptive_field=model.context if isinstance(model, LineModel) else size - first,
        tree=draw_tree(fuse, *drawn) if fuse else "",
        fuse=fuse,
        line=line,
        losses=losses,
        letters=_sizes(seen.layers, size, probe.size),
        of_text=isinstance(corpus, TextStream),
    )


def _judge(
    probe: Probe,
    seen: Pass,
    sample: Sample,
    evaluated: Evaluated | None,
    losses: Losses,
    begun: Probe | None,
    told: Sequence[Mapping[str, Any]],
    recipe: Recipe | None,
) -> Iterator[Finding]:
    """All findings, causes first; where numbers are not finite, nothing else is worth saying."""
    model, corpus = probe.model, probe.corpus
    trained = losses.trained
    before = {} if begun is None else {name: value.detach() for name, value in begun.model.named_parameters()}
    of_weights = list(units.of_weights(model, seen.idle, before, trained))
    yield from of_weights
    if any(finding.kind == "not finite" for finding in of_weights):
        return
    if recipe is not None:
        on_lists = isinstance(corpus, Corpus)
        yield from pace.findings(told, recipe, corpus.train.targets, losses.uniform, on_lists=on_lists)
    yield from batchnorm.findings(
        sample.norms, trained, evaluates=not model.training, batch_size=recipe.batch_size if recipe and told else None
    )
    yield from findings.of_modes(model, evaluated, trained)
    yield from findings.of_losses(losses, evaluated, trained)
    yield from units.of_scales(seen)
    yield from units.of_units(sample.units, begun.sample().units if begun else [])
    if not isinstance(model, LineModel):  # which costs nothing where lines are shorter than what it could see
        yield from findings.of_context(seen.seen, probe.context, corpus)
    yield from findings.of_vocabulary(corpus)


def _record(record: Progress | Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A record as `metrics.jsonl` has it; None for a step that closes no stretch."""
    if not isinstance(record, Progress):
        return record
    if not record.logged:
        return None
    names = ("step", "epoch", "learning_rate", "train_nats", "val_nats", "seconds", "update_ratios")
    return {name: getattr(record, name) for name in names}


def _context_of(model: nn.Module) -> int:
    """How many characters the model takes: what it says, its fusions, or the first number that works."""
    told = getattr(model, "context", None)
    if isinstance(told, int):
        return told
    if fuse := fusion_sizes(model.modules()):
        return prod(fuse)
    first = next(model.parameters(), None)
    for length in range(1, LONGEST_PROBE + 1):
        tokens = torch.zeros(2, length, dtype=torch.int64, device=None if first is None else first.device)
        try:
            with undisturbed(model), torch.no_grad():
                logits_of(model.eval(), tokens)
        except ModelError:
            continue
        return length
    raise UsageError(
        f"this {type(model).__name__} takes no context of 1 to {LONGEST_PROBE} characters, (B, T) integers: say how "
        "many it takes with context="
    )


def _usual_length(model: LineModel, corpus: Corpus | TextStream) -> int:
    """Positions from a line's beginning to a target of it that half of the lines have, in train and in val.

    Of a text: as many as the model sees, if they are not too many.
    """
    if isinstance(corpus, TextStream):
        room = min(corpus.train.targets, corpus.val.targets) // 2
        return min(model.context or LONGEST_OF_TEXT, LONGEST_OF_TEXT, room)
    return 1 + int(min(np.median(part.lines.lengths) for part in (corpus.train, corpus.val)))


def _line(corpus: Corpus | TextStream, context: int) -> tuple[str, tuple[str, str]]:
    """A val line that fills the context as well as possible, and the characters of its last window with a letter.

    Of a text: the first stretch of that length in one line, or where there is none, the first.
    """
    if isinstance(corpus, TextStream):
        tokens = corpus.val.tokens[:10_000]
        ends = np.flatnonzero(tokens == BOUNDARY)
        starts = np.concatenate(([0], ends + 1))
        room = np.diff(starts, append=len(tokens) + 1) - 1
        start = int(starts[int(np.argmax(room > context))]) if (room > context).any() else 0
        seen = corpus.vocabulary.decode_text(tokens[start : start + context + 1])
        return seen[:-1], (seen[:-1], seen[-1])
    lines = [line for line in corpus.val.lines[:1_000] if line.isprintable()] or [corpus.val.lines[0]]
    line = min(lines, key=lambda line: (abs(len(line) - context), line != line.lstrip()))
    ids = corpus.vocabulary.encode(line)
    place = min(len(line) - 1, context)
    window = windows(ids, np.array([place]), context)[0]
    characters = ["\n", *corpus.vocabulary.characters]
    return line, ("".join(characters[number] for number in window), line[place])


def _sizes(layers: Sequence[Layer], context: int, vocabulary: int) -> dict[str, int]:
    """What the letters of the shapes stand for, from the rows that show them alone."""
    sizes = {"B": layers[0].shape[0], "T": context} if layers else {"T": context}
    for layer in layers:
        for letter, size in zip(layer.letters.strip("()").split(", "), layer.shape, strict=True):
            if letter[:1] in "EH" and letter not in sizes:
                sizes[letter] = size
    return {**sizes, "V": vocabulary}
