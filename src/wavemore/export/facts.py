"""What another program must know to use an exported model: its characters, labels and settings, as plain data."""

import shlex
from dataclasses import asdict
from typing import Any

from wavemore.engine.ranked import KEEPERS_TEMPERATURE
from wavemore.errors import RunError, require_kind
from wavemore.nn.model import Model, copy_of
from wavemore.nn.ngram import Level, Ngram
from wavemore.runs.language_model import LanguageModel, from_pretrained
from wavemore.runs.run import Run
from wavemore.text.vocabulary import BOUNDARY
from wavemore.version import __version__


def facts_of(names: LanguageModel) -> dict[str, Any]:
    """Return what a file of a model says about it; nothing in it depends on where the data or the run is."""
    data, labels = names.config.data, names.vocabulary.labels
    is_list = data.format == "lines"
    suggested = names.summary.temperature if names.summary else 1.0
    return {
        "version": __version__,
        "model": names.config.model,
        "settings": asdict(names.config.model_config),
        "format": data.format,
        "characters": names.vocabulary.characters,  # those of the tokens from 1 on
        "boundary": BOUNDARY,
        "labels": {name: len(names.vocabulary) + number for number, name in enumerate(labels.names)},
        "label_shares": labels.shares.tolist() if labels else [],
        "context": names.model.context,
        "longest_line": data.longest_line,
        "line_break": data.layout.separator if data.layout.kind == "separated" else None,
        "cleaning": asdict(data.cleaning),
        "temperature": KEEPERS_TEMPERATURE if is_list else suggested,  # that of `wavemore sample`
        "data": {"name": data.name, "sha256": data.sha256},
        "val_nats": names.summary.val_nats if names.summary else None,
    }


def loaded(model: LanguageModel | Run) -> LanguageModel:
    """Return a model that is to be exported, on the CPU. Raises `RunError` for a run that is not finished."""
    require_kind(model, "model", LanguageModel | Run, "a run, such as `find_run` returns, or what `train` returns")
    if isinstance(model, LanguageModel):
        return model
    if model.summary() is None:
        advice = f"finish it with `wavemore train --resume {shlex.quote(str(model.path))}`"
        raise RunError(f"{model.path} is not finished ({model.progress()}): {advice}")
    return from_pretrained(model.path)


def advise_order(ngram: Ngram, per_context: int, per_follower: int, most: int) -> str:
    """Advise the largest order of which the counts have at most so many bytes.

    Lower orders have the contexts and followers of an n-gram's first levels.
    """
    fits = size = 0
    for order, level in enumerate(ngram.levels, start=1):
        assert isinstance(level, Level)
        size += per_context * len(level.contexts) + per_follower * len(level.characters)
        fits = order if size <= most else fits
    return f"one with an `order` of at most {max(1, min(fits, ngram.config.order - 1))}"


def network_of(names: LanguageModel) -> Model:
    """Return a copy of the network as it is exported: on the CPU, with 4-byte floats, in eval mode."""
    return copy_of(names.model).cpu().float().eval()
