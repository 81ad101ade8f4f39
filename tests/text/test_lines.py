from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError
from wavemore.text.arrays import scramble
from wavemore.text.lines import _CHUNK, MAX_LINE_LENGTH, Lines, collect
from wavemore.text.reports import LineReport

texts = st.lists(st.text(st.characters(exclude_characters="\r\n"), max_size=12), max_size=30)


@given(texts)
def test_lines_behave_like_a_list_of_strings(raw: list[str]) -> None:
    lines, report = collect(raw)
    expected = [line.strip() for line in raw if line.strip()]
    assert list(lines) == expected
    assert [lines[i] for i in range(len(lines))] == expected
    assert [lines[i] for i in range(-len(lines), 0)] == expected
    assert lines.lengths.tolist() == [len(line) for line in expected]
    assert list(lines[1:4]) == expected[1:4]
    assert list(lines[::-2]) == expected[::-2]
    assert replace(report, repairs=(), invisible=(), first="") == LineReport(
        lines=len(expected),
        distinct=len(set(expected)),
        blank=len(raw) - len(expected),
        longest=max(map(len, expected), default=0),
        characters=sum(map(len, expected)),
        alphabet=len(set("".join(expected))),
    )


@given(texts, st.data())
def test_take_selects_lines_and_their_hashes(raw: list[str], data: st.DataObject) -> None:
    lines = Lines.from_iterable(raw)
    indices = data.draw(st.lists(st.integers(0, len(lines) - 1)) if len(lines) else st.just([]))
    taken = lines.take(indices)
    assert list(taken) == [lines[i] for i in indices]
    assert taken.hashes().tolist() == Lines.from_iterable(taken).hashes().tolist()


def test_a_hash_is_the_sum_of_scrambled_characters_and_positions() -> None:
    lines = Lines.from_iterable(["emma", "josé", "😀", "ammé", "emma"])
    places = [np.array([ord(c) | i << 32 for i, c in enumerate(line + "\n")], np.uint64) for line in lines]
    expected = [sum(scramble(place).tolist()) % 2**64 for place in places]
    assert len(set(expected)) == 4
    assert lines.hashes().tolist() == expected
    assert lines.hashes().dtype == np.uint64


def test_lines_of_several_chunks() -> None:
    count = 2 * _CHUNK + 7
    lines = Lines.from_iterable(str(i) for i in range(count))
    assert list(lines) == [str(i) for i in range(count)]
    assert list(lines.take(np.arange(count)[::-1])) == [str(i) for i in reversed(range(count))]
    assert len(set(lines.hashes().tolist())) == count


def test_an_index_out_of_range_is_an_index_error() -> None:
    lines = Lines.from_iterable(["a", "b"])
    with pytest.raises(IndexError):
        lines[2]
    with pytest.raises(IndexError):
        lines[-3]


def test_the_report_is_a_sentence() -> None:
    assert str(collect(["ab", "ab", "", "c"])[1]) == (
        "3 lines (2 distinct), 5 characters (3 distinct), longest line 2, 1 blank line skipped"
    )
    assert str(collect(["abc"])[1]) == "1 line (all distinct), 3 characters (3 distinct), longest line 3"


def test_line_ends_around_a_line_are_stripped_and_inside_it_are_errors() -> None:
    assert list(Lines.from_iterable(["emma\r\n", "\nava\n"])) == ["emma", "ava"]
    for inside in ("em\nma", "em\rma"):
        with pytest.raises(DataError, match="line 2 has a line break inside"):
            Lines.from_iterable(["ava", inside])


def test_values_other_than_strings_are_errors() -> None:
    with pytest.raises(UsageError, match="one string"):
        Lines.from_iterable("emma")
    with pytest.raises(DataError, match="line 2 is of type int; give strings"):
        Lines.from_iterable(["emma", 3])  # type: ignore[list-item]


def test_a_line_of_the_maximum_length_is_allowed_and_a_longer_one_is_not() -> None:
    longest = "x" * MAX_LINE_LENGTH
    assert Lines.from_iterable(["a", f" {longest} "]).lengths.tolist() == [1, MAX_LINE_LENGTH]
    with pytest.raises(DataError, match=r"line 3 has 10,001 characters, more than 10,000; one item per line"):
        Lines.from_iterable(["a", "", longest + "x"])
