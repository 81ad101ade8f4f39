"""The vocabulary: the distinct characters and their ids.

Id 0 is the boundary token, which begins and ends every line (<bos> and <eos> in one). It is not a character, so lines
may contain any character, '.' included. The characters have the ids from 1 on, in the order of their code points.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UnknownCharacterError
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.labels import NO_LABELS, Labels

BOUNDARY = 0
"""The id of the boundary token."""

Ids = NDArray[np.unsignedinteger[Any]]

_CHUNK = 1 << 20  # characters encoded at once, each of 4 bytes as UTF-32
_SHOWN = 40  # characters of a line or of the vocabulary in an error message


class Vocabulary:
    """The distinct characters of a text, sorted; it encodes text as ids and decodes ids to text.

    Raises `DataError` for an empty vocabulary, for strings that are not one character long, and for characters that no
    line can contain: line feeds and lone surrogates.

    >>> vocabulary = Vocabulary("anna")
    >>> vocabulary.characters, len(vocabulary)
    ('an', 3)
    """

    characters: str
    """The characters in the order of their ids, which begin at 1."""
    cleaning: Cleaning
    """How the text was cleaned that the vocabulary was made of."""
    labels: Labels
    """The labels of the lines, if they have some. Label k stands before the first character, as id V + k."""

    def __init__(self, characters: Iterable[str], cleaning: Cleaning = AS_IS, labels: Labels = NO_LABELS) -> None:
        given: Any = characters
        found = {*given} if isinstance(given, Iterable) else {given}
        if other := [character for character in found if not isinstance(character, str)]:
            raise DataError(f"{other[0]!r:.60} is not a character; give a string, or a list of characters")
        distinct = sorted(found)
        for character in distinct:
            if len(character) != 1:
                raise DataError(f"{_shorten(character)} is not a single character; give single characters")
            if character == "\n":
                raise DataError("a line feed cannot be in the vocabulary, as it ends a line; split the text into lines")
            if "\ud800" <= character <= "\udfff":
                raise DataError(f"{_name(character)} is half of a surrogate pair; decode the text correctly first")
        if not distinct:
            raise DataError("a vocabulary needs at least one character; give a text that is not empty")
        self.characters, self.cleaning, self.labels = "".join(distinct), cleaning, labels
        codes = code_points(self.characters)
        self.codes: NDArray[np.uint32] = np.concatenate([code_points("\n"), codes])
        """The code point of each id; that of the boundary is the line feed."""
        # Code point -> id, 0 if unknown; the last entry is for all code points beyond the largest known one.
        self._ids: Ids = np.zeros(int(codes[-1]) + 2, self.dtype)
        self._ids[codes] = np.arange(1, len(self))

    def __len__(self) -> int:
        return len(self.characters) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters and self.labels == other.labels

    def __hash__(self) -> int:
        return hash((self.characters, self.labels))

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned integer type that holds every id.

        >>> Vocabulary("abc").dtype
        dtype('uint8')
        """
        return np.min_scalar_type(len(self) - 1)

    def clean(self, text: str) -> str:
        r"""Return a text as the data would have it; do this before encoding text that did not come from the data.

        >>> Vocabulary("zoë", Cleaning("nfc")).clean("zoe\u0308")
        'zoë'
        """
        return self.cleaning.apply(text)

    def encode(self, line: str) -> Ids:
        r"""Encode a line of T characters as ids (T,), without boundaries.

        Raises `UnknownCharacterError`, which names the character and its position, counted from 1.

        >>> Vocabulary("abc").encode("cab").tolist()
        [3, 1, 2]
        >>> Vocabulary("abc").encode("cat")
        Traceback (most recent call last):
        wavemore.errors.UnknownCharacterError: unknown character 't' (U+0074) at position 3 of 'cat'; known: 'abc'
        """
        ids: Ids = self._ids.take(code_points(line), mode="clip")
        if BOUNDARY in ids:
            raise self._unknown(line, int((ids == BOUNDARY).argmax()))
        return ids

    def encode_text(self, text: str) -> Ids:
        r"""Encode a text of N characters as ids (N,); a line feed becomes `BOUNDARY`.

        Raises `UnknownCharacterError`, which names the character, its line and its position in the line.

        >>> Vocabulary("abc").encode_text("ab\nc\n").tolist()
        [1, 2, 0, 3, 0]
        """
        ids: Ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), _CHUNK):
            codes = code_points(text[start : start + _CHUNK])
            chunk = ids[start : start + _CHUNK]
            chunk[:] = self._ids.take(codes, mode="clip")
            unknown = np.flatnonzero((chunk == BOUNDARY) & (codes != ord("\n")))
            if len(unknown) > 0:
                position = start + int(unknown[0])
                begin = text.rfind("\n", 0, position) + 1
                end = text.find("\n", position)
                raise self._unknown(text[begin : end if end >= 0 else None], position - begin)
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Decode the ids (T,) of one line, without boundaries, to its T characters.

        Raises `DataError` for an id without a character.

        >>> Vocabulary("abc").decode([3, 1, 2])
        'cab'
        >>> Vocabulary("abc").decode([3, 0])
        Traceback (most recent call last):
        wavemore.errors.DataError: id 0 is the boundary, not a character; decode each line without it
        """
        array = np.asarray(ids)
        if array.size == 0:
            return ""
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"`ids` has type {array.dtype} and shape {array.shape}; give the integers of one line")
        if (array == BOUNDARY).any():
            raise DataError("id 0 is the boundary, not a character; decode each line without it")
        return self.decode_text(array)

    def decode_text(self, ids: NDArray[np.integer[Any]]) -> str:
        r"""Decode the ids (N,) of a text to its N characters; `BOUNDARY` becomes a line feed.

        Raises `DataError` for an id that is not in the vocabulary.

        >>> Vocabulary("abc").decode_text(np.array([1, 2, 0, 3, 0]))
        'ab\nc\n'
        """
        outside = (ids < 0) | (ids >= len(self))
        if outside.any():
            raise DataError(f"id {ids[outside][0]} is not in the vocabulary; its ids are 0 to {len(self) - 1}")
        text: str = self.codes[ids].tobytes().decode("utf-32-le")
        return text

    def to_json(self) -> str:
        r"""Return the vocabulary as one line of JSON in ASCII.

        >>> Vocabulary("bé").to_json()
        '{"characters": "b\\u00e9"}'
        >>> Vocabulary("ab", labels=Labels(("de", "fi"), (20, 60))).to_json()
        '{"characters": "ab", "labels": {"de": 20, "fi": 60}}'
        """
        labels = dict(zip(self.labels.names, self.labels.counts, strict=True))
        return json.dumps({"characters": self.characters} | ({"labels": labels} if labels else {}))

    @classmethod
    def from_json(cls, text: str, cleaning: Cleaning = AS_IS) -> "Vocabulary":
        """Read the result of `to_json`.

        Raises `DataError` for any other text, for example unsorted characters, whose ids would be wrong.

        >>> Vocabulary.from_json('{"characters": "abc"}')
        Vocabulary('abc')
        """
        problem = f'{_shorten(text)} is not {{"characters": "..."}} with sorted, distinct characters; restore the file'
        try:
            value = json.loads(text)
            labels = value.get("labels", {})
            vocabulary = cls(value["characters"], cleaning, Labels(tuple(labels), tuple(labels.values())))
        except (ValueError, RecursionError, TypeError, LookupError, AttributeError, DataError) as error:
            raise DataError(problem) from error
        expected = {"characters": vocabulary.characters} | ({"labels": labels} if vocabulary.labels else {})
        if value != expected or not all(type(count) is int for count in vocabulary.labels.counts):
            raise DataError(problem)
        return vocabulary

    def _unknown(self, line: str, index: int) -> UnknownCharacterError:
        begin = 0 if index < _SHOWN else index - _SHOWN // 2  # the character itself is shown
        shown = ("..." if begin else "") + _shorten(line[begin:])
        return UnknownCharacterError(
            f"unknown character {_name(line[index])} at position {index + 1} of {shown}; "
            f"{self._other_case(line, index)}known: {_shorten(self.characters)}"
        )

    def _other_case(self, line: str, index: int) -> str:
        """Return advice on an unknown character that is known in the other case; else nothing."""
        upper = line[index].isupper()
        other = line[index].lower() if upper else line[index].upper()
        if len(other) != 1 or other not in self.characters:
            return ""
        form = line.lower() if upper else line.upper()
        advice = "" if set(form) - set(self.characters) else f": try {_shorten(form)}"
        if any(character.isupper() if upper else character.islower() for character in self.characters):
            return f"{other!r} is known{advice}; "
        return f"all letters of the data are in {'lower' if upper else 'upper'} case{advice}; "


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of N characters, (N,)."""
    # surrogatepass: a lone surrogate is an unknown character, not a UnicodeEncodeError.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _name(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else repr(text[:_SHOWN]) + "..."
