"""More like these: a model that draws lines like a few examples, without forgetting how lines look.

A copy of the model takes a few small gradient steps on the examples, with its output layer and all biases and norms.
They change little, and mostly for what the examples have in common; more steps would memorise them. So the change
is amplified instead, wherever a character is predicted:

    log p'(c) = log p(c) + strength * (log p_copy(c) - log p(c)) + constant

The strength is the largest one at which fewer than one draw in a hundred would be one of the examples, and at which the
predictions stay near to the model's own on lines that it drew (a divergence of 0.3 nats per character). An n-gram model
has no gradient: there the difference is that of two others, counted on lines that it drew, with and without examples.

The result is a `Model`, which can be sampled under any constraint. Of several times as many lines, `Adapted.choose`
keeps those that have become likelier the most.

Shapes: L lines, T positions of a line, N targets of all lines, V vocabulary.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.engine.ensemble import Ensemble, log_p_of
from wavemore.engine.evaluate import eval_mode, score
from wavemore.engine.generate_lines import Known, generate
from wavemore.engine.labels import labels_of
from wavemore.engine.line_source import Sample
from wavemore.engine.optimizer import AdamW
from wavemore.engine.sampling import Sampling
from wavemore.errors import A_SAMPLING, A_VOCABULARY, UsageError, require_kind, strings
from wavemore.nn.model import Model, copy_of, require_model
from wavemore.nn.ngram import Ngram
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

STEPS, RATE = 5, 1e-3
"""Steps of AdamW on the examples, and its learning rate."""
OWN_LINES, COUNTED_LINES, COUNTED_SHARE = 200, 2_000, 0.2
"""Lines that the model draws; for an n-gram model, that are counted, and how much the examples weigh beside them."""
MAX_VALUES = 2**22
"""Probabilities that are compared: of long lines, and with a large vocabulary, fewer lines are used."""
MAX_COPIES, MAX_DIVERGENCE, MAX_STRENGTH = 0.01, 0.3, 100.0
"""Limits of the strength: examples among the draws, as a fraction, and nats per character."""
PER_LINE, UNLIKELY = 16, 0.25
"""Lines that are drawn for each one that is chosen, and the fraction of them that are left out as unlikely ones."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model that was adapted to examples."""

    model: Model
    """Draws lines like the examples; `generate` takes it like any other."""
    own: Model
    """The model that was adapted, unchanged."""
    vocabulary: Vocabulary
    examples: tuple[str, ...]
    label: str
    """The label of the examples, the likeliest one of most of them unless it was given; empty if the model has none."""
    strength: float
    """How far the change of the copy is amplified."""

    def draw(self, n: int, sampling: Sampling, known: Known = None) -> list[Sample]:
        """Draw `n` distinct lines that meet the wishes of `sampling` as `generate` does, and are like the examples.

        They have the label of the examples, unless `sampling` has one.
        """
        sampling = replace(sampling, distinct=True, label=sampling.label or self.label)
        return self.choose(generate(self.model, self.vocabulary, self.pool_size(n), sampling, known), n)

    def pool_size(self, n: int) -> int:
        """Return how many lines `choose` chooses `n` from."""
        return PER_LINE * n

    def choose(self, samples: Iterable[Sample], n: int) -> list[Sample]:
        """Return the `n` lines that are the most like the examples, those first, of `pool_size(n)` lines of `model`.

        These are the ones whose probability per character the adaptation has raised the most. Lines within one edit of
        an example are left out, and the quarter that is the least likely to the model itself. The nats of the returned
        lines are those of that model.
        """
        pool = list(islice(samples, self.pool_size(n)))
        known = np.sort(Lines.from_iterable(self.examples).hashes())
        near = within_one_edit([sample.text for sample in pool], known, self.vocabulary.characters)
        pool = [sample for sample, is_near in zip(pool, near, strict=True) if not is_near]
        labels = [sample.label for sample in pool] if self.vocabulary.labels else None
        own = [each.nats for each in score(self.own, self.vocabulary, [sample.text for sample in pool], labels=labels)]
        lengths = np.array([len(sample.text) + 1 for sample in pool])
        gains = (np.array(own) - np.array([sample.nats for sample in pool])) / lengths
        likely = np.argsort(np.array(own) / lengths, kind="stable")[: max(n, round(len(pool) * (1 - UNLIKELY)))]
        order = likely[np.argsort(-gains[likely], kind="stable")]
        return [pool[number]._replace(nats=own[number]) for number in order[:n]]


def adapt(model: Model, vocabulary: Vocabulary, examples: Sequence[str], sampling: Sampling | None = None) -> Adapted:
    """Adapt a model of lines to one example or more, typically 3 to 20. The model itself stays as it is.

    Of `sampling`, the seed, the longest line and the label are used. Without a label, each example has its likeliest
    one if the model has labels.

    Raises `UsageError` without examples or for an empty one, `UnknownCharacterError` for a character that is not in the
    vocabulary, and `ModelError` if the vocabulary is not the model's.

    >>> from wavemore.nn.models import build
    >>> from wavemore.nn.recurrent import RecurrentConfig
    >>> vocabulary = Vocabulary("abc")
    >>> model = build("lstm", 4, RecurrentConfig(hidden=8), seed=0)
    >>> adapted = adapt(model, vocabulary, ["ab", "abab"])
    >>> before, after = (score(each, vocabulary, ["ababab"])[0].nats for each in (model, adapted.model))
    >>> after < before
    True
    """
    examples = strings(examples, "examples")
    require_model(model)
    require_kind(vocabulary, "vocabulary", Vocabulary, A_VOCABULARY)
    model.require_vocabulary(vocabulary.characters, vocabulary.labels.names)
    texts = [vocabulary.clean(text).strip() for text in examples]
    if not texts or not all(texts):
        raise UsageError("there is no example to be like, or an empty one: give one line or more")
    sampling = Sampling() if sampling is None else sampling
    require_kind(sampling, "sampling", Sampling, A_SAMPLING)
    labels = [sampling.label] * len(texts)
    if vocabulary.labels and not sampling.label:
        labels = [label for label, _ in labels_of(model, vocabulary, texts)]
    shown = LineRows(model, vocabulary, texts, labels)
    count = COUNTED_LINES if isinstance(model, Ngram) else OWN_LINES
    own = Sampling(seed=sampling.seed, max_length=sampling.max_length, label=sampling.label)
    drawn = list(generate(model, vocabulary, count, own))
    drawn = drawn[: MAX_VALUES // (len(vocabulary) * max([1, *(len(sample.text) + 1 for sample in drawn)]))]
    usual = LineRows(model, vocabulary, [s.text for s in drawn], [s.label for s in drawn]) if drawn else shown
    others = _counted(model, shown, usual) if isinstance(model, Ngram) else (_tuned(model, shown), model)
    with eval_mode(model):
        strength = _strength((model, *others), shown, usual)
    [(label, _)] = Counter(labels).most_common(1)
    return Adapted(_Amplified(model, *others, strength), model, vocabulary, tuple(texts), label, strength)


class LineRows:
    """Lines, (L, T), as a model's input and targets, padded; a target counts where `inside` is true."""

    def __init__(self, model: Model, vocabulary: Vocabulary, texts: Sequence[str], labels: Sequence[str]) -> None:
        lengths = torch.tensor([len(text) for text in texts])
        tokens = torch.full((len(texts), int(lengths.max()) + 2), BOUNDARY)
        for row, text, label in zip(tokens, texts, labels, strict=True):
            if label:
                row[0] = len(vocabulary) + vocabulary.labels.number(label)
            row[1 : len(text) + 1] = torch.from_numpy(vocabulary.encode(text).astype(np.int64))
        self.inputs = tokens[:, :-1].to(model.device)
        self.inside = (torch.arange(tokens.shape[1] - 1) <= lengths[:, None]).to(model.device)
        self.targets = tokens[:, 1:].to(model.device)[self.inside]  # (N,), line by line
        self.lines = torch.repeat_interleave(torch.arange(len(texts)), lengths + 1)  # (N,) the line of each target

    def log_p(self, model: Model) -> Tensor:
        """Return the log-probabilities before each target, (N, V)."""
        logits: Tensor = model(self.inputs)[self.inside]
        return logits.log_softmax(dim=1).cpu().double()


@torch.inference_mode(False)  # with gradients, whatever the caller's mode
def _tuned(model: Model, shown: LineRows) -> Model:
    """Return a copy after a few steps on the examples; batch statistics stay as they are. Counts cannot be tuned."""
    if isinstance(model, Ensemble):
        return Ensemble([_tuned(part, shown) for part in model.parts])
    if model.config.counted:
        return model
    copy = copy_of(model).eval().requires_grad_(True)
    matrices = [parameter for parameter in copy.parameters() if parameter.ndim >= 2]
    chosen = [parameter for parameter in copy.parameters() if parameter.ndim < 2] + matrices[-1:]
    optimizer = AdamW(chosen, lr=RATE)
    for _ in range(STEPS):
        copy.zero_grad()
        F.cross_entropy(copy(shown.inputs)[shown.inside], shown.targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step(1.0)
    return copy.requires_grad_(False)


def _counted(model: Ngram, shown: LineRows, usual: LineRows) -> tuple[Model, Model]:
    """Return n-gram models of lines that the model drew, with the examples and without."""
    toward, away = (Ngram(model.vocabulary_size, model.config).to(model.device).eval() for _ in range(2))
    weight = max(1, round(COUNTED_SHARE * len(usual.targets) / len(shown.targets)))
    weights = torch.cat([torch.ones_like(usual.targets), torch.full_like(shown.targets, weight)])
    toward.count(torch.cat([usual.targets, shown.targets]), weights.cpu())
    away.count(usual.targets)
    return toward, away


def _strength(models: tuple[Model, Model, Model], shown: LineRows, usual: LineRows) -> float:
    """Return the largest strength within the limits; `models` are the model and the two whose difference is added."""
    parts = []  # log-probabilities and what is added to them
    for rows in (shown, usual):
        own, toward, away = (rows.log_p(model) for model in models)
        parts.append((own, toward - away))

    def mixed(part: int, strength: float) -> Tensor:
        return (parts[part][0] + strength * parts[part][1]).log_softmax(dim=1)

    def copies(strength: float) -> float:
        log_p = mixed(0, strength).gather(1, shown.targets.cpu()[:, None])[:, 0]
        return float(torch.zeros(len(shown.inputs)).double().index_add(0, shown.lines, log_p).exp().sum())

    def divergence(strength: float) -> float:
        own = parts[1][0]
        return float((own.exp() * (own - mixed(1, strength))).sum(dim=1).mean())

    found, strength, most = 0.0, 0.25, MAX_COPIES + copies(0.0)
    while strength <= MAX_STRENGTH and copies(strength) <= most and divergence(strength) <= MAX_DIVERGENCE:
        found, strength = strength, 1.2 * strength
    return found


class _Amplified(Ensemble):
    """Predict log p + strength * (log p_toward - log p_away), normalised."""

    def __init__(self, own: Model, toward: Model, away: Model, strength: float) -> None:
        super().__init__([own, toward] if away is own else [own, toward, away])
        self.weights = (1 - strength, strength) if away is own else (1.0, strength, -strength)

    def mixed(self, logits: Sequence[Tensor]) -> Tensor:
        """Mix the predictions of all parts, (..., V) each."""
        weighted = [weight * log_p for weight, log_p in zip(self.weights, log_p_of(logits), strict=True)]
        return torch.stack(weighted).sum(dim=0).log_softmax(dim=-1)
