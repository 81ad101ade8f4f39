import numpy as np
import pytest

import wavemore as wm
from wavemore.comparison.slices import pair_nats, slices
from wavemore.engine.line_spans import positions_in_line

NAMES = ["ada", "bea", "cleo", "dora", "ella", "fay", "gwen", "hope", "iris", "june", "rosalinde", "sue", "quin", "ada"]


@pytest.fixture
def corpus() -> wm.LineCorpus:
    return wm.LineCorpus.from_lines(NAMES * 20, split_method="lecture")


def test_the_slices_of_a_group_hold_every_target_once(corpus: wm.LineCorpus) -> None:
    names = wm.load_corpus("names")
    for of in (corpus, names):
        results = slices(of, of.val)
        groups = {each.group for each in results}
        assert groups <= {"length", "pairs", "train", "position"}
        assert {"length", "pairs", "position"} <= groups
        for group in groups:
            times = np.sum([each.targets for each in results if each.group == group], axis=0)
            assert (times == 1).all(), group


def test_widths_of_positions_double_after_the_eighth() -> None:
    part = wm.load_corpus("names").val
    results = {each.name: each.targets for each in slices(wm.load_corpus("names"), part) if each.group == "position"}
    assert list(results) == [*map(str, range(1, 9)), f"9 to {part.lines.lengths.max()}", "end of line"]
    assert (part.tokens[results["end of line"]] == 0).all()
    assert (positions_in_line(part.tokens)[results["3"]] == 2).all()
    assert results["1"].sum() == len(part.lines)


def test_lines_that_are_in_train_have_a_slice_only_if_there_are_any(corpus: wm.LineCorpus) -> None:
    assert not [each for each in slices(wm.load_corpus("names"), wm.load_corpus("names").val) if each.group == "train"]
    lines = [*NAMES * 3, *(f"{name}{last}" for name in NAMES for last in "xyz")]
    some = wm.LineCorpus.from_lines(lines, split_method="lecture")
    (known, fresh) = (each for each in slices(some, some.val) if each.group == "train")
    assert (known.name, fresh.name) == ("also in train", "not in train")
    in_train = set(some.train.lines)
    assert known.targets.sum() == sum(len(line) + 1 for line in some.val.lines if line in in_train)


def test_pair_nats_are_those_of_counted_pairs() -> None:
    corpus = wm.LineCorpus.from_lines(NAMES * 5, split_method="lecture")
    pairs: dict[tuple[str, str], int] = {}
    for line in corpus.train.lines:
        for pair in zip(f"\n{line}", f"{line}\n", strict=True):
            pairs[pair] = pairs.get(pair, 0) + 1
    befores: dict[str, int] = {}
    for (before, _), count in pairs.items():
        befores[before] = befores.get(before, 0) + count
    size = len(corpus.vocabulary)
    for line, nats in zip(corpus.val.lines, pair_nats(corpus, corpus.val), strict=True):
        each = [
            np.log((befores.get(before, 0) + size) / (pairs.get((before, after), 0) + 1))
            for before, after in zip(f"\n{line}", f"{line}\n", strict=True)
        ]
        assert nats == pytest.approx(np.mean(each))
