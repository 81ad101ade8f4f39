"""Known lines near to texts: the same as comparing each with each."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from wavemore.errors import UsageError
from wavemore.text.lines import Lines
from wavemore.text.nearest import Distinct, NearLines

WORDS = st.text("abé天😀", min_size=1, max_size=24)
CHARACTERS = st.characters(exclude_categories=["Z", "C"])


@st.composite
def near_words(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Known lines, and texts of which some are such lines with a few edits."""
    known = draw(st.lists(WORDS | st.text("ab", min_size=40, max_size=60), min_size=1, max_size=12))
    texts = draw(st.lists(st.text("abé天😀", max_size=24), max_size=4))
    for line in draw(st.lists(st.sampled_from(known), max_size=6)):
        text = list(line)
        for place, added in draw(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["", "a", "天"])), max_size=6)):
            if draw(st.booleans()):
                text.insert(place % (len(text) + 1), added)
            elif text:
                text[place % len(text)] = added
        texts.append("".join(text))
    return known, texts


@given(near_words(), st.integers(0, 12))
@example((["ab"], ["", "b", "cab"]), 1)
@example((["a" * 18 + "b" * 18], ["b" + "a" * 18 + "b" * 17, "a" * 17 + "b" * 17]), 2)
def test_it_finds_what_comparing_all_finds(words: tuple[list[str], list[str]], distance: int) -> None:
    known, texts = words
    near = NearLines(Lines.from_iterable(known))
    compared = [[Levenshtein.distance(text, line) for line in known] for text in texts]
    expected = [(known[int(np.argmin(row))], min(row)) for row in compared]
    assert near.nearest(texts) == expected
    assert near.within(texts, distance).tolist() == [found <= distance for _, found in expected]
    limited = [(line, found) if found <= distance else ("", distance + 1) for line, found in expected]
    assert near.nearest(texts, most=distance) == limited


@settings(max_examples=30)
@given(st.lists(st.text(CHARACTERS, min_size=1, max_size=20), min_size=1, max_size=20), st.integers(0, 3))
def test_any_characters(known: list[str], distance: int) -> None:
    near = NearLines(Lines.from_iterable(known))
    texts = [line[:3] + line[4:] for line in known]
    expected = [min(Levenshtein.distance(text, line) for line in known) <= distance for text in texts]
    assert near.within(texts, distance).tolist() == expected
    assert near.nearest(known) == [(line, 0) for line in known]


def test_many_lines_that_share_a_half() -> None:
    known = [f"{'x' * 12}{number:012}" for number in range(3_000)]
    near = NearLines(Lines.from_iterable(known))
    texts = [known[7].replace("xx", "xy", 1), known[2_999][1:], "y" * 12 + "0" * 12]
    assert near.within(texts, 1).tolist() == [True, True, False]
    assert near.nearest(texts) == [(known[7], 1), (known[2_999], 1), (known[0], 12)]


@given(st.lists(st.text("ab天", max_size=12), max_size=20), st.integers(0, 4) | st.just(11))
def test_accepted_texts_are_far_from_each_other(texts: list[str], distance: int) -> None:
    distinct, accepted = Distinct(distance), list[str]()
    for text in texts:
        is_far = all(Levenshtein.distance(text, other) >= distance for other in accepted)
        assert distinct.accept(text) == is_far
        accepted += [text] * is_far


def test_wrong_requests_are_refused() -> None:
    near = NearLines(Lines.from_iterable([]))
    assert near.within(["a", ""], 2).tolist() == [False, False]
    assert NearLines(Lines.from_iterable(["a"])).within([], 1).tolist() == []
    with pytest.raises(UsageError, match="there are no known lines"):
        near.nearest(["a"])
    with pytest.raises(UsageError, match="`texts` is one string"):
        near.within("anna", 1)
    with pytest.raises(UsageError, match="`distance` is -1"):
        near.within(["anna"], -1)
    with pytest.raises(UsageError, match="`distance` is -1"):
        Distinct(-1)
