"""New lines from a model: drawn in batches, filtered, each with its log-probability.

Shapes: B lines drawn at once, D distinct beginnings of these, T positions, V vocabulary.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from operator import index
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.evaluate import eval_mode
from wavemore.engine.sampling import Sampling
from wavemore.engine.threads import measured
from wavemore.errors import ModelError, UsageError, refuse_string, require
from wavemore.nn.model import Decoder, Model
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

FIRST_BATCH, MAX_BATCH = 32, 32_768  # lines that are drawn at once
MAX_BATCH_CHARACTERS, MAX_BATCH_LOGITS = 2**19, 2**23  # of long lines, and with a large vocabulary, fewer are
MAX_FAILED_CHARACTERS = 2**18  # drawn in a row without a line that passes: then it ends
MIN_SHARED = 256  # beginnings whose next step takes long enough to be shared by several threads
MIN_TEMPERATURE = 1e-200  # logits divided by a lower one could be infinite; this is greedy already


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


def generate(
    model: Model,
    vocabulary: Vocabulary,
    n: int,
    sampling: Sampling,
    known: Iterable[str] | NDArray[np.uint64] | None = None,
) -> Iterator[Sample]:
    """Draw lines until `n` have passed the filters; yield fewer if more draws no longer help.

    `known` are the lines of the data, or their hashes (`Corpus.line_hashes`), to tell new lines; without them every
    line is new. With another `n`, the same seed gives the same lines, only more or fewer.

    If the model has labels, the lines are drawn for that of `sampling`, or each for a random one.

    Raises `UnknownCharacterError` for a prefix with a character that is not in the vocabulary, `UsageError` for a label
    that is not, and for temperature 0 if the most likely line does not end, and `ModelError` if the vocabulary is not
    the model's.
    """
    require(n >= 0, "n", n, "at least 0")
    model.require_vocabulary(vocabulary.characters, vocabulary.labels.names)
    sampling = replace(sampling, prefix=vocabulary.clean(sampling.prefix))
    if sampling.prefix != sampling.prefix.lstrip():
        raise UsageError(f"`prefix` is {sampling.prefix!r}; lines never begin with a space, so it must not either")
    source = _Source(model, vocabulary, sampling, _sorted_hashes(known, vocabulary))
    if sampling.temperature == 0 and n > 0:
        yield from _greedy(source, n)
        return
    made = failed = 0
    previous: set[str] = set()
    while made < n and failed < MAX_FAILED_CHARACTERS:
        before, drawn = made, source.characters
        for sample in source.draw(source.batch_size):
            if (sampling.new and not sample.new) or (sampling.distinct and sample.text in previous):
                continue
            if sampling.distinct:
                previous.add(sample.text)
            made += 1
            yield sample
            if made == n:
                return
        failed = 0 if made > before else failed + source.characters - drawn


def _sorted_hashes(known: Iterable[str] | NDArray[np.uint64] | None, vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """Return the hashes of lines, or given hashes, in ascending order."""
    refuse_string(known, "known")
    if known is None:
        return np.zeros(0, np.uint64)
    if not isinstance(known, np.ndarray):
        require(isinstance(known, Iterable), "known", known, "a list of strings, or their 64-bit hashes")
        known = list(known)
    if len(known) == 0 or isinstance(known[0], str):
        return np.sort(Lines.from_iterable(map(vocabulary.clean, known)).hashes())
    try:
        numbers: Any = known
        hashes = known if isinstance(known, np.ndarray) else np.array([index(number) for number in numbers], np.uint64)
        return np.sort(hashes.astype(np.uint64, casting="safe"))
    except (TypeError, OverflowError):
        raise UsageError("`known` is neither a list of strings nor their 64-bit hashes") from None


def _greedy(source: "_Source", n: int) -> Iterator[Sample]:
    sampling, line = source.sampling, next(source.draw(1), None)  # all lines are the same
    if line is None:
        raise UsageError(
            f"the most likely line does not end within {sampling.max_length} characters; raise `max_length`, or set "
            "`temperature` above 0"
        )
    if line.new or not sampling.new:
        yield from [line] * (1 if sampling.distinct else n)


@dataclass
class _Source:
    model: Model
    vocabulary: Vocabulary
    sampling: Sampling
    known: NDArray[np.uint64]

    def __post_init__(self) -> None:
        self.prefix = self.vocabulary.encode(self.sampling.prefix)
        labels, label = self.vocabulary.labels, self.sampling.label
        self.label = labels.number(label) if label else None  # of all lines
        self.shares = torch.from_numpy(labels.shares)[None] if labels and not label else None  # (1, K)
        self.generator = torch.Generator().manual_seed(self.sampling.seed)  # on the CPU: the same on every device
        self.lines = self.characters = 0  # drawn so far

    @property
    def batch_size(self) -> int:
        """The lines of the next batch: as many as in all batches before it.

        Lines drawn together may round differently from the same lines drawn in a smaller batch. So that more lines
        begin with the same ones, the batches do not depend on how many are wanted.
        """
        longest = MAX_BATCH_CHARACTERS // self.sampling.max_length
        most = min(MAX_BATCH, longest, MAX_BATCH_LOGITS // self.model.vocabulary_size)
        return max(1, min(most, max(FIRST_BATCH, self.lines)))

    def draw(self, size: int) -> Iterator[Sample]:
        """Draw `size` lines, and leave out those that do not end within the maximum length.

        Lines with the same beginning have the same state, so the decoder holds each distinct beginning once.
        """
        device, vocabulary_size, prefix = self.model.device, self.model.vocabulary_size, self.prefix
        self.lines += size
        columns: list[NDArray[np.int64]] = []  # (B,) ids at each position, boundaries after the end of a line
        nats = torch.zeros(size, dtype=torch.float64)
        lengths = np.full(size, -1)  # -1: not ended
        lines = torch.arange(size)  # (B,) the lines that have not ended
        labels = self._draw_labels(size)
        with eval_mode(self.model):
            decoder, beginnings = self._begin(size, labels)  # (B,) the decoder's row of each
            for position in range(self.sampling.max_length + 1):
                logits = decoder.logits.cpu()  # (D, V)
                self.characters += len(lines)
                if position < len(prefix):
                    ids = torch.full_like(lines, int(prefix[position]))  # (B,)
                else:
                    ids = draw(probabilities(logits, self.sampling, position), beginnings, self.generator)
                surprise = -logits.log_softmax(dim=1)  # (D, V)
                extended = beginnings * vocabulary_size + ids  # (B,) each beginning with its next character
                nats[lines] += surprise.flatten()[extended]
                ended = (ids == BOUNDARY) & (position >= len(prefix))
                lengths[lines[ended].numpy()] = position
                if position == self.sampling.max_length or bool(ended.all()):
                    break
                lines, ids, extended = lines[~ended], ids[~ended], extended[~ended]
                columns.append(np.full(size, BOUNDARY))
                columns[-1][lines.numpy()] = ids.numpy()
                distinct, beginnings = torch.unique(extended, return_inverse=True)  # (D,), (B,)
                rows = distinct // vocabulary_size
                if not torch.equal(rows, torch.arange(len(logits))):  # else every beginning has one continuation
                    decoder.select(rows.to(device))
                step = partial(decoder.step, (distinct % vocabulary_size).to(device))
                if len(distinct) < MIN_SHARED:
                    step()
                else:
                    with measured("sampling", len(distinct)):
                        step()
        return self._samples(np.array(columns, np.int64).reshape(-1, size).T, lengths, nats.numpy(), labels)

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

    def _samples(
        self,
        ids: NDArray[np.int64],
        lengths: NDArray[np.int64],
        nats: NDArray[np.float64],
        labels: Tensor | None,
    ) -> Iterator[Sample]:
        """Decode ids, (B, T), to lines that have ended and that the data could hold: clean, without spaces around."""
        spaces = [number for number, char in enumerate(self.vocabulary.characters, start=1) if char.isspace()]
        padded = np.pad(ids, ((0, 0), (0, 1)))  # an empty line has a boundary as its first and last character
        first, last = padded[:, 0], padded[np.arange(len(ids)), np.maximum(lengths - 1, 0)]
        valid = (lengths >= 0) & ~np.isin(first, spaces) & ~np.isin(last, spaces)
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


def probabilities(logits: Tensor, sampling: Sampling, position: int) -> Tensor:
    """Apply minimum length, temperature, top-k and top-p: (D, V) -> (D, V), rows that sum to 1."""
    if position < sampling.min_length:
        logits = logits.clone()
        logits[:, BOUNDARY] = -torch.inf
    if sampling.temperature == 0:
        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).double()
    if sampling.temperature != 1:
        logits = logits.double() / max(sampling.temperature, MIN_TEMPERATURE)
    if sampling.top_k != "all" and sampling.top_k < logits.shape[1]:
        smallest = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    p = logits.softmax(dim=1)
    if sampling.top_p < 1:
        ordered, order = p.sort(dim=1, descending=True)
        outside = ordered.cumsum(dim=1) - ordered >= sampling.top_p  # never the most likely one
        p = p.masked_fill(outside.gather(1, order.argsort(dim=1)), 0.0)
    return p / p.sum(dim=1, keepdim=True)


def draw(p: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a character for each line, from its row of probabilities: (D, V), (B,) -> (B,).

    The cumulative probabilities of row d fill the interval from d to d + 1 of one line. A uniform number of the row
    falls on a character as often as the character is likely.

    >>> draw(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 0, 0]), torch.Generator()).tolist()
    [0, 1, 1]
    """
    cumulative = p.double().cumsum(dim=1)  # (D, V)
    if not bool(cumulative[:, -1].isfinite().all()):
        raise ModelError("the model's predictions are not finite numbers: its weights are damaged, or too large")
    cumulative = cumulative / cumulative[:, -1:] + torch.arange(len(p))[:, None]
    # Slightly below 1, so that adding the row does not round it up into the next row.
    uniform = torch.rand(len(rows), dtype=torch.float64, generator=generator) * (1 - 1e-9)
    return torch.searchsorted(cumulative.flatten(), rows + uniform, right=True) - rows * p.shape[1]
