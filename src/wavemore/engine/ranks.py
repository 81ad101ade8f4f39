"""Checks of a training by several ranks: all must train the same model on the same data, and go on to do so."""

import json
import zlib
from dataclasses import asdict
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from wavemore.engine.batcher import Batcher
from wavemore.engine.batchers import LineBatcher
from wavemore.engine.recipe import Recipe
from wavemore.errors import RankError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.norms import BatchNorm1d
from wavemore.nn.ranks import Ranks, current_ranks
from wavemore.text.corpus import Corpus
from wavemore.version import __version__

FIRST_TOKENS = 2**22
"""Tokens of the train part whose checksum is compared."""
TOLERANCE = 1e-3
"""By how much the sums of a weight may differ between two ranks, as a fraction: processors of two kinds round alike."""
NO_MINUTES = "`minutes` goes by the speed and the clock of one process: with several, set `epochs` or `steps` instead"
NO_NGRAM = "an ngram is counted by one process: train it without torchrun"


def require_one_process(reason: str) -> None:
    """Raise `UsageError` if there are several processes."""
    if current_ranks().size > 1:
        raise UsageError(reason)


def _require_shares(ranks: Ranks, batcher: Batcher, recipe: Recipe) -> None:
    """Raise `UsageError` for a batch that the ranks cannot share, and for statistics that they cannot."""
    layers = list(batcher.model.modules())
    if any(isinstance(layer, _BatchNorm) and not isinstance(layer, torch.nn.SyncBatchNorm) for layer in layers):
        raise UsageError("torch's BatchNorm sees only its own process: use that of wavemore, or torch.nn.SyncBatchNorm")
    if isinstance(batcher, LineBatcher):
        if any(isinstance(layer, BatchNorm1d) for layer in layers):
            raise UsageError(
                "this model has BatchNorm and hooks or a `forward` of its own: on a list, train it by one process"
            )
        return
    block_size = getattr(batcher, "block_size", 1)
    if recipe.batch_size // block_size < ranks.size:
        raise UsageError(
            f"`batch_size` is {recipe.batch_size:,}, too few for {ranks.size:,} processes: choose at least "
            f"{ranks.size * block_size:,}, or fewer processes"
        )


def require_same_training(ranks: Ranks, corpus: Corpus, recipe: Recipe, batcher: Batcher, step: int) -> None:
    """Raise `RankError` on all ranks unless all have the same data, settings and weights.

    Raises `UsageError` for a batch that they cannot share.
    """
    if ranks.size == 1:
        return
    _require_shares(ranks, batcher, recipe)
    model = batcher.model
    tokens = corpus.train.tokens[:FIRST_TOKENS]
    targets = [part.num_targets for part in (corpus.train, corpus.val)]
    facts = {
        "versions of torch or wavemore": [torch.__version__, __version__],
        "data": [corpus.sha256, *targets, zlib.crc32(tokens.tobytes())],
        "settings": [json.dumps(asdict(recipe)), step, [str(value.shape) for value in model.parameters()]],
    }
    compare(ranks, facts)
    require_same_weights(ranks, model, step)


def compare(ranks: Ranks, facts: dict[str, Any]) -> None:
    """Raise `RankError` on all ranks if a rank has other facts than rank 0, whose names say what they are."""
    first, *others = ranks.gather(facts)
    for rank, other in enumerate(others, 1):
        different = next((name for name, value in first.items() if other.get(name) != value), None)
        if different:
            raise RankError(
                f"process {rank} has other {different} than process 0: start all with the same files and command"
            )


def require_same_weights(ranks: Ranks, model: Model, step: int) -> None:
    """Raise `RankError` on all ranks if the weights of a rank are not those of rank 0."""
    if ranks.size == 1:
        return
    with torch.no_grad():
        values = [value.double() for value in model.parameters()]
        sums = torch.stack([torch.stack((value.sum(), value.abs().sum())) for value in values]).cpu()
    first, *others = ranks.gather(sums)
    for rank, other in enumerate(others, 1):
        if not bool(((other - first).abs() <= TOLERANCE * first[:, 1:].clamp(min=1e-9)).all()):
            raise RankError(
                f"the weights of process {rank} are not those of process 0 at step {step:,}: start all with the same "
                "command and versions"
            )
