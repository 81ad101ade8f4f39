import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UnknownCharacterError, UsageError
from wavemore.text.corpus import Corpus, Part, windows
from wavemore.text.datasets import load
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

RAW = [
    "ada",
    "bea",
    "cleo",
    "dora",
    "ella",
    "fay",
    "gwen",
    "hope",
    "iris",
    "june",
    "kate",
    "ada",
    "joe.",
    "é",
]


def lecture_contexts(lines: list[list[int]], context: int) -> list[list[int]]:
    """The loop of the lecture's `build_dataset`: a window that is shifted by one id a target."""
    contexts = []
    for line in lines:
        window = [BOUNDARY] * context
        for target in [*line, BOUNDARY]:
            contexts.append(window)
            window = [*window[1:], target]
    return contexts


id_lines = st.lists(st.lists(st.integers(1, 5), max_size=9), min_size=1, max_size=8)


@given(id_lines, st.integers(1, 12))
def test_windows_are_the_contexts_of_the_lecture(lines: list[list[int]], context: int) -> None:
    tokens = np.array([i for line in lines for i in [*line, BOUNDARY]], np.uint8)
    found = windows(tokens, np.arange(len(tokens)), context)
    assert found.dtype == tokens.dtype
    assert found.tolist() == lecture_contexts(lines, context)


def test_windows_at_the_end_and_at_no_position() -> None:
    tokens = np.array([1, 0, 2, 3], np.uint8)
    assert windows(tokens, np.array([4, 0]), 3).tolist() == [[0, 2, 3], [0, 0, 0]]
    assert windows(tokens, np.array([], np.int64), 3).shape == (0, 3)
    with pytest.raises(UsageError, match="context of 0"):
        windows(tokens, np.array([0]), 0)


def decoded(part: Part, vocabulary: Vocabulary) -> list[str]:
    ends = np.flatnonzero(part.tokens == BOUNDARY)
    return [vocabulary.decode(ids[:-1]) for ids in np.split(part.tokens, ends[:-1] + 1)]


@pytest.mark.parametrize("split", ["distinct", "lecture"])
def test_tokens_are_the_lines_each_followed_by_a_boundary(split: str) -> None:
    corpus = Corpus.from_lines(RAW, split=split)  # type: ignore[arg-type]
    assert corpus.vocabulary == Vocabulary("".join(RAW))
    known = set(corpus.train.lines)
    for part in (corpus.train, corpus.val, corpus.test):
        assert decoded(part, corpus.vocabulary) == list(part.lines)
        assert part.targets == len(part.tokens) == sum(len(line) + 1 for line in part.lines)
        assert part.leak_free.tolist() == [line not in known for line in part.lines]
        by_target = [line not in known for line in part.lines for _ in range(len(line) + 1)]
        assert part.leak_free_targets.tolist() == by_target
    assert not corpus.train.leak_free.any()
    if split == "distinct":
        assert corpus.val.leak_free.all()
        assert corpus.test.leak_free.all()


def test_the_corpus_says_where_it_is_from() -> None:
    corpus = Corpus.from_lines([" ada ", *RAW], name="people", split_seed=5)
    assert (corpus.name, corpus.source, corpus.split, corpus.split_seed) == ("people", "", "distinct", 5)
    assert corpus.sha256 == hashlib.sha256("".join(f"{s}\n" for s in ["ada", *RAW]).encode()).hexdigest()
    assert len(corpus.line_hashes) == corpus.report.distinct == len(set(RAW))
    assert (np.diff(corpus.line_hashes.astype(object)) > 0).all()


def test_a_given_vocabulary_is_used_and_its_gaps_are_named() -> None:
    wide = Vocabulary("".join(RAW) + "xyz")
    assert Corpus.from_lines(RAW, vocabulary=wide).vocabulary is wide
    with pytest.raises(UnknownCharacterError, match=r"'é' \(U\+00E9\) at position 1 of 'é'"):
        Corpus.from_lines(RAW, vocabulary=Vocabulary("abcdefghijklmnopqrstuvwxyz."))


def test_lines_that_cannot_be_a_corpus_are_refused() -> None:
    with pytest.raises(DataError, match="0 distinct lines"):
        Corpus.from_lines([])
    with pytest.raises(DataError, match="surrogate"):
        Corpus.from_lines([*RAW, "\ud800"])


def test_leak_free_counts_of_the_lecture_split(shared_data: Path) -> None:
    corpus = load(shared_data / "names.txt", split="lecture")
    assert [part.targets for part in (corpus.train, corpus.val, corpus.test)] == [182_625, 22_655, 22_866]
    assert int((~corpus.val.leak_free).sum()) == 424
    assert int((~corpus.test.leak_free).sum()) == 377
    assert len(corpus.vocabulary) == 27
    assert corpus.sha256.startswith("0a30b555")
