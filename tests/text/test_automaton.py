"""Automata say the same as plain string methods and `re.fullmatch`, on all short lines."""

import re
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wavemore.errors import UsageError
from wavemore.text.automaton import Automaton, begins, contains, ends, lacks, trimmed
from wavemore.text.pattern import matching

CHARACTERS = "abC"
IDS = [ids for length in range(6) for ids in product((1, 2, 3), repeat=length)]

atoms = st.sampled_from(
    ["a", "b", "C", ".", "[ab]", "[^a]", r"\w", r"\d", "[a-b]", "(?i:A)", "(?i:[a-c])", "(?i:[^c])"]
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+?", "?", "{2}", "{0,2}", "{1,}"])).map(lambda x: f"({x[0]}){x[1]}"),
        st.tuples(st.sampled_from(["^", "$", r"\A", ""]), inner, st.sampled_from(["$", r"\Z", "^", ""])).map("".join),
    )


patterns = st.recursive(atoms, compound, max_leaves=8)
literals = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def text(ids: tuple[int, ...]) -> str:
    return "".join(CHARACTERS[number - 1] for number in ids)


def passing(automaton: Automaton) -> list[tuple[int, ...]]:
    return [ids for ids in IDS if automaton.accepts_ids(ids)]


@given(patterns)
def test_a_pattern_is_python_s_fullmatch(pattern: str) -> None:
    assert passing(matching(pattern, CHARACTERS)) == [ids for ids in IDS if re.fullmatch(pattern, text(ids))]


@given(literals, st.sampled_from([begins, contains, ends, lacks]))
def test_words_are_found_where_they_are(ids: list[int], make: Callable[..., Automaton]) -> None:
    word = text(tuple(ids))
    methods: dict[Callable[..., Automaton], Callable[[str], bool]] = {
        begins: lambda line: line.startswith(word),
        contains: lambda line: word in line,
        ends: lambda line: line.endswith(word),
        lacks: lambda line: word not in line,
    }
    assert passing(make(np.array(ids), 4)) == [line for line in IDS if methods[make](text(line))]


def test_lines_are_trimmed() -> None:
    assert passing(trimmed(np.array([2]), 4)) == [ids for ids in IDS if 2 not in (*ids[:1], *ids[-1:])]


@given(patterns, patterns, literals, st.integers(0, 2), st.integers(2, 5))
def test_both_wishes_are_met_and_lines_are_counted_and_listed(
    one: str, other: str, ids: list[int], least: int, most: int
) -> None:
    both = matching(one, CHARACTERS) & matching(other, CHARACTERS) & lacks(np.array(ids), 4)
    word = text(tuple(ids))
    expected = [
        line
        for line in IDS
        if re.fullmatch(one, text(line)) and re.fullmatch(other, text(line)) and word not in text(line)
    ]
    assert passing(both) == expected
    expected = [line for line in expected if least <= len(line) <= most]
    assert list(both.lines(least, most)) == expected
    assert both.count(least, most) == len(expected)
    assert both.count(least, most, limit=2) == min(2, len(expected))


def test_the_smallest_automaton_is_kept() -> None:
    assert len(matching("(a|b|C)*", CHARACTERS).next) == 1
    assert len(matching("a?a?a?a?|aaa", CHARACTERS).next) == 5
    assert matching("[ab]*C", CHARACTERS).next.shape == (2, 2)


def test_characters_that_are_treated_alike_are_one_class() -> None:
    large = "".join(map(chr, range(0x4E00, 0x4E00 + 6_000)))
    assert matching(f".*{large[5]}.*", large).next.shape == (2, 2)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "is not a regular expression: missing \\), unterminated subpattern at position 0"),
        ("a{9999999999999999999}", "is not a regular expression"),
        ("(?=a)b", "looks ahead or back"),
        (r"(a)\1", "refers to a group"),
        (r"\ba", "has a word boundary"),
        ("(?>a)", "has an atomic group"),
        ("a++", "has a possessive repetition"),
        ("(a{100}){100}", "more than 5,000 nodes"),
        (".*a.{14}", "more than 10,000 states"),
        ("(" * 2_000 + "a" + ")" * 2_000, "too many groups within each other"),
    ],
)
def test_a_pattern_that_cannot_be_followed_is_one_error(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        matching(pattern, CHARACTERS)


@pytest.mark.filterwarnings("ignore:Possible (nested )?set:FutureWarning")  # as the program does
@given(st.text("ab(|)*+?{},[]^$.\\0123-:=!<>P#x", max_size=12))
@example("[0||")
@example("[0--")
def test_any_text_is_a_pattern_or_one_error(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError):
        with pytest.raises(UsageError):
            matching(pattern, CHARACTERS)
        return
    try:
        automaton = matching(pattern, CHARACTERS)
    except UsageError:
        assume(False)
    assert passing(automaton) == [ids for ids in IDS if re.fullmatch(pattern, text(ids))]
