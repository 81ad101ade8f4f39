import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UnknownCharacterError
from wavemore.text.vocabulary import _CHUNK, BOUNDARY, Vocabulary

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
lines = st.text(characters)


@given(st.text(characters, min_size=1))
def test_decode_inverts_encode_for_any_unicode(line: str) -> None:
    vocabulary = Vocabulary(line)
    ids = vocabulary.encode(line)
    assert ids.dtype == vocabulary.dtype
    assert [vocabulary.characters[i - 1] for i in ids.tolist()] == list(line)
    assert vocabulary.decode(ids) == line
    assert vocabulary.decode(ids.tolist()) == line


@given(st.lists(lines, min_size=1).filter(lambda some: any(some)))
def test_encode_text_is_encode_line_by_line(some: list[str]) -> None:
    vocabulary = Vocabulary("".join(some))
    expected = [i for line in some for i in [*vocabulary.encode(line).tolist(), BOUNDARY]]
    assert vocabulary.encode_text("".join(line + "\n" for line in some)).tolist() == expected


@given(st.text(characters, min_size=1))
def test_json_round_trip(text: str) -> None:
    vocabulary = Vocabulary(text)
    content = vocabulary.to_json()
    assert content.isascii()
    assert Vocabulary.from_json(content) == vocabulary


def vocabulary_or_message(text: str) -> Vocabulary | str:
    try:
        return Vocabulary.from_json(text)
    except DataError as error:
        return str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("characters"), inner),
    max_leaves=5,
)


@given(st.text(st.characters()) | json_values.map(json.dumps))
def test_from_json_of_anything_is_a_vocabulary_or_a_one_line_error(text: str) -> None:
    result = vocabulary_or_message(text)
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
        assert result.encode()  # it can be printed, as it has no lone surrogate
    else:
        assert json.loads(text) == {"characters": result.characters}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "1" * 10_000,
        "null",
        "{}",
        '{"characters": 1}',
        '{"characters": ""}',
        '{"characters": "ba"}',
        '{"characters": "aa"}',
        '{"characters": "a\\nb"}',
        '{"characters": "\\ud800"}',
        '{"characters": "ab", "more": 1}',
    ],
)
def test_from_json_rejects_other_content(text: str) -> None:
    with pytest.raises(DataError) as caught:
        Vocabulary.from_json(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250


def test_full_stops_and_combining_marks_are_ordinary_characters() -> None:
    vocabulary = Vocabulary("a.\u0301😀")
    assert vocabulary.characters == "." + "a" + "\u0301" + "😀"
    assert vocabulary.decode(vocabulary.encode("a\u0301.😀")) == "a\u0301.😀"


@pytest.mark.parametrize(("count", "dtype"), [(255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_ids_use_the_smallest_type(count: int, dtype: str) -> None:
    vocabulary = Vocabulary(chr(0x10000 + i) for i in range(count))
    assert vocabulary.dtype == np.dtype(dtype)
    assert vocabulary.encode(vocabulary.characters).tolist() == list(range(1, count + 1))


def test_equality_and_hash_depend_on_the_characters() -> None:
    assert Vocabulary("ab") == Vocabulary(["b", "a", "b"])
    assert Vocabulary("ab") != Vocabulary("abc")
    assert len({Vocabulary("ab"), Vocabulary("ba")}) == 1


@pytest.mark.parametrize("wrong", [[], ["ab"], [""], ["\n"], ["a", "\udc80"]])
def test_strings_that_are_no_characters_are_errors(wrong: list[str]) -> None:
    with pytest.raises(DataError):
        Vocabulary(wrong)


@pytest.mark.parametrize("unknown", ["é", "A", "\x00", "\n", "\ud800", "\U0010ffff", "😀"])
def test_the_error_for_an_unknown_character_gives_its_position(unknown: str) -> None:
    with pytest.raises(UnknownCharacterError) as caught:
        Vocabulary("abc").encode("ab" + unknown + "c")
    message = str(caught.value)
    assert f"{unknown!r} (U+{ord(unknown):04X}) at position 3 of" in message
    assert "known: 'abc'" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("known", "line", "advice"),
    [
        ("abc", "Ab", "of 'Ab'; all letters of the data are in lower case: try 'ab'; known: "),
        ("abc", "Ax", "of 'Ax'; all letters of the data are in lower case; known: "),
        ("ACGT", "Acgt", "of 'Acgt'; all letters of the data are in upper case: try 'ACGT'; known: "),
        ("abcC", "Ab", "of 'Ab'; 'a' is known: try 'ab'; known: "),
        ("abc", "İ", "of 'İ'; known: "),
        ("abc", "1", "of '1'; known: "),
    ],
)
def test_a_letter_that_is_known_in_the_other_case(known: str, line: str, advice: str) -> None:
    with pytest.raises(UnknownCharacterError) as caught:
        Vocabulary(known).encode(line)
    assert advice in str(caught.value)


def test_the_position_of_an_unknown_character_is_that_in_its_line() -> None:
    text = "abc\n" * (_CHUNK // 4) + "a" * 100 + "xbb\nabc\n"  # in the second chunk
    with pytest.raises(UnknownCharacterError, match=r"'x' \(U\+0078\) at position 101 of \.\.\.'a{20}xbb'; known: "):
        Vocabulary("abc").encode_text(text)


@pytest.mark.parametrize("wrong", [[1, 0], [0], [4], [-1], [1.5], [[1, 2]], [True], [2**70]])
def test_ids_without_a_character_cannot_be_decoded(wrong: list[int]) -> None:
    with pytest.raises(DataError):
        Vocabulary("abc").decode(wrong)


def test_the_empty_line_has_no_ids() -> None:
    assert Vocabulary("abc").decode([]) == ""
    assert Vocabulary("abc").encode("").tolist() == []


def test_null_characters_and_line_feeds_are_decoded_apart() -> None:
    vocabulary = Vocabulary("a\0")
    assert vocabulary.decode_text(vocabulary.encode_text("a\0\na")) == "a\0\na"
