"""Lines drawn from a model in batches, each with its log-probability.

Shapes: B lines drawn at once, D distinct beginnings of these, T positions, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from math import inf
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.draw import draw, probabilities
from wavemore.engine.evaluate import eval_mode
from wavemore.engine.lookahead import Lookahead, NextCounts, Steering, context_length
from wavemore.engine.sampling import Sampling
from wavemore.engine.threads import measured
from wavemore.nn.model import Decoder, Model
from wavemore.text.automaton import Automaton
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

FIRST_BATCH, MAX_BATCH = 32, 32_768  # lines that are drawn at once
MAX_BATCH_CHARACTERS, MAX_BATCH_LOGITS = 2**19, 2**23  # of long lines, and with a large vocabulary, fewer are
MIN_SHARED = 256  # beginnings whose next step takes long enough to be shared by several threads
LOOKAHEAD_LINES, STEERED_BATCH = 3_072, 1_024  # lines to count n-grams in, and to begin with towards the wishes;
FIRST_LOGITS = 2**20  # fewer with a large vocabulary
MAY_DIFFER = 50  # of so many lines that meet the wishes, one may be another, as very large weights are capped
MIN_ACCEPTED = 1 / 256  # of the lines that meet the wishes; of weights that need less, the largest are capped


class Sample(NamedTuple):
    """A generated line."""

    text: str
    nats: float
    """-log p of the whole line, its end included, at temperature 1, as `score` computes it."""
    new: bool
    """Whether the line is not in the data, with any label."""
    label: str = ""
    """The label that it was drawn with, of which `nats` are too; empty if the model has none."""

    @property
    def row(self) -> str:
        """The text, after its label and a tab if it has one."""
        return f"{self.label}\t{self.text}" if self.label else self.text


@dataclass
class LineSource:
    """Draws lines one batch after the other. With an automaton, all lines that it yields pass it."""

    model: Model
    vocabulary: Vocabulary
    sampling: Sampling
    known: NDArray[np.uint64]
    """The hashes of the lines of the data, in ascending order."""
    automaton: Automaton | None = None

    def __post_init__(self) -> None:
        self.prefix = self.vocabulary.encode(self.sampling.prefix)
        labels, label = self.vocabulary.labels, self.sampling.label
        self.label = labels.number(label) if label else None  # of all lines
        self.shares = torch.from_numpy(labels.shares)[None] if labels and not label else None  # (1, K)
        self.generator = torch.Generator().manual_seed(self.sampling.seed)  # on the CPU: the same on every device
        self.lines = self.characters = self.ended = self.accepted = 0  # drawn so far
        self.lookahead = None if self.automaton is None else self._look(self.automaton)
        self.log_cap = -inf  # the log of the weight from which a line is certainly accepted

    def steer(self, automaton: Automaton) -> None:
        """Draw all further lines towards what passes an automaton."""
        self.automaton, self.lookahead = automaton, self._look(automaton)

    def _look(self, automaton: Automaton) -> Lookahead:
        """Count n-grams of what the model predicts for some lines, and look ahead by these."""
        sampling = self.sampling
        counts = self.count(context_length(automaton, len(self.vocabulary), sampling.max_length))
        return Lookahead(automaton, counts, sampling.min_length, sampling.max_length)

    def count(self, k: int) -> NextCounts:
        """Draw some lines, and count what the model predicts after each context of `k` characters."""
        sampling = self.sampling
        counts = NextCounts(k, len(self.vocabulary), sampling.max_length)
        size = self._at_most(self._first(LOOKAHEAD_LINES))
        with eval_mode(self.model):
            free = _Counting(counts, replace(sampling, min_length=min(1, sampling.min_length)), self.prefix)
            self._draw(size, self._draw_labels(size), free)
        return counts

    @property
    def batch_size(self) -> int:
        """The lines of the next batch: as many as in all batches before it.

        Lines drawn together may round differently from the same lines drawn in a smaller batch. So that more lines
        begin with the same ones, the batches do not depend on how many are wanted.
        """
        first = FIRST_BATCH if self.lookahead is None else self._first(STEERED_BATCH)
        return self._at_most(max(first, self.lines))

    def _first(self, lines: int) -> int:
        return max(FIRST_BATCH, min(lines, FIRST_LOGITS // self.model.vocabulary_size))

    def _at_most(self, lines: int) -> int:
        longest = MAX_BATCH_CHARACTERS // self.sampling.max_length
        return max(1, min(lines, MAX_BATCH, longest, MAX_BATCH_LOGITS // self.model.vocabulary_size))

    def draw(self, size: int) -> Iterator[Sample]:
        """Draw `size` lines, and leave out those that do not end within the maximum length.

        Towards wishes, a line is accepted in proportion to its weight.
        """
        with eval_mode(self.model):
            labels = self._draw_labels(size)
            path: _Path = _Free(self.sampling, self.prefix)
            if self.lookahead is not None:
                path = _Steered(self.sampling, self.lookahead)
            drawn = self._draw(size, labels, path)
        valid = drawn.lengths >= 0
        if self.lookahead is not None:
            valid &= self._accept(drawn.log_weights)
        self.lines += size
        self.ended += int((drawn.lengths >= 0).sum())
        return self._samples(drawn, valid, labels)

    def _accept(self, log_weights: Tensor) -> NDArray[np.bool_]:
        """Accept lines in proportion to their weights, (B,).

        Weights above the cap are accepted too rarely: as often as one of the lines up to now may be another.
        """
        self.log_cap = max(self.log_cap, cap(log_weights, 1 / (MAY_DIFFER + self.accepted)))
        uniform = torch.rand(len(log_weights), dtype=torch.float64, generator=self.generator)
        accepted = (uniform.log() < log_weights - self.log_cap).numpy()
        self.accepted += int(accepted.sum())
        return accepted

    def _draw(self, size: int, labels: Tensor | None, path: "_Path") -> "_Drawn":
        """Draw lines on a path.

        Lines with the same beginning have the same state, so the decoder holds each distinct beginning once.
        """
        device, vocabulary_size = self.model.device, self.model.vocabulary_size
        columns: list[NDArray[np.int64]] = []  # (B,) ids at each position, boundaries after the end of a line
        nats = torch.zeros(size, dtype=torch.float64)
        log_weights = torch.full((size,), -inf, dtype=torch.float64)
        lengths = np.full(size, -1)  # -1: not ended
        lines = torch.arange(size)  # (B,) the lines that have not ended
        decoder, beginnings = self._begin(size, labels)  # (B,) the decoder's row of each
        path.begin(len(decoder.logits))
        for position in range(self.sampling.max_length + 1):
            logits = decoder.logits.cpu()  # (D, V)
            self.characters += len(lines)
            ids = draw(path.probabilities(logits, beginnings), beginnings, self.generator)
            surprise = -logits.log_softmax(dim=1)  # (D, V)
            extended = beginnings * vocabulary_size + ids  # (B,) each beginning with its next character
            nats[lines] += surprise.flatten()[extended]
            ended = ids == BOUNDARY
            lengths[lines[ended].numpy()] = position
            log_weights[lines[ended]] = path.log_weights(beginnings[ended])
            if position == self.sampling.max_length or bool(ended.all()):
                break
            lines, ids, extended = lines[~ended], ids[~ended], extended[~ended]
            columns.append(np.full(size, BOUNDARY))
            columns[-1][lines.numpy()] = ids.numpy()
            distinct, beginnings = torch.unique(extended, return_inverse=True)  # (D,), (B,)
            rows, ids = distinct // vocabulary_size, distinct % vocabulary_size
            if not torch.equal(rows, torch.arange(len(logits))):  # else every beginning has one continuation
                decoder.select(rows.to(device))
            path.extend(rows, ids)
            step = partial(decoder.step, ids.to(device))
            if len(distinct) < MIN_SHARED:
                step()
            else:
                with measured("sampling", len(distinct)):
                    step()
        return _Drawn(np.array(columns, np.int64).reshape(-1, size).T, lengths, nats.numpy(), log_weights)

    def _draw_labels(self, size: int) -> Tensor | None:
        """Return the number of each line's label, (B,); None if the model has none."""
        if self.label is not None:
            return torch.full((size,), self.label)
        if self.shares is None:
            return None
        if self.sampling.temperature == 0:
            return self.shares.argmax(dim=1).repeat(size)
        return draw(self.shares, torch.zeros(size, dtype=torch.int64), self.generator)

    def _begin(self, size: int, labels: Tensor | None) -> tuple[Decoder, Tensor]:
        """Return a decoder of the distinct beginnings, those of the labels, and the row of each line, (B,)."""
        if labels is None:
            return self.model.decoder(1), torch.zeros(size, dtype=torch.int64)
        distinct, beginnings = torch.unique(labels, return_inverse=True)
        return self.model.decoder(len(distinct), self.model.vocabulary_size + distinct), beginnings

    def _samples(self, drawn: "_Drawn", valid: NDArray[np.bool_], labels: Tensor | None) -> Iterator[Sample]:
        """Decode the valid lines that the data could hold: clean, without spaces around."""
        ids, lengths, nats = drawn.ids, drawn.lengths, drawn.nats
        spaces = [number for number, char in enumerate(self.vocabulary.characters, start=1) if char.isspace()]
        padded = np.pad(ids, ((0, 0), (0, 1)))  # an empty line has a boundary as its first and last character
        first, last = padded[:, 0], padded[np.arange(len(ids)), np.maximum(lengths - 1, 0)]
        valid = valid & ~np.isin(first, spaces) & ~np.isin(last, spaces)
        ids, lengths, nats = ids[valid], lengths[valid], nats[valid]
        width = ids.shape[1]
        characters = self.vocabulary.decode_text(ids.ravel())  # all rows at once, then cut at the lines' ends
        names = np.array([""] if labels is None else self.vocabulary.labels.names, np.object_)
        given = names[np.zeros(len(ids), np.int64) if labels is None else labels.numpy()[valid]]
        texts = [characters[row * width : row * width + length] for row, length in enumerate(lengths.tolist())]
        if not characters.isascii():  # a letter and an accent may be another form of a letter that the data has
            clean = np.array([text == self.vocabulary.clean(text) for text in texts], np.bool_)
            texts, lengths, nats, given = list(compress(texts, clean)), lengths[clean], nats[clean], given[clean]
        hashes = Lines("".join(text + "\n" for text in texts), lengths).hashes()
        new = np.searchsorted(self.known, hashes, "left") == np.searchsorted(self.known, hashes, "right")
        # One at a time: creating thousands of objects at once triggers slow garbage collections.
        return map(Sample._make, zip(texts, nats.tolist(), new.tolist(), given, strict=True))


class _Drawn(NamedTuple):
    """A batch of lines: ids (B, T), lengths (B,), nats (B,) and the logs of their weights (B,)."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    nats: NDArray[np.float64]
    log_weights: Tensor


def cap(log_weights: Tensor, excess: float) -> float:
    """Return the log of the weight from which a line is certainly accepted.

    It is the lowest one for which the weights above it are at most the fraction `excess` of all weights too large, or a
    lower one if fewer than `MIN_ACCEPTED` of the lines would be accepted.

    >>> cap(torch.tensor([2.0, 1.0, 3.0]), excess=0)
    3.0
    """
    w = log_weights[log_weights > -inf]
    if len(w) == 0:
        return -inf
    top = float(w.max())
    ordered = (w - top).exp().sort(descending=True).values
    larger = torch.arange(len(w), dtype=torch.float64)
    above = ordered.cumsum(0) - ordered  # the sum of all larger weights
    too_large = (above - larger * ordered) / ordered.sum()  # if each weight were the cap: ascending
    accepted = (ordered.sum() - above + larger * ordered) / (ordered * len(w))
    enough = int((too_large <= excess).sum()) - 1
    return top + float(ordered[max(enough, int((accepted >= MIN_ACCEPTED).int().argmax()))].log())


class _Path:
    """How the lines of a batch go on; one row per distinct beginning."""

    def begin(self, beginnings: int) -> None:
        """Start with empty beginnings, which may differ in their labels."""
        self.position = 0

    def probabilities(self, logits: Tensor, beginnings: Tensor) -> Tensor:
        """Return what the next character is drawn from, (D, V); `beginnings` is the row of each line, (B,)."""
        raise NotImplementedError

    def extend(self, rows: Tensor, ids: Tensor) -> None:
        """Continue with the beginnings in `rows`, (D,), each with one more character."""
        self.position += 1

    def log_weights(self, rows: Tensor) -> Tensor:
        """Return the logs of the weights of lines that end now, from their beginnings `rows`."""
        return torch.zeros(len(rows), dtype=torch.float64)


class _Free(_Path):
    """Each character as the model predicts it, after a prefix."""

    def __init__(self, sampling: Sampling, prefix: NDArray[np.integer]) -> None:
        self.sampling, self.prefix = sampling, prefix

    def probabilities(self, logits: Tensor, beginnings: Tensor) -> Tensor:
        if self.position < len(self.prefix):
            forced = torch.tensor(int(self.prefix[self.position]))
            return F.one_hot(forced, logits.shape[1]).double().repeat(len(logits), 1)
        inside = torch.arange(logits.shape[1]) != BOUNDARY
        return probabilities(logits, self.sampling, inside if self.position < self.sampling.min_length else None)


class _Counting(_Free):
    """The same, and what the model predicts is counted."""

    def __init__(self, counts: NextCounts, sampling: Sampling, prefix: NDArray[np.integer]) -> None:
        super().__init__(sampling, prefix)
        self.counts = counts

    def begin(self, beginnings: int) -> None:
        super().begin(beginnings)
        self.contexts = torch.zeros(beginnings, dtype=torch.int64)

    def probabilities(self, logits: Tensor, beginnings: Tensor) -> Tensor:
        lines = beginnings.bincount(minlength=len(logits))
        self.counts.add(self.position, self.contexts, probabilities(logits, self.sampling), lines)
        return super().probabilities(logits, beginnings)

    def extend(self, rows: Tensor, ids: Tensor) -> None:
        super().extend(rows, ids)
        self.contexts = self.counts.extend(self.contexts[rows], ids)


class _Steered(_Path):
    """Each character as the model predicts it, times the chance to meet the wishes after it."""

    def __init__(self, sampling: Sampling, lookahead: Lookahead) -> None:
        self.lookahead, self.greedy = lookahead, sampling.temperature == 0
        self.sampling = replace(sampling, temperature=1.0) if self.greedy else sampling

    def begin(self, beginnings: int) -> None:
        super().begin(beginnings)
        self.steering = Steering(self.lookahead, beginnings)

    def probabilities(self, logits: Tensor, beginnings: Tensor) -> Tensor:
        q = self.steering.steer(lambda possible: probabilities(logits, self.sampling, possible))
        return F.one_hot(q.argmax(dim=1), q.shape[1]).double() if self.greedy else q

    def extend(self, rows: Tensor, ids: Tensor) -> None:
        super().extend(rows, ids)
        self.steering.extend(rows, ids)

    def log_weights(self, rows: Tensor) -> Tensor:
        return self.steering.log_weights_at_end(rows)
