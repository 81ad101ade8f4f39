import hashlib
from pathlib import Path

import numpy as np
import pytest

from wavemore.errors import DataError, UnknownCharacterError
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import LinePart
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

RAW = ["ada", "bea", "cleo", "dora", "ella", "fay", "gwen", "hope", "iris", "june", "kate", "ada", "joe.", "é"]


def lines_of(part: LinePart, vocabulary: Vocabulary) -> list[str]:
    ends = np.flatnonzero(part.tokens == BOUNDARY)
    return [vocabulary.decode(ids[:-1]) for ids in np.split(part.tokens, ends[:-1] + 1)]


@pytest.mark.parametrize("split", ["distinct", "lecture"])
def test_tokens_are_the_lines_each_followed_by_a_boundary(split: str) -> None:
    corpus = LineCorpus.from_lines(RAW, split_method=split)  # type: ignore[arg-type]
    assert corpus.vocabulary == Vocabulary("".join(RAW))
    known = set(corpus.train.lines)
    for part in (corpus.train, corpus.val, corpus.test):
        assert lines_of(part, corpus.vocabulary) == list(part.lines)
        assert part.num_targets == len(part.tokens) == sum(len(line) + 1 for line in part.lines)
        assert part.leak_free.tolist() == [line not in known for line in part.lines]
        by_target = [line not in known for line in part.lines for _ in range(len(line) + 1)]
        assert part.leak_free_targets.tolist() == by_target
    assert not corpus.train.leak_free.any()
    if split == "distinct":
        assert corpus.val.leak_free.all()
        assert corpus.test.leak_free.all()


def test_a_corpus_describes_its_source() -> None:
    corpus = LineCorpus.from_lines([" ada ", *RAW], name="people", split_seed=5)
    assert (corpus.name, corpus.source, corpus.split_method, corpus.split_seed) == ("people", "", "distinct", 5)
    assert corpus.sha256 == hashlib.sha256("".join(f"{s}\n" for s in ["ada", *RAW]).encode()).hexdigest()
    assert len(corpus.line_hashes) == corpus.report.distinct == len(set(RAW))
    assert (np.diff(corpus.line_hashes.astype(object)) > 0).all()


def test_a_given_vocabulary_is_used_and_an_unknown_character_is_an_error() -> None:
    wide = Vocabulary("".join(RAW) + "xyz")
    assert LineCorpus.from_lines(RAW, vocabulary=wide).vocabulary is wide
    with pytest.raises(UnknownCharacterError, match=r"'é' \(U\+00E9\) at position 1 of 'é'"):
        LineCorpus.from_lines(RAW, vocabulary=Vocabulary("abcdefghijklmnopqrstuvwxyz."))


def test_too_few_lines_and_lone_surrogates_are_errors() -> None:
    with pytest.raises(DataError, match="0 distinct lines cannot be split"):
        LineCorpus.from_lines([])
    with pytest.raises(DataError, match="surrogate"):
        LineCorpus.from_lines([*RAW, "\ud800"])


def test_leak_free_counts_of_the_lecture_split(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "names.txt", split_method="lecture")
    assert [part.num_targets for part in (corpus.train, corpus.val, corpus.test)] == [182_625, 22_655, 22_866]
    assert int((~corpus.val.leak_free).sum()) == 424
    assert int((~corpus.test.leak_free).sum()) == 377
    assert len(corpus.vocabulary) == 27
    assert corpus.sha256.startswith("0a30b555")
