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
from wavemore.errors import UsageError, refuse_string, require
from wavemore.nn.model import Model
from wavemore.text.arrays import is_among
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import Vocabulary

MAX_FAILED_CHARACTERS = 2**18  # drawn in a row without a line that passes: then it ends
MANY_LINES, FEW_END = 1_024, 0.1  # if fewer of so many lines end, the maximum length is a wish like the others
MAX_LISTED = 10_000  # lines that meet the wishes: if so few exist, the last ones are found by listing all


def generate(
    model: Model,
    vocabulary: Vocabulary,
    n: int,
    sampling: Sampling,
    known: Iterable[str] | NDArray[np.uint64] | None = None,
) -> Iterator[Sample]:
    """Draw lines that meet the wishes of `sampling` until there are `n`; yield fewer if there are no more.

    Lines are as likely as the model finds them among all lines that meet the wishes. A beginning, an end, parts, a
    pattern and lengths are met by construction: each character is drawn with a lookahead (`engine/lookahead.py`), and
    lines are then accepted so that their frequencies are right. `new` and `distinct` filter what is drawn.

    `known` are the lines of the data, or their hashes (`Corpus.line_hashes`), to tell new lines; without them every
    line is new. With another `n`, the same seed gives the same lines, only more or fewer.

    If the model has labels, the lines are drawn for that of `sampling`, or each for a random one.

    Raises `UnknownCharacterError` for a character that is not in the vocabulary, `UsageError` for a label that is not,
    for wishes that no line meets and for temperature 0 if the most likely line does not end, and `ModelError` if the
    vocabulary is not the model's.
    """
    require(n >= 0, "n", n, "at least 0")
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
        if source.lookahead is None and source.lines >= MANY_LINES and 0 < source.ended < FEW_END * source.lines:
            source.steer(wished(sampling, vocabulary))
    if sampling.distinct and sampling.top_k == "all" and sampling.top_p == 1:
        yield from islice(_rest(source, previous), n - made)


def _rest(source: LineSource, previous: set[str]) -> Iterator[Sample]:
    """Yield the lines that meet the wishes and were not drawn, the most likely first, if few lines meet them."""
    sampling, vocabulary = source.sampling, source.vocabulary
    automaton = source.automaton or wished(sampling, vocabulary)
    few = automaton.count(sampling.min_length, sampling.max_length) <= MAX_LISTED
    if not few or (vocabulary.labels and not sampling.label):
        return
    lines = automaton.lines(sampling.min_length, sampling.max_length)
    texts = [text for text in map(vocabulary.decode, lines) if text not in previous and vocabulary.clean(text) == text]
    labels = [sampling.label] * len(texts) if sampling.label else None
    scores = score(source.model, vocabulary, texts, labels=labels)
    new = ~is_among(Lines.from_iterable(texts).hashes(), source.known)
    for found, is_new in sorted(zip(scores, new.tolist(), strict=True), key=lambda pair: pair[0].nats):
        if is_new or not sampling.new:
            yield Sample(found.text, found.nats, is_new, sampling.label)


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


def _greedy(source: LineSource, n: int) -> Iterator[Sample]:
    sampling, line = source.sampling, next(source.draw(1), None)  # all lines are the same
    if line is None:
        raise UsageError(
            f"the most likely line does not end within {sampling.max_length} characters; raise `max_length`, or set "
            "`temperature` above 0"
        )
    if line.new or not sampling.new:
        yield from [line] * (1 if sampling.distinct else n)
