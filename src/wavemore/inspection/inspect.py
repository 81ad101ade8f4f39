"""Look inside a model: every layer's numbers on a real batch, which characters meet where, and what is wrong.

Shapes: B windows, T context length, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from torch import nn

from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import StepRecord
from wavemore.errors import A_CORPUS, ModelError, UsageError, require_kind
from wavemore.inspection.checks.batchnorm import check_batchnorm
from wavemore.inspection.checks.learning_rate import check_training, typical_ratios
from wavemore.inspection.checks.losses import check_context, check_losses, check_modes, check_vocabulary
from wavemore.inspection.checks.weights import check_scales, check_units, check_weights
from wavemore.inspection.finding import Finding, Losses
from wavemore.inspection.layer_stats import Pass, logits_of, undisturbed
from wavemore.inspection.probe import Probe, reads_lines
from wavemore.inspection.result import Inspection
from wavemore.inspection.tree_text import draw_tree
from wavemore.nn.fusion import fusion_sizes
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram
from wavemore.runs.find import find_run
from wavemore.runs.run import Run
from wavemore.text.corpus import Corpus
from wavemore.text.parts import windows

MAX_GUESSED_CONTEXT = 64
MAX_TEXT_CONTEXT = 256
"""Characters of a text that a model is given at most."""


class InspectionSettings(TypedDict, total=False):
    """What `inspect` can be told about a model: see `inspect_model`."""

    recipe: Recipe | None
    records: Sequence[StepRecord | Mapping[str, Any]]
    start: nn.Module | None
    context: int | None
    title: str


def inspect(
    what: Run | nn.Module | str, corpus: Corpus | None = None, **settings: Unpack[InspectionSettings]
) -> Inspection:
    """Inspect the best weights of a run, also by its name, or a model on a corpus as `inspect_model` does.

    A run is inspected with its own data and the records of its training, and needs no settings. Raises `UsageError` for
    a model without a corpus, and `RunError` for a run without a model, or whose data has changed.

    >>> from wavemore.nn.models import build
    >>> from wavemore.nn.tree import TreeConfig
    >>> from wavemore.text.datasets import load_corpus
    >>> corpus = load_corpus("names")
    >>> result = inspect(build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2, 2, 2)), seed=0), corpus)
    >>> result.layers[2].shape_letters, result.layers[2].shape, result.receptive_field, result.findings
    ('(B, T/2, H)', (1024, 4, 128), 8, [])
    """
    if isinstance(what, str):
        what = find_run(what)
    if isinstance(what, Run):
        return inspect_model(
            what.model(),
            what.corpus(),
            recipe=what.config.recipe,
            records=what.metrics(),
            start=what.new_model(),
            title=str(what.path),
        )
    if corpus is None:
        raise UsageError("a model is inspected on data: give a corpus too, as in inspect(model, load_corpus('names'))")
    return inspect_model(what, corpus, **settings)


def inspect_model(
    model: nn.Module,
    corpus: Corpus,
    *,
    recipe: Recipe | None = None,
    records: Sequence[StepRecord | Mapping[str, Any]] = (),
    start: nn.Module | None = None,
    context: int | None = None,
    title: str = "",
) -> Inspection:
    """Inspect any torch model that maps contexts (B, T) to logits (B, V) or (B, T, V); it is left as it was.

    With the `recipe` and `records` of its training (those of `fit`, or of `metrics.jsonl`) the learning rate is judged
    too, and with `start`, the model before training, which weights have not moved. `context` is needed if the model
    does not say how many characters it takes. A model of whole lines is given their beginnings, up to a typical length,
    or of a text as many characters as it sees, at most 256.

    Raises `UsageError` for a model with another vocabulary, and `ModelError` for one that does not take such contexts.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"only torch models (torch.nn.Module) can be inspected, not {type(model).__name__}")
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    if isinstance(model, Ngram):
        raise UsageError("an ngram model is a table of counts without layers: see wavemore evaluate and wavemore score")
    logged = [
        vars(record) if isinstance(record, StepRecord) else record
        for record in records
        if not isinstance(record, StepRecord) or record.logged
    ]
    context = context or _context_of(model, corpus)
    probe, start_probe = Probe(model, corpus, context), None if start is None else Probe(start, corpus, context)
    ratios = typical_ratios(logged) if recipe is None or logged else probe.one_step(recipe)
    table = probe.one_pass(ratios)
    losses = probe.losses(table, start_probe, logged)
    fuse = fusion_sizes(model.modules())
    if prod(fuse) != context:
        fuse = ()
    line, window, target = _example(corpus, context)
    unused = table.positions_used.index(True) if table.positions_used and any(table.positions_used) else 0
    return Inspection(
        title=title or type(model).__name__,
        layers=table.layers,
        findings=list(_findings(probe, table, losses, start_probe, logged, recipe)),
        activations=table.activations,
        gradients=table.gradients,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary_size=probe.size,
        context=context,
        receptive_field=model.context if isinstance(model, Model) and probe.reads_lines else context - unused,
        tree=draw_tree(fuse, window, target) if fuse else "",
        fuse=fuse,
        line=line,
        losses=losses,
        format=corpus.format,
    )


def _findings(
    probe: Probe,
    table: Pass,
    losses: Losses,
    start: Probe | None,
    records: Sequence[Mapping[str, Any]],
    recipe: Recipe | None,
) -> Iterator[Finding]:
    """Yield all findings, causes first; if weights are not finite, only those."""
    trained, initial = losses.trained, dict(start.model.named_parameters()) if start else {}
    of_weights = list(check_weights(probe.model, table.without_gradient, initial, trained))
    yield from of_weights
    if any(finding.kind == "not finite" for finding in of_weights):
        return
    if recipe is not None:
        yield from check_training(records, recipe, losses.uniform_nats)
    batch_size = recipe.batch_size if recipe and records else None
    yield from check_batchnorm(probe.batchnorm_findings, probe.model, trained, batch_size)
    yield from check_modes(probe.model, probe.eval_sample, trained)
    yield from check_losses(losses, probe.eval_sample)
    yield from check_scales(table)
    yield from check_units(probe.units, start.units if start else [])
    if not probe.reads_lines:  # for which a long receptive field costs nothing on short lines
        yield from check_context(table.positions_used, probe.context, probe.corpus)
    yield from check_vocabulary(probe.corpus)


def _context_of(model: nn.Module, corpus: Corpus) -> int:
    """Choose a context: the model's own, its fusions, or the first that works; for lines their median length.

    A model of texts is given all that it sees, up to a limit.
    """
    if isinstance(model, Model) and reads_lines(model):
        if corpus.format == "text":
            room = min(corpus.train.num_targets, corpus.val.num_targets) // 2
            return min(model.context or MAX_TEXT_CONTEXT, MAX_TEXT_CONTEXT, room)
        parts = (corpus.train, corpus.val)
        return 1 + int(min(np.median(part.as_lines(corpus.vocabulary).lines.lengths) for part in parts))
    context = getattr(model, "context", None)
    if isinstance(context, int):
        return context
    if fuse := fusion_sizes(model.modules()):
        return prod(fuse)
    first = next(model.parameters(), torch.empty(0))
    for length in range(1, MAX_GUESSED_CONTEXT + 1):
        with suppress(ModelError), undisturbed(model), torch.no_grad():
            logits_of(model.eval(), torch.zeros(2, length, dtype=torch.int64, device=first.device))
            return length
    raise UsageError(
        f"this {type(model).__name__} takes no context of 1 to {MAX_GUESSED_CONTEXT} characters, (B, T) integers: give "
        "its context length as `context`"
    )


def _example(corpus: Corpus, context: int) -> tuple[str, str, str]:
    """Choose a val line that fills the context as well as possible: the line, its last window, the next character.

    For a text: its first characters.
    """
    if corpus.format == "text":
        block = corpus.vocabulary.decode_text(corpus.val.tokens[: context + 1])
        return block[:-1], block[:-1], block[-1]
    val_lines = corpus.val.as_lines(corpus.vocabulary).lines
    lines = [line for line in val_lines[:1_000] if line.isprintable()] or [val_lines[0]]
    line = min(lines, key=lambda line: (abs(len(line) - context), line != line.lstrip()))
    place = min(len(line) - 1, context)
    window = windows(corpus.vocabulary.encode(line), np.array([place]), context)[0]
    characters = ["\n", *corpus.vocabulary.characters]
    return line, "".join(characters[number] for number in window), line[place]
