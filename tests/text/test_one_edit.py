import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit

ALPHABET = "ab é天😀"
ITEMS = st.lists(st.text(ALPHABET, min_size=1, max_size=5), min_size=1, max_size=8)


def distance(a: str, b: str) -> int:
    """The Levenshtein distance, by its definition (Wagner and Fischer, 1974)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def known(lines: list[str]) -> np.ndarray:
    return np.sort(Lines("".join(f"{line}\n" for line in lines), np.array([len(line) for line in lines])).hashes())


@given(ITEMS, ITEMS)
def test_it_is_the_edit_distance(texts: list[str], lines: list[str]) -> None:
    expected = [min(distance(text, line) for line in lines) <= 1 for text in texts]
    assert within_one_edit(texts, known(lines), ALPHABET).tolist() == expected


def test_many_texts_are_looked_up_in_chunks() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), size=3)) for _ in range(9_000)]  # two chunks
    hits = {text for text in texts if text[:2] == "ab"}
    found = within_one_edit(texts, known(["ab", "xyzxyz"]), "abcdefghijklmnopqrstuvwxyz")
    near = [text for text, is_near in zip(texts, found, strict=True) if is_near]
    assert set(near) == {text for text in texts if distance(text, "ab") <= 1} >= hits
    assert 0 < len(near) < 1_000


def test_nothing_to_look_up() -> None:
    assert within_one_edit([], known(["ab"]), "ab").tolist() == []
    assert within_one_edit(["ab"], np.zeros(0, np.uint64), "ab").tolist() == [False]
    assert within_one_edit(["ab", "abc"], known(["ab"]), "").tolist() == [True, True]  # characters only for insertions
