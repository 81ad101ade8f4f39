"""The vocabulary: which characters there are, and the id of each.

Id 0 is the boundary token. It begins and ends every line and is no character, so that the text may hold any
character, '.' included. The characters have the ids from 1 on, in the order of their code points.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UnknownCharacterError

BOUNDARY = 0
"""The id of the boundary token, which begins and ends every line and is no character."""

Ids = NDArray[np.unsignedinteger[Any]]

_CHUNK = 1 << 20  # characters encoded at once: 4 bytes each while they are UTF-32
_SHOWN = 40  # characters of a line, or of the vocabulary, that an error message shows


class Vocabulary:
    """The distinct characters of a text, sorted, and the way from text to ids and back.

    Raises `DataError` for an empty vocabulary and for what cannot be a character of a line: strings of
    another length than one, line feeds, lone surrogates.

    >>> vocabulary = Vocabulary("anna")
    >>> vocabulary.characters, len(vocabulary)
    ('an', 3)
    >>> vocabulary.encode("nan").tolist()
    [2, 1, 2]
    >>> vocabulary.decode([1, 2, 1])
    'ana'
    """

    characters: str
    """The characters in the order of their ids, which begin at 1."""

    def __init__(self, characters: Iterable[str]) -> None:
        distinct = sorted(set(characters))
        for character in distinct:
            if len(character) != 1:
                raise DataError(f"{_shorten(character)} is not one character; a vocabulary is made of single ones")
            if character == "\n":
                raise DataError("a line feed ends a line and cannot be a character of the vocabulary; split the text")
            if "\ud800" <= character <= "\udfff":
                raise DataError(
                    f"{_name(character)} is half of a surrogate pair, not a character; decode the text anew"
                )
        if not distinct:
            raise DataError("a vocabulary needs at least one character; give text that is not empty")
        self.characters = "".join(distinct)
        codes = _code_points(self.characters)
        self._codes = np.concatenate([np.zeros(1, codes.dtype), codes])
        # Code point -> id. The last slot stays unknown, for every code point beyond the largest known one.
        self._ids: Ids = np.zeros(int(codes[-1]) + 2, self.dtype)
        self._ids[codes] = np.arange(1, len(self))

    def __len__(self) -> int:
        return len(self.characters) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned integer type that holds every id.

        >>> Vocabulary("abc").dtype
        dtype('uint8')
        """
        if len(self) <= 2**8:
            return np.dtype(np.uint8)
        return np.dtype(np.uint16 if len(self) <= 2**16 else np.uint32)

    def encode(self, line: str) -> Ids:
        r"""Turn one line of T characters into its (T,) ids, without boundaries.

        Raises `UnknownCharacterError`, which names the character and its place, counted from 1.

        >>> Vocabulary("abc").encode("cab").tolist()
        [3, 1, 2]
        >>> Vocabulary("abc").encode("cat")
        Traceback (most recent call last):
        wavemore.errors.UnknownCharacterError: unknown character 't' (U+0074) at position 3 of 'cat'; known are 'abc'
        """
        ids = self._look_up(_code_points(line))
        unknown = np.flatnonzero(ids == BOUNDARY)
        if len(unknown) > 0:
            raise self._unknown(line, int(unknown[0]))
        return ids

    def encode_text(self, text: str) -> Ids:
        r"""Turn text of N characters into its (N,) ids, where each line feed becomes `BOUNDARY`.

        Raises `UnknownCharacterError`, which names the character, its line and its place in that line.

        >>> Vocabulary("abc").encode_text("ab\nc\n").tolist()
        [1, 2, 0, 3, 0]
        """
        ids: Ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), _CHUNK):
            codes = _code_points(text[start : start + _CHUNK])
            chunk = ids[start : start + _CHUNK]
            chunk[:] = self._look_up(codes)
            unknown = np.flatnonzero((chunk == BOUNDARY) & (codes != ord("\n")))
            if len(unknown) > 0:
                position = start + int(unknown[0])
                begin = text.rfind("\n", 0, position) + 1
                end = text.find("\n", position)
                raise self._unknown(text[begin : end if end >= 0 else None], position - begin)
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Turn the (T,) ids of one line, without boundaries, into its T characters.

        Raises `DataError` for an id that stands for no character.

        >>> Vocabulary("abc").decode([3, 1, 2])
        'cab'
        >>> Vocabulary("abc").decode([3, 0])
        Traceback (most recent call last):
        wavemore.errors.DataError: id 0 is the boundary, which is no character; decode a line without it
        """
        array = np.asarray(ids)
        if array.size == 0:
            return ""
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"ids are a row of integers, not {array.dtype} of shape {array.shape}; decode line by line")
        if (array == BOUNDARY).any():
            raise DataError("id 0 is the boundary, which is no character; decode a line without it")
        return self._decoded(array)

    def decode_text(self, ids: NDArray[np.integer[Any]]) -> str:
        r"""Turn the (N,) ids of a text into its N characters, where each `BOUNDARY` is a line feed.

        Raises `DataError` for an id that stands for nothing.

        >>> Vocabulary("abc").decode_text(np.array([1, 2, 0, 3, 0]))
        'ab\nc\n'
        """
        return self._decoded(ids).replace("\0", "\n") if BOUNDARY in ids else self._decoded(ids)

    def _decoded(self, array: NDArray[np.integer[Any]]) -> str:
        outside = (array < 0) | (array >= len(self))
        if outside.any():
            raise DataError(f"id {array[outside][0]} stands for no character; the ids are 1 to {len(self) - 1}")
        text: str = self._codes[array].tobytes().decode("utf-32-le")
        return text

    def to_json(self) -> str:
        r"""Write the vocabulary as a line of JSON in ASCII.

        >>> Vocabulary("bé").to_json()
        '{"characters": "b\\u00e9"}'
        """
        return json.dumps({"characters": self.characters})

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Read what `to_json` wrote.

        Raises `DataError` for anything else, for example characters out of order, which would shift the ids.

        >>> Vocabulary.from_json('{"characters": "abc"}')
        Vocabulary('abc')
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the vocabulary is not JSON ({_shorten(text)}); restore the file") from error
        characters = value.get("characters") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(characters, str):
            raise DataError(f'the vocabulary is not {{"characters": "..."}} ({_shorten(text)}); restore the file')
        vocabulary = cls(characters)
        if vocabulary.characters != characters:
            raise DataError(f"the characters {_shorten(characters)} are not distinct and sorted; restore the file")
        return vocabulary

    def _look_up(self, codes: NDArray[np.uint32]) -> Ids:
        return self._ids.take(codes, mode="clip")

    def _unknown(self, line: str, index: int) -> UnknownCharacterError:
        begin = 0 if index < _SHOWN else index - _SHOWN // 2  # so that the character itself is shown
        shown = ("..." if begin else "") + _shorten(line[begin:])
        return UnknownCharacterError(
            f"unknown character {_name(line[index])} at position {index + 1} of {shown}; "
            f"known are {_shorten(self.characters)}"
        )


def _code_points(text: str) -> NDArray[np.uint32]:
    # 'surrogatepass': a lone surrogate is looked up and found unknown, instead of a UnicodeEncodeError.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _name(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else repr(text[:_SHOWN]) + "..."
