"""New lines from a model: drawn in batches, filtered, each with its log-probability."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.evaluate import score
from wavemore.engine.line_source import LineSource, Sample
from wavemore.engine.sampling import Sampling
from wavemore.engine.wishes import is_plain, wished
from wavemore.errors import A_SAMPLING, A_VOCABULARY, UsageError, refuse_string, require, require_kind, whole
from wavemore.nn.model import Model, require_model
from wavemore.text.arrays import is_among
from wavemore.text.lines import Lines
from wavemore.text.nearest import Distinct, NearLines
from wavemore.text.vocabulary import Vocabulary

MAX_FAILED_CHARACTERS = 2**18  # drawn in a row without a line that passes: then it ends
MANY_LINES, FEW_END = 1_024, 0.1  # if fewer of so many lines end, the maximum length is a wish like the others
COMPARED = 256  # lines that are compared with the known ones at once
MAX_LISTED = 10_000  # lines that meet the wishes: if so few exist, the last ones are found by listing all

Known = Lines | Iterable[str] | NDArray[np.uint64] | None
"""Lines of the data, or their hashes."""


def generate(
    model: Model,
    vocabulary: Vocabulary,
    n: int,
    sampling: Sampling,
    known: Known = None,
) -> Iterator[Sample]:
    """Draw lines that meet the wishes of `sampling` until there are `n`; yield fewer if there are no more.

    Lines are as likely as the model finds them among all lines that meet the wishes. A beginning, an end, parts, a
    pattern and lengths are met by construction: each character is drawn with a lookahead (`engine/lookahead.py`), and
    lines are then accepted so that their frequencies are right. `new`, `distinct` and `min_distance` filter what is
    drawn.

    `known` are the lines of the data, to tell new lines and their distance, or their hashes (`Corpus.line_hashes`),
    which suffice without `min_distance`; without them every line is new. With another `n`, the same seed gives the same
    lines, only more or fewer.

    If the model has labels, the lines are drawn for that of `sampling`, or each for a random one.

    Raises `UnknownCharacterError` for a character that is not in the vocabulary, `UsageError` for a label that is not,
    for wishes that no line meets and for temperature 0 if the most likely line does not end, and `ModelError` if the
    vocabulary is not the model's.
    """
    n = whole(n, "n")
    if isinstance(known, Iterator):
        known = list(known)
    require_model(model)
    require_kind(vocabulary, "vocabulary", Vocabulary, A_VOCABULARY)
    require_kind(sampling, "sampling", Sampling, A_SAMPLING)
    model.require_vocabulary(vocabulary.characters, vocabulary.labels.names)
    sampling = replace(sampling, prefix=vocabulary.clean(sampling.prefix))
    if sampling.prefix != sampling.prefix.lstrip():
        raise UsageError(f"`prefix` is {sampling.prefix!r}; lines never begin with a space, so it must not either")
    automaton = None
    if not is_plain(sampling) or (sampling.prefix and vocabulary.labels):  # some labels begin more often like this
        automaton = wished(sampling, vocabulary)
    source = LineSource(model, vocabulary, sampling, _sorted_hashes(known, vocabulary), automaton)
    if sampling.temperature == 0 and n > 0:
        yield from _greedy(source, n)
        return
    far = _Filter(sampling, _near_lines(known, vocabulary) if sampling.min_distance > 0 else None)
    made = failed = 0
    while made < n and failed < MAX_FAILED_CHARACTERS:
        before, drawn = made, source.characters
        for sample in far.passing(source.draw(source.batch_size)):
            made += 1
            yield sample
            if made == n:
                return
        failed = 0 if made > before else failed + source.characters - drawn
        if source.lookahead is None and source.lines >= MANY_LINES and 0 < source.ended < FEW_END * source.lines:
            source.steer(wished(sampling, vocabulary))
    if sampling.distinct and sampling.top_k == "all" and sampling.top_p == 1:
        yield from islice(far.passing(_all_lines(source)), n - made)


class _Filter:
    """Lets pass what is new, distinct, and far enough from known lines and from what has passed before."""

    def __init__(self, sampling: Sampling, near: NearLines | None) -> None:
        self.new, self.distinct, self.distance = sampling.new, sampling.distinct, sampling.min_distance
        self.near = near
        self.previous: set[str] = set()
        self.others = Distinct(self.distance)

    def passing(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yield the samples that pass."""
        if self.near is None:
            yield from filter(self._passes, samples)
            return
        while batch := list(islice(samples, COMPARED)):
            close = self.near.within([sample.text for sample in batch], self.distance - 1)
            far = (sample for sample, is_close in zip(batch, close.tolist(), strict=True) if not is_close)
            yield from filter(self._passes, far)

    def _passes(self, sample: Sample) -> bool:
        if self.new and not sample.new:
            return False
        if self.distance > 0:
            return self.others.accept(sample.text)
        if self.distinct and sample.text in self.previous:
            return False
        if self.distinct:
            self.previous.add(sample.text)
        return True


def _all_lines(source: LineSource) -> Iterator[Sample]:
    """Yield all lines that meet the wishes, the most likely first, if they are few."""
    sampling, vocabulary = source.sampling, source.vocabulary
    automaton = source.automaton or wished(sampling, vocabulary)
    few = automaton.count(sampling.min_length, sampling.max_length) <= MAX_LISTED
    if not few or (vocabulary.labels and not sampling.label):
        return
    lines = map(vocabulary.decode, automaton.lines(sampling.min_length, sampling.max_length))
    texts = [text for text in lines if vocabulary.clean(text) == text]
    labels = [sampling.label] * len(texts) if sampling.label else None
    scores = score(source.model, vocabulary, texts, labels=labels)
    lengths = np.array([len(text) for text in texts], np.int64)
    new = ~is_among(Lines("".join(text + "\n" for text in texts), lengths).hashes(), source.known)
    for found, is_new in sorted(zip(scores, new.tolist(), strict=True), key=lambda pair: pair[0].nats):
        yield Sample(found.text, found.nats, is_new, sampling.label)


def _near_lines(known: Known, vocabulary: Vocabulary) -> NearLines:
    """Return the known lines to search in."""
    if isinstance(known, Lines):
        return NearLines(known)
    texts = [] if known is None else list(known)
    if texts and not isinstance(texts[0], str):
        raise UsageError("`min_distance` needs the known lines, not their hashes: give `known` as a list of strings")
    return NearLines(Lines.from_iterable(map(vocabulary.clean, texts)))


def _sorted_hashes(known: Known, vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """Return the hashes of lines, or given hashes, in ascending order."""
    refuse_string(known, "known")
    if known is None:
        return np.zeros(0, np.uint64)
    if isinstance(known, Lines):
        return np.sort(known.hashes())
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


def _greedy(source: LineSource, n: int) -> Iterator[Sample]:
    sampling, line = source.sampling, next(source.draw(1), None)  # all lines are the same
    if line is None:
        raise UsageError(
            f"the most likely line does not end within {sampling.max_length} characters; raise `max_length`, or set "
            "`temperature` above 0"
        )
    if line.new or not sampling.new:
        yield from [line] * (1 if sampling.distinct else n)
