"""Checks of the losses, of training and eval mode, and of how the data suits the model."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wavemore.inspection.finding import EvalSample, Finding, Losses
from wavemore.inspection.layer_stats import short_path
from wavemore.text.corpus import Corpus
from wavemore.text.vocabulary import Ids

MAX_CONFIDENCE = 0.1
"""Nats between the prediction of an untrained model and a uniform one; with a small last layer it is 0.002."""
MAX_INITIAL_EXCESS = 0.3
"""Nats by which the loss of an untrained model may exceed ln V."""
MAX_MODE_GAP = 0.25
"""Nats between training and eval mode on the same lines; averaged weights on a short list have 0.1."""
MAX_OVERFIT = 0.85
"""Nats between train and val of the best checkpoint."""


def check_modes(model: nn.Module, sample: EvalSample | None, trained: bool) -> Iterator[Finding]:
    """Find a forgotten eval mode, and layers that ignore it."""
    if sample is None:
        return
    if trained and sample.mode_dependent:
        paths = [short_path(path) for path, module in model.named_modules() if path and module.training]
        yield Finding(
            "eval mode forgotten",
            "the trained model is in training mode, in which predictions depend on the other lines of the batch "
            "(BatchNorm) or on chance (Dropout): call model.eval() before using it",
            ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else ""),
        )
    if sample.nondeterministic:
        message = "in eval mode the same input gives different predictions: make its dropout depend on self.training"
        yield Finding("random in eval mode", message)
    elif sample.batch_dependent:
        yield Finding(
            "batch statistics in eval mode",
            "in eval mode a prediction depends on the other lines of the batch, so a normalisation does not use its "
            "running statistics: make it depend on self.training",
        )


def check_losses(losses: Losses, sample: EvalSample | None) -> Iterator[Finding]:
    """Find wrong losses: before training, in one of the modes, with half the logits, and on val."""
    uniform, initial, confidence = losses.uniform_nats, losses.initial_nats, losses.initial_confidence or 0.0
    if initial is not None and (confidence > MAX_CONFIDENCE or initial - uniform > MAX_INITIAL_EXCESS):
        yield Finding(
            "initial loss",
            f"before training the loss is {initial:.3f} nats, but equal probabilities give ln V = {uniform:.3f}. The "
            "last layer is too confident, and the first steps only undo that: multiply its initial weight by 0.1",
            "last layer",
        )
    if sample is None:
        return
    if abs(sample.train_nats - losses.training_mode_nats) > MAX_MODE_GAP:
        yield Finding(
            "train/eval gap",
            f"the loss on the same data is {losses.training_mode_nats:.3f} nats in training mode (without dropout) and "
            f"{sample.train_nats:.3f} in eval mode: check the running statistics of BatchNorm",
        )
    if losses.trained:
        yield from _check_trained(losses, sample)


def _check_trained(losses: Losses, sample: EvalSample) -> Iterator[Finding]:
    train, val, half = sample.train_nats, sample.val_nats, sample.half_logits_nats
    if half < train - MAX_CONFIDENCE:
        yield Finding(
            "overconfident",
            f"with half the logits the train loss is {half:.3f} nats instead of {train:.3f}, so the weight of the last "
            "layer is too large: check whether it was scaled or frozen",
            "last layer",
        )
    if not val < losses.uniform_nats:
        yield Finding(
            "worse than guessing",
            f"the val loss is {val:.3f} nats, but equal probabilities give ln V = {losses.uniform_nats:.3f}: check "
            "that model, vocabulary and data belong together, and that the targets are the next characters",
        )
    elif val > losses.unigram_nats - 0.02:
        yield Finding(
            "context not used",
            f"the val loss is {val:.3f} nats, and the character frequencies alone give {losses.unigram_nats:.3f}: "
            "train longer, or look for a layer that blocks its input",
        )
    elif val - train > MAX_OVERFIT:
        yield Finding(
            "overfitting",
            f"the train loss is {train:.3f} nats and the val loss {val:.3f}, so the model has memorised train: use "
            "more data, fewer `epochs`, more `weight_decay` or a smaller model",
        )


def check_context(positions_used: list[bool] | None, context: int, corpus: Corpus) -> Iterator[Finding]:
    """Find a context that is longer than the lines, and positions of it that have no effect."""
    if corpus.format == "lines" and context > 1:
        lengths = corpus.train.as_lines(corpus.vocabulary).lines.lengths
        longest = int(np.quantile(lengths, 0.99))
        if float((lengths >= context).mean()) < 0.01:
            enough = min(2 ** (longest.bit_length() - 1), context - 1)  # a power of 2 that is not longer
            yield Finding(
                "long context",
                f"99 % of the lines have at most {longest} characters, so most of the context of {context} is boundary "
                f"tokens, which only cost time: use a shorter `context`, such as {enough}",
            )
    if positions_used is not None and any(positions_used) and not all(positions_used):
        unused = [context - place for place, used in enumerate(positions_used) if not used]
        yield Finding(
            "unused context",
            f"the context has {context} characters, but the prediction does not depend on those "
            f"{', '.join(map(str, unused[::-1]))} places back: check the sizes of the fusions and the layers between",
        )


def check_vocabulary(corpus: Corpus) -> Iterator[Finding]:
    """Find characters that do not occur in train."""
    counts = token_counts(corpus.train.tokens, len(corpus.vocabulary))
    missing = [corpus.vocabulary.characters[number - 1] for number in np.flatnonzero(counts == 0) if number]
    if missing:
        remedy = "lines, or another `split_seed`" if corpus.format == "lines" else "text, or a higher `train_fraction`"
        examples = " ".join(map(repr, missing[:5])) + (" ..." if len(missing) > 5 else "")
        yield Finding(
            "untrained characters",
            f"{len(missing):,} of {len(corpus.vocabulary) - 1:,} characters ({examples}) never occur in train, so the "
            f"predictions for them are arbitrary: use more {remedy}",
            "embedding",
        )


def token_counts(tokens: Ids, size: int) -> NDArray[np.int64]:
    """Count each of `size` tokens, (N,) -> (size,); a long text is read in pieces."""
    counts = np.zeros(size, np.int64)
    for first in range(0, len(tokens), 1 << 22):
        counts += np.bincount(tokens[first : first + (1 << 22)], minlength=size)
    return counts
