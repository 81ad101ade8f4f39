import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError
from wavemore.text.cleaning import _MAX_RUN, _STARTERS, Cleaner, Cleaning, Invisible, _last_cut
from wavemore.text.reading import read_lines
from wavemore.text.vocabulary import Vocabulary

FAMILY = "👩\u200d👩\u200d👧"
FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e007f"

LONG = "\u0301\u0316" * 700  # no text has so many accents on one letter
SEQUENCES = [FAMILY, FLAG, "❤\ufe0f", "1\ufe0f\u20e3", "\x1b[31m", "\x1b[", "e\u0301", "か\u3099", "\u0f71\u0f72"]
CHARACTERS = "aé 3m\n\u0301\u0316가\u1100\u1161\u11a8天क\u093c\u09c7\u09be\u212b\u200d\u200c\x1b\0\u00a0\u200b\ufeff"

pieces = st.sampled_from([*SEQUENCES, *CHARACTERS, LONG])
texts = st.lists(pieces | st.text(st.characters(codec="utf-8"), max_size=3), max_size=30).map("".join)
cleanings = st.builds(
    Cleaning,
    normalize=st.sampled_from(["nfc", "none"]),
    invisible=st.sampled_from(["keep", "strip", "strip-all"]),
    case=st.sampled_from(["keep", "lower"]),
)


def clean_in_pieces(text: str, cleaning: Cleaning, size: int) -> tuple[str, Cleaner]:
    cleaner = Cleaner(cleaning)
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return "".join(cleaner.pieces(parts)), cleaner


@given(texts, cleanings, st.integers(1, 3_000))
@example("e\u0301" * 3_000, Cleaning("nfc"), 7)
@example("\u0301\u0316" * 3_000, Cleaning("nfc"), 2_047)
@example("\u0301" * _MAX_RUN * 3, Cleaning("nfc"), _MAX_RUN)
@example("\x1b[31" + "m", Cleaning(invisible="strip"), 1)
@example("\u0301\x08\u0f71\u0f72", Cleaning("nfc", invisible="strip"), 1)
def test_the_sizes_of_the_pieces_do_not_matter(text: str, cleaning: Cleaning, size: int) -> None:
    cleaned, cleaner = clean_in_pieces(text, cleaning, size)
    whole, at_once = clean_in_pieces(text, cleaning, max(1, len(text)))
    assert cleaned == whole == cleaning.apply(text)
    assert (cleaner.repairs, cleaner.invisible) == (at_once.repairs, at_once.invisible)


@given(texts)
def test_nfc_is_that_of_unicode_unless_a_run_of_marks_is_very_long(text: str) -> None:
    text = text.replace(LONG, "")
    assert Cleaning("nfc").apply(text) == unicodedata.normalize("NFC", text)


def test_no_character_joins_a_starter() -> None:
    """A text can be cut before a character of this set: it is a starter, and it is not composed with the one before."""
    starters = [
        chr(ord(first) + offset) for first, last in _ranges(_STARTERS) for offset in range(ord(last) - ord(first) + 1)
    ]
    composed = {unicodedata.normalize("NFD", chr(code))[1:2] for code in range(0x30000) if not 0xD800 <= code < 0xE000}
    assert all(unicodedata.combining(starter) == 0 for starter in starters)
    assert not composed & set(starters)


def _ranges(character_class: str) -> list[tuple[str, str]]:
    return [
        (character_class[i - 1], character_class[i + 1]) for i, char in enumerate(character_class) if char == "-" and i
    ]


@given(texts, st.sampled_from(["nfc", "none"]))
def test_nothing_invisible_is_left_if_all_is_stripped(text: str, normalize: str) -> None:
    cleaning = Cleaning("nfc" if normalize == "nfc" else "none", "strip-all")
    cleaned = cleaning.apply(text.replace(LONG, ""))
    assert cleaning.apply(cleaned) == cleaned
    cleaner = Cleaner(cleaning)
    cleaner.clean(cleaned)
    assert cleaner.invisible == ()


@pytest.mark.parametrize(
    ("text", "stripped", "all_stripped"),
    [
        ("new\u00a0york\u2003city", "new york city", "new york city"),
        ("zero\u200bwidth\u2060\ufeff\u00ad", "zerowidth", "zerowidth"),
        ("\x1b[31mred\x1b[0m", "red", "red"),
        ("n\0ul\x07\x92", "nul", "nul"),
        ("\u202egnp.exe\u202c", "gnp.exe", "gnp.exe"),
        (FAMILY, FAMILY, "👩👩👧"),
        (FLAG + "a\U000e0067", FLAG + "a", "\U0001f3f4a"),
        ("❤\ufe0f a\ufe0f", "❤\ufe0f a", "❤ a"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
        ("क्\u200dष a\u200db", "क्\u200dष ab", "क्ष ab"),
        ("\u3000天 地\tplain", "\u3000天 地\tplain", "\u3000天 地\tplain"),
    ],
)
def test_invisible_characters_are_taken_out_unless_something_needs_them(
    text: str, stripped: str, all_stripped: str
) -> None:
    assert Cleaning(invisible="keep").apply(text) == text
    assert Cleaning(invisible="strip").apply(text) == stripped
    assert Cleaning(invisible="strip-all").apply(text) == all_stripped


def test_invisible_characters_are_counted_with_their_first_line() -> None:
    cleaner = Cleaner(Cleaning())
    assert cleaner.clean("a\nb\u200b\nc\u200b\x1b\n") == "a\nb\u200b\nc\u200b\x1b\n"
    cleaner.clean("\n\u00a0d")
    assert cleaner.invisible == (Invisible("\u200b", 2, 2), Invisible("\x1b", 1, 3), Invisible("\u00a0", 1, 5))
    assert cleaner.repairs == ()
    assert [str(found) for found in cleaner.invisible] == [
        "U+200B ZERO WIDTH SPACE 2 times, first in line 2",
        "U+001B ESCAPE once in line 3",
        "U+00A0 NO-BREAK SPACE once in line 5",
    ]


def test_what_was_taken_out_and_what_was_kept_are_told_apart() -> None:
    cleaner = Cleaner(Cleaning(invisible="strip"))
    assert cleaner.clean(f"a\u200db{FAMILY}\n") == f"ab{FAMILY}\n"
    assert cleaner.invisible == (Invisible("\u200d", 2, 1),)
    assert cleaner.repairs == ("invisible characters taken out (U+200D ZERO WIDTH JOINER once in line 1)",)


def test_lines_that_were_normalised_are_counted_once() -> None:
    text = "e\u0301 and e\u0301\nplain\nu\u0308 x \u0061\u030a\n"
    for size in range(1, len(text)):
        cleaned, cleaner = clean_in_pieces(text, Cleaning("nfc"), size)
        assert cleaned == "é and é\nplain\nü x å\n"
        assert cleaner.repairs == ("2 lines normalised to NFC",)


@given(texts)
def test_a_cut_is_never_far_from_the_end(text: str) -> None:
    cut = _last_cut(text)
    assert 0 <= cut <= len(text)
    assert len(text) - cut <= _MAX_RUN + 30 or cut == 0


def test_characters_are_converted_to_lower_case_one_by_one() -> None:
    cleaner = Cleaner(Cleaning(case="lower"))
    assert cleaner.clean("ANNA\nZo\u00cb \u039f\u03a3\n") == "anna\nzo\u00eb \u03bf\u03c3\n"
    assert cleaner.repairs == ("converted to lower case",)
    assert Vocabulary("an", Cleaning(case="lower")).clean("ANNA") == "anna"


def test_lines_of_more_than_a_length_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("anna\nlongest\nbo\n" + "x" * 20_000 + "\n")
    lines, report, _ = read_lines(path, cleaning=Cleaning(max_length=4))
    assert list(lines) == ["anna", "bo"]
    assert report.repairs == ("2 lines of more than 4 characters left out",)
    with pytest.raises(DataError, match="the file holds only lines of more than 1 characters"):
        read_lines(path, cleaning=Cleaning(max_length=1))
    with pytest.raises(UsageError, match="`max_length` is 0; it must be at least 1"):
        Cleaning(max_length=0)


@pytest.mark.parametrize("name", ["normalize", "invisible", "long_lines", "case"])
def test_an_unknown_value_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is 'maybe'; it must be"):
        Cleaning(**{name: "maybe"})  # type: ignore[arg-type]
