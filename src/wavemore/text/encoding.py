"""The encoding of a file: what its beginning says, and which one to advise if the file cannot be decoded."""

import codecs
import io
import unicodedata

from wavemore.errors import UsageError

HEAD_BYTES = 1 << 18
"""The beginning of a file, by which it is judged."""
SAMPLE_BYTES = 1 << 24
"""The beginning of a file that can be read with an encoding before it is advised."""

_MARKS = (  # byte order marks; that of UTF-16 is the beginning of that of UTF-32
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_CONTROLS = bytes({*range(9), *range(14, 27), *range(28, 32), 127})  # without white space and escape
_BINARY = 0.02  # share of control characters in the beginning of a file


def find_codec(encoding: str) -> codecs.CodecInfo:
    """Return the codec of a text encoding; raises `UsageError` if there is none."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs that are not for text, such as 'hex'
        return codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"`encoding` is {encoding!r}, which is not a text encoding; try auto, utf-8, cp1252, latin-1 or utf-16"
        ) from error


def marked_encoding(head: bytes) -> str | None:
    r"""Return the encoding that a byte order mark at the beginning of a file gives.

    >>> marked_encoding("emma".encode("utf-16")), marked_encoding(b"emma")
    ('utf-16', None)
    """
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def is_binary(head: bytes, codec: str) -> bool:
    """Whether the beginning of a file has zero bytes as a binary file or a wide encoding has, but not a text."""
    if 0 not in head or codec.startswith(("utf-16", "utf-32")):
        return False
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > _BINARY * len(head) or _wide_encoding(head) is not None


def suggest_encoding(sample: bytes, failed: str, *, whole: bool = True) -> str | None:
    r"""Return an encoding with which the sample can be read, other than `failed`; None if it looks binary.

    The sample is the whole file or its beginning, which may end within a character.

    >>> suggest_encoding("Zo\xeb".encode("utf-16-le"), "utf-8"), suggest_encoding(b"it\x92s", "utf-8")
    ('utf-16-le', 'cp1252')
    """
    marked, wide = marked_encoding(sample), _wide_encoding(sample)
    candidates = [name for name in (marked, wide) if name]
    if not is_binary(sample[:HEAD_BYTES], failed):
        candidates.append("utf-8")
        if any(byte in sample for byte in range(0x80, 0xA0)):
            candidates.append("cp1252")
        candidates.append("latin-1")
    for name in candidates:
        if codecs.lookup(name).name != codecs.lookup(failed).name and _decode(sample, name, whole) is not None:
            return name
    return None


def is_mostly_utf8(sample: bytes) -> bool:
    """Whether most of the characters beyond ASCII are valid UTF-8, so that a few bytes are damaged."""
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) > 2 * wrong


def _wide_encoding(sample: bytes) -> str | None:
    """Return the encoding of two or four bytes per character that a file without a byte order mark seems to have."""
    head = sample[: 1 << 14]
    spaces = sum(head.count(byte) for byte in b" \n\r")
    for name in _WIDE if 0 in head else ():
        text = _decode(head, name, whole=False)
        if text is None or any(map(_is_strange, text)):
            continue
        wide_spaces = sum(text.count(space) for space in " \n\r")
        if 4 * wide_spaces >= spaces > 0 or (spaces == 0 and 4 * head.count(0) >= len(head)):
            return name
    return None


def _decode(sample: bytes, encoding: str, whole: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample, whole)
    except UnicodeError:
        return None


def _is_strange(character: str) -> bool:
    """Whether a text hardly ever has the character: a control, or one that is not assigned."""
    return character not in "\t\n\r\f\ufeff" and unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")
