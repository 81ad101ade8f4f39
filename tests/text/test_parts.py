import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import UsageError
from wavemore.text.lines import Lines
from wavemore.text.parts import LinePart, TextPart, windows
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

VOCABULARY = Vocabulary("abc")
line_lists = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=8)
texts = st.text("abc\n", max_size=30)


def line_part(lines: list[str]) -> LinePart:
    known = np.array([line[0] == "a" for line in lines])
    return LinePart(Lines.from_iterable(lines), VOCABULARY.encode_text("".join(f"{line}\n" for line in lines)), ~known)


def text_part(text: str) -> TextPart:
    return TextPart(VOCABULARY.encode_text(text))


def check_line_part(part: LinePart, expected: list[str]) -> None:
    assert list(part.lines) == expected
    assert VOCABULARY.decode_text(part.tokens) == "".join(f"{line}\n" for line in expected)
    assert part.leak_free.tolist() == [line[0] != "a" for line in expected]
    assert len(part.leak_free_targets) == part.num_targets


@given(line_lists, st.integers(1, 60))
def test_the_tail_of_a_list_is_the_most_whole_lines_that_fit(lines: list[str], count: int) -> None:
    def num_targets(lines: list[str]) -> int:
        return sum(len(line) + 1 for line in lines)

    tail = max(size for size in range(1, len(lines) + 1) if size == 1 or num_targets(lines[-size:]) <= count)
    check_line_part(line_part(lines).tail(count), lines[-tail:])


@given(line_lists, st.integers(1, 60))
def test_the_sample_of_a_list_is_whole_lines_in_their_order(lines: list[str], count: int) -> None:
    numbered = [f"{line}{'abc'[number % 3]}" for number, line in enumerate(lines)]
    sample = line_part(numbered).sample(count)
    places = iter(numbered)
    assert all(line in places for line in sample.lines)  # a subsequence
    assert sample.num_targets <= count or len(sample.lines) == 1
    check_line_part(sample, list(sample.lines))
    assert list(line_part(numbered).sample(count).lines) == list(sample.lines)


def test_the_sample_of_a_sorted_list_is_from_all_of_it() -> None:
    lines = [f"{'abc'[number // 100]}{'ab' * (number % 7)}" for number in range(300)]
    sample = line_part(lines).sample(600)
    assert 500 < sample.num_targets <= 600
    assert all(sum(line[0] == first for line in sample.lines) > 10 for first in "abc")


@given(texts, st.integers(0, 40))
def test_the_tail_of_a_text_is_its_last_characters(text: str, count: int) -> None:
    part = text_part(text)
    assert VOCABULARY.decode_text(part.tail(count).tokens) == text[max(0, len(text) - count) :]


def test_the_sample_of_a_text_is_pieces_at_equal_distances() -> None:
    tokens = np.arange(50_000, dtype=np.uint16)
    sample = TextPart(tokens).sample(2_000).tokens
    expected = [np.arange(start, start + 200) for start in range(0, 50_000, 5_000)]
    assert sample.tolist() == np.concatenate(expected).tolist()


def test_a_part_that_fits_is_not_copied() -> None:
    part = line_part(["ab", "c"])
    assert part.sample(5) is part
    assert part.tail(5) is part
    assert part.as_lines(VOCABULARY) is part


@given(texts)
def test_a_text_as_lines_has_the_same_targets_up_to_its_last_line_end(text: str) -> None:
    lines = text.split("\n")[:-1]
    part = text_part(text).as_lines(VOCABULARY)
    assert list(part.lines) == lines
    assert VOCABULARY.decode_text(part.tokens) == "".join(f"{line}\n" for line in lines)
    assert part.leak_free_targets.tolist() == text_part(text).leak_free_targets[: part.num_targets].tolist()


def lecture_contexts(lines: list[list[int]], context: int) -> list[list[int]]:
    """The loop of the lecture's `build_dataset`: a window that is shifted by one id per target."""
    contexts = []
    for line in lines:
        window = [BOUNDARY] * context
        for target in [*line, BOUNDARY]:
            contexts.append(window)
            window = [*window[1:], target]
    return contexts


@given(st.lists(st.lists(st.integers(1, 5), max_size=9), min_size=1, max_size=8), st.integers(1, 12))
def test_windows_are_the_contexts_of_the_lecture(lines: list[list[int]], context: int) -> None:
    tokens = np.array([i for line in lines for i in [*line, BOUNDARY]], np.uint8)
    contexts = windows(tokens, np.arange(len(tokens)), context)
    assert contexts.dtype == tokens.dtype
    assert contexts.tolist() == lecture_contexts(lines, context)


def test_windows_at_the_end_and_without_positions() -> None:
    tokens = np.array([1, 0, 2, 3], np.uint8)
    assert windows(tokens, np.array([4, 0]), 3).tolist() == [[0, 2, 3], [0, 0, 0]]
    assert windows(tokens, np.array([], np.int64), 3).shape == (0, 3)
    with pytest.raises(UsageError, match="`context` is 0"):
        windows(tokens, np.array([0]), 0)
