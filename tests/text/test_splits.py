import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError
from wavemore.text.lines import Lines
from wavemore.text.reading import read_lines
from wavemore.text.splits import MIN_DISTINCT, split

enough_lines = st.lists(st.integers(0, 60).map(str), min_size=1, max_size=120).filter(
    lambda lines: len(set(lines)) >= MIN_DISTINCT
)
seeds = st.integers(-(2**70), 2**70)


def parts(raw: list[str], seed: int = 0) -> list[set[str]]:
    lines = Lines.from_iterable(raw)
    return [set(lines.take(indices)) for indices in split(lines, "distinct", seed)]


@given(enough_lines, seeds)
def test_distinct_puts_all_copies_of_a_line_into_one_part(raw: list[str], seed: int) -> None:
    indices = split(Lines.from_iterable(raw), "distinct", seed)
    assert sorted(np.concatenate(indices).tolist()) == list(range(len(raw)))
    assert all((np.diff(side) > 0).all() for side in indices)  # the order of the file
    train, val, test = parts(raw, seed)
    assert train.isdisjoint(val | test)
    assert val.isdisjoint(test)
    held_out = round(len(set(raw)) / 10)
    assert len(val) == len(test) == held_out >= 1


@given(enough_lines, seeds, st.randoms(use_true_random=False))
def test_distinct_depends_on_the_lines_and_not_on_their_order(
    raw: list[str], seed: int, shuffler: random.Random
) -> None:
    shuffled = raw.copy()
    shuffler.shuffle(shuffled)
    assert parts(raw, seed) == parts(shuffled + shuffled[:5], seed)


def test_distinct_depends_only_on_the_seed() -> None:
    raw = [f"line {i}" for i in range(1000)]
    assert parts(raw, 3) == parts(raw, 3)
    (_, val, _), (_, other, _) = parts(raw, 3), parts(raw, 4)
    assert len(val & other) < 30  # 10 expected by chance


def test_distinct_moves_few_lines_when_some_are_added() -> None:
    raw = [f"line {i}" for i in range(2000)]
    before, after = parts(raw), parts([*(f"new {i}" for i in range(100)), *raw])
    stayed = sum(len(old & new) for old, new in zip(before, after, strict=True))
    assert stayed > 0.97 * len(raw)


def splitmix64(value: int) -> int:
    """The mixing step of splitmix64 with Python's own integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**64 + 1])
def test_distinct_ranks_lines_by_splitmix64_of_their_hash_and_the_seed(seed: int) -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the first output of the published generator
    raw = [f"line {i}" for i in range(20)]

    def rank(line: str) -> int:
        line_hash = int(Lines.from_iterable([line]).hashes()[0])
        return splitmix64(line_hash ^ splitmix64(seed % 2**64))

    ranked = sorted(raw, key=rank)
    assert parts(raw, seed) == [set(ranked[:16]), set(ranked[16:18]), set(ranked[18:])]


@given(st.lists(st.sampled_from("abc"), min_size=10, max_size=50))
def test_lecture_is_a_shuffle_with_seed_42_cut_in_three(raw: list[str]) -> None:
    words = raw.copy()
    random.Random(42).shuffle(words)
    n1, n2 = int(0.8 * len(words)), int(0.9 * len(words))
    lines = Lines.from_iterable(raw)
    for seed in (0, 7):
        train, val, test = (list(lines.take(indices)) for indices in split(lines, "lecture", seed))
        assert (train, val, test) == (words[:n1], words[n1:n2], words[n2:])


def test_the_error_for_too_few_lines_counts_them() -> None:
    nine = Lines.from_iterable(list("abcdefghi") * 2)
    with pytest.raises(DataError, match=r"^9 distinct lines cannot be split .*; at least 10 are needed"):
        split(nine, "distinct")
    with pytest.raises(DataError, match=r"^9 lines cannot be split .*; at least 10 are needed"):
        split(nine[:9], "lecture")
    assert [len(side) for side in split(nine, "lecture")] == [14, 2, 2]


def test_the_error_for_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="`split_method` is 'random'; for a list, it must be distinct or lecture"):
        split(Lines.from_iterable(["a"]), "random")  # type: ignore[arg-type]


def test_the_lecture_split_of_the_lectures_names(shared_data: Path) -> None:
    lines, report, _ = read_lines(shared_data / "names.txt")
    assert (report.lines, report.distinct) == (32_033, 29_494)
    train, val, test = (lines.take(indices) for indices in split(lines, "lecture"))
    targets = [int((side.lengths + 1).sum()) for side in (train, val, test)]
    assert targets == [182_625, 22_655, 22_866]
    known = set(train)
    assert (len(val), sum(name in known for name in val)) == (3_203, 424)
    assert (len(test), sum(name in known for name in test)) == (3_204, 377)
