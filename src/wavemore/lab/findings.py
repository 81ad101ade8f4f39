"""What is wrong with a model, in words: weights, units, layers, losses and how the data fits the context.

Every limit here was set by trainings: above all that stayed healthy, below what the planted fault gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wavemore.lab.anatomy import FLAT, Pass, flat_values, parameters_and_buffers, short
from wavemore.text.corpus import Corpus

CONFIDENT = 0.1
"""Nats between a fresh model's prediction and a uniform one; a last layer of a tenth of the usual weight has 0.002."""
SATURATED = 0.6
"""Share of flat values of a tanh, GELU or SiLU; of a ReLU, where the half is usual, `SATURATED_RELU`."""
SATURATED_RELU = 0.9
GAP = 0.25
"""Nats between training mode and eval mode on the same lines; averaged weights on a short list have 0.1."""
OVERFIT = 0.75
"""Nats between train and val of the kept state."""
LARGE, SMALL = 30.0, 0.01
"""Standard deviations of a hidden layer's output that are far from 1."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: what it is, where, and in words: what was seen, why it matters, what to do."""

    kind: str
    where: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.words}" if self.where else f"{self.kind}: {self.words}"


@dataclass(frozen=True)
class Losses:
    """Nats per character of samples of the data; None where they cannot be taken."""

    uniform: float
    """ln V: what a model without an opinion has."""
    letters: float
    """Of the val sample, by the letters' frequencies in train alone."""
    first: float | None
    """Before training."""
    first_confidence: float | None
    """KL(uniform || p) before training."""
    trained: bool
    """Whether there are records of a training, or a loss that no fresh model has."""
    training_mode: float
    """Of the train sample, normalised by its own statistics; dropout off."""
    train: float | None
    """Of the train sample in eval mode."""
    val: float | None
    """Of the val sample in eval mode."""


@dataclass(frozen=True)
class Evaluated:
    """What samples showed in eval mode."""

    train: float
    val: float
    cooler: float
    """Loss of the train sample with half the logits: lower where the model is too sure of itself."""
    differs_as_found: bool
    """Whether the mode in which the model was handed over gives other predictions than eval mode."""
    random: bool
    """Whether the same input twice gives two predictions."""
    mixes: bool
    """Whether a prediction depends on the other windows of the batch."""


@dataclass(frozen=True)
class Units:
    """Units of an activation, over a large sample."""

    path: str
    name: str
    kind: str
    saturated: float
    dead: int
    """Units that are flat for every input."""
    constant: int
    """Units that give the same value for every input, and are not flat."""
    count: int


def units_of(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> Units | None:
    """Look at the units of an activation that we know: (..., C)."""
    flat = flat_values(layer, x, y)
    if flat is None:
        return None
    rows, values = flat.flatten(0, -2), y.detach().flatten(0, -2)  # (R, C)
    dead = rows.all(dim=0) & (values.amax(0) - values.amin(0) < 0.1)
    kind = next(k.__name__ for k in type(layer).__mro__ if k.__name__ in FLAT)
    if kind == "ReLU" and float(dead.float().mean()) < 0.1:  # where few are dead by chance, another step may wake them
        inputs = x.detach().flatten(0, -2)
        dead &= inputs.amax(0) < -0.5 * inputs.std()
    spread = values.std(dim=0, correction=0)
    constant = (spread <= 1e-5 * (values.abs().mean() + 1e-12)) & ~rows.all(dim=0)
    name = f"{short(path)} {type(layer).__name__}".strip()
    return Units(path, name, kind, float(rows.float().mean()), int(dead.sum()), int(constant.sum()), rows.shape[1])


def of_weights(model: nn.Module, idle: Sequence[str], start: dict[str, Tensor], trained: bool) -> Iterator[Finding]:
    """Findings about the numbers that a model holds: not finite, zero, alike, frozen."""
    matrices = {name: value.detach() for name, value in model.named_parameters() if value.ndim >= 2}
    last = list(matrices)[-1:] if matrices else []
    for name, value in parameters_and_buffers(model):
        bad = int((~value.detach().isfinite()).sum()) if value.is_floating_point() else 0
        if bad:
            yield Finding(
                "not finite",
                short(name),
                f"{bad:,} of {value.numel():,} values are NaN or infinite, so every loss is: take the weights of an "
                "earlier step, and train with a lower learning rate",
            )
    for name, value in matrices.items():
        if not trained and name in last:  # a fresh last layer may be zero or all alike: its gradients are not
            continue
        if not value.any():
            yield Finding(
                "zero weights",
                short(name),
                "all weights are 0, so nothing of the input passes: start them at random, as normal values with "
                "standard deviation 1 / sqrt(inputs)",
            )
        elif len(value) > 1 and bool(value.isfinite().all()):
            alike = len(value) - len(torch.unique(value, dim=0))
            if alike:
                yield Finding(
                    "identical units",
                    short(name),
                    f"{alike:,} of {len(value):,} rows are copies of others; units with equal weights get equal "
                    "gradients and stay equal: start the weights at random",
                )
    yield from _frozen(model, matrices, idle, start, trained)


def _frozen(
    model: nn.Module, matrices: dict[str, Tensor], idle: Sequence[str], start: dict[str, Tensor], trained: bool
) -> Iterator[Finding]:
    for name, parameter in model.named_parameters():
        before = start.get(name)
        why = ""
        if not parameter.requires_grad:
            why = "it does not ask for gradients (requires_grad is False)"
        elif trained and before is not None and before.shape == parameter.shape and name in matrices:
            after = parameter.detach().flatten().double().cpu()
            first = before.flatten().double().cpu()
            if torch.equal(after, first):
                why = "its weights are those that it began with"
            elif bool(after.isfinite().all()) and float(torch.cosine_similarity(after, first, dim=0)) > 1 - 1e-9:
                why = "its weights are those that it began with, but for a factor (weight decay)"
        if not why and trained and name in idle and name in matrices:
            why = "no gradient reaches it"
        if why:
            yield Finding(
                "frozen layer",
                short(name),
                f"{why}, so it learns nothing: call requires_grad_(True), let the optimiser have it, and look for a "
                "detach() or a no_grad() behind it",
            )


def of_units(units: Sequence[Units], before: Sequence[Units]) -> Iterator[Finding]:
    """Findings about saturated layers and dead units, and about layers that were saturated before training."""
    for first, layer in zip(before, units, strict=False):
        if _saturated(first) and not _saturated(layer):
            yield Finding(
                "saturated layer",
                first.name,
                f"before training {first.saturated:.0%} of its values were where {first.kind.lower()} is flat (now "
                f"{layer.saturated:.0%}), so the first steps had hardly any gradient: begin with smaller weights "
                "before it (standard deviation 1 / sqrt(inputs)), or put a normalisation before it",
            )
    for layer in units:
        if layer.dead or layer.constant:
            many = layer.dead + layer.constant
            what = "flat for every input" if layer.dead else "the same value for every input"
            yield Finding(
                "dead units",
                layer.name,
                f"{many:,} of {layer.count:,} units are dead: {what}, so they tell nothing and no gradient passes: "
                "look at the bias and the scale before them, put a normalisation there, lower the learning rate",
            )
        if _saturated(layer) and layer.dead < layer.count:
            yield Finding(
                "saturated layer",
                layer.name,
                f"{layer.saturated:.0%} of its values lie where {layer.kind.lower()} is flat, so hardly any gradient "
                "passes: make the weights before it smaller (standard deviation 1 / sqrt(inputs)), or put a "
                "normalisation before it",
            )


def _saturated(layer: Units) -> bool:
    return layer.saturated > (SATURATED_RELU if layer.kind == "ReLU" else SATURATED)


def of_scales(seen: Pass) -> Iterator[Finding]:
    """Findings about activations and gradients that grow or die from layer to layer."""
    for layer in seen.layers[:-1]:
        if layer.std is None:
            yield Finding("not finite", layer.name, "its output is NaN or infinite: look at the first layer named here")
            return
        if not SMALL <= layer.std <= LARGE:
            grown = layer.std > LARGE
            yield Finding(
                "exploding activations" if grown else "vanishing activations",
                layer.name,
                f"the standard deviation of its output is {layer.std:.2g}, and about 1 is healthy: "
                f"{'divide' if grown else 'multiply'} the weights before it, or put a normalisation after them",
            )
            break  # the layers above only pass it on
    scales = [(layer.name, layer.gradient) for layer in seen.layers if layer.gradient]
    if len(scales) < 2:
        return
    top = scales[-1][1]
    for name, scale in reversed(scales[:-1]):
        if not top / 1e4 <= scale <= top * 1e3:
            yield Finding(
                "exploding gradients" if scale > top else "vanishing gradients",
                name,
                f"the gradient is {scale:.1g} here and {top:.1g} at the last layer: a step that suits one of them does "
                "not suit the other; put a normalisation between, and look for saturated layers above",
            )
            return


def of_modes(model: nn.Module, evaluated: Evaluated | None, trained: bool) -> Iterator[Finding]:
    """Findings about training mode and eval mode: the one that was forgotten, and one that makes no difference."""
    if evaluated is None:
        return
    if trained and evaluated.differs_as_found:
        left = [short(path) for path, module in model.named_modules() if path and module.training]
        some = ", ".join(left[:4]) + (", ..." if len(left) > 4 else "")
        yield Finding(
            "eval mode forgotten",
            some,
            "the trained model is in training mode, in which a prediction depends on the other lines of its batch "
            "(BatchNorm) or on chance (Dropout): call model.eval() before using it",
        )
    if evaluated.random:
        yield Finding(
            "random in eval mode",
            "",
            "in eval mode the same input gives two predictions: a dropout is left on; let it look at self.training",
        )
    elif evaluated.mixes:
        yield Finding(
            "batch statistics in eval mode",
            "",
            "in eval mode a prediction depends on the other lines of its batch: a normalisation takes the statistics "
            "of the batch where it should take the running ones; let it look at self.training",
        )


def of_losses(losses: Losses, evaluated: Evaluated | None, trained: bool) -> Iterator[Finding]:
    """Findings about the loss: before training, in both modes, against what anybody could guess, and on val."""
    uniform = losses.uniform
    if losses.first is not None:
        confident = losses.first_confidence is not None and losses.first_confidence > CONFIDENT
        if confident or losses.first - uniform > 0.3:
            yield Finding(
                "first loss",
                "last layer",
                f"before training the loss is {losses.first:.3f} nats, and no opinion would have ln V = {uniform:.3f}: "
                "the last layer is too confident, and the first steps only take that back; multiply its weight by 0.1",
            )
    if evaluated is None:
        return
    if abs(evaluated.train - losses.training_mode) > GAP:
        yield Finding(
            "train/eval gap",
            "",
            f"the same lines have {losses.training_mode:.3f} nats in training mode and {evaluated.train:.3f} in eval "
            "mode, dropout aside, so the model that is used is not the one that was trained: look at the running "
            "statistics of BatchNorm",
        )
    if not trained:
        return
    if evaluated.cooler < evaluated.train - CONFIDENT:
        yield Finding(
            "too confident",
            "last layer",
            f"with half the logits the loss on the training lines would be {evaluated.cooler:.3f} nats instead of "
            f"{evaluated.train:.3f}: the weight of the last layer is too large; was it scaled, or frozen?",
        )
    if not evaluated.val < uniform:
        yield Finding(
            "worse than guessing",
            "",
            f"val has {evaluated.val:.3f} nats, and guessing each token alike has ln V = {uniform:.3f}: look whether "
            "model, vocabulary and data belong together, and whether the targets are the next characters",
        )
    elif evaluated.val > losses.letters - 0.02:
        yield Finding(
            "blind to the context",
            "",
            f"val has {evaluated.val:.3f} nats, and the frequencies of the letters alone have {losses.letters:.3f}: "
            "the context does not help; train longer, or look for a layer that passes nothing on",
        )
    elif evaluated.val - evaluated.train > OVERFIT:
        yield Finding(
            "overfitting",
            "",
            f"train has {evaluated.train:.3f} nats and val {evaluated.val:.3f}: lines were learned by heart; take more "
            "lines, fewer --epochs, more --weight-decay or a smaller --hidden",
        )


def of_context(seen: list[bool] | None, context: int, corpus: Corpus) -> Iterator[Finding]:
    """Findings about what the context holds, and whether the model looks at all of it."""
    lengths = corpus.train.lines.lengths
    filled = float((lengths >= context).mean())
    if filled < 0.01 and context > 1:
        longest = int(np.quantile(lengths, 0.99))
        enough = min(2 ** (longest.bit_length() - 1), context - 1)  # a power of 2 that is no longer than that
        yield Finding(
            "long context",
            "",
            f"{1 - filled:.1%} of the lines are shorter than the context of {context} characters, and 99 % have at "
            f"most {longest}: most of it is boundary tokens, which cost time; take a shorter one, as "
            f"--context {enough}",
        )
    if seen is not None and any(seen) and not all(seen):
        blind = [context - place for place, looked in enumerate(seen) if not looked]
        yield Finding(
            "unseen context",
            "",
            f"the prediction does not depend on the characters {', '.join(map(str, blind[::-1]))} before it, although "
            f"the context has {context}: look at the sizes of the fusions and what lies between them",
        )


def of_vocabulary(corpus: Corpus) -> Iterator[Finding]:
    """Characters that no line of train holds."""
    counts = np.bincount(corpus.train.tokens, minlength=len(corpus.vocabulary))
    never = [corpus.vocabulary.characters[number - 1] for number in np.flatnonzero(counts == 0) if number]
    if never:
        some = " ".join(map(repr, never[:5])) + (" ..." if len(never) > 5 else "")
        yield Finding(
            "untrained characters",
            "embedding",
            f"{len(never):,} of {len(corpus.vocabulary) - 1:,} characters stand in no training line ({some}), so what "
            "the model says of them is chance: take more lines, or another --split-seed",
        )
