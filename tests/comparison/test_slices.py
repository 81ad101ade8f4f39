import numpy as np
import pytest

import wavemore as wm
from wavemore.comparison.slices import line_sums, looks, surprise_of_pairs
from wavemore.engine.evaluate import positions_of

NAMES = ["ada", "bea", "cleo", "dora", "ella", "fay", "gwen", "hope", "iris", "june", "rosalinde", "sue", "quin", "ada"]


@pytest.fixture
def corpus() -> wm.Corpus:
    return wm.Corpus.from_lines(NAMES * 20, split="lecture")


def test_every_target_is_seen_once_in_every_group(corpus: wm.Corpus) -> None:
    names = wm.load("names")
    for of in (corpus, names):
        found = looks(of, of.val)
        groups = {look.group for look in found}
        assert groups <= {"length", "pairs", "train", "position"}
        assert {"length", "pairs", "position"} <= groups
        for group in groups:
            times = np.sum([look.targets for look in found if look.group == group], axis=0)
            assert (times == 1).all(), group


def test_positions_double_behind_the_eighth() -> None:
    part = wm.load("names").val
    found = {look.what: look.targets for look in looks(wm.load("names"), part) if look.group == "position"}
    assert list(found) == [*map(str, range(1, 9)), f"9 to {part.lines.lengths.max()}", "end of line"]
    assert (part.tokens[found["end of line"]] == 0).all()
    assert (positions_of(part.tokens)[found["3"]] == 2).all()
    assert found["1"].sum() == len(part.lines)


def test_lines_that_stand_in_train_are_a_kind_only_where_there_are_such(corpus: wm.Corpus) -> None:
    assert not [look for look in looks(wm.load("names"), wm.load("names").val) if look.group == "train"]
    lines = [*NAMES * 3, *(f"{name}{last}" for name in NAMES for last in "xyz")]
    some = wm.Corpus.from_lines(lines, split="lecture")
    (known, fresh) = (look for look in looks(some, some.val) if look.group == "train")
    assert (known.what, fresh.what) == ("stands in train too", "not in train")
    in_train = set(some.train.lines)
    assert known.targets.sum() == sum(len(line) + 1 for line in some.val.lines if line in in_train)


def test_sums_are_by_line(corpus: wm.Corpus) -> None:
    sizes = [len(line) + 1 for line in corpus.val.lines]
    assert line_sums(corpus.val, np.ones(corpus.val.targets)).tolist() == sizes


def test_the_surprise_is_that_of_counted_pairs() -> None:
    corpus = wm.Corpus.from_lines(NAMES * 5, split="lecture")
    pairs: dict[tuple[str, str], int] = {}
    for line in corpus.train.lines:
        for pair in zip(f"\n{line}", f"{line}\n", strict=True):
            pairs[pair] = pairs.get(pair, 0) + 1
    befores: dict[str, int] = {}
    for (before, _), count in pairs.items():
        befores[before] = befores.get(before, 0) + count
    size = len(corpus.vocabulary)
    for line, nats in zip(corpus.val.lines, surprise_of_pairs(corpus, corpus.val), strict=True):
        each = [
            np.log((befores.get(before, 0) + size) / (pairs.get((before, after), 0) + 1))
            for before, after in zip(f"\n{line}", f"{line}\n", strict=True)
        ]
        assert nats == pytest.approx(np.mean(each))
