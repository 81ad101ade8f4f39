"""Files that are all of the val or the test part."""

from pathlib import Path

import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.vocabulary import Ids

NAMES = [f"{a}{b}" for a in ("an", "bo", "cle", "do", "el") for b in ("na", "ra", "mi", "lo")]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {
        "data": "\n".join(NAMES),
        "val": "zora\nana\nanna\n",
        "test": "name,year\nquinn,1990\nxaver,1980\nyves,1970\n",
    }
    paths = {name: tmp_path / f"{name}.{'csv' if name == 'test' else 'txt'}" for name in contents}
    for name, path in paths.items():
        path.write_text(contents[name])
    return paths


def test_a_val_file_is_all_of_val(files: dict[str, Path]) -> None:
    whole, own = load_corpus(files["data"]), load_corpus(files["data"], val=files["val"])
    assert list(own.val.lines) == ["zora", "ana", "anna"]
    assert own.val.leak_free.tolist() == [True, True, "anna" not in own.train.lines]
    assert {*own.train.lines} == {*whole.train.lines, *whole.val.lines}
    assert list(own.test.lines) == list(whole.test.lines)
    assert set("zora") <= set(own.vocabulary.characters)
    assert len(own.line_hashes) == len({*NAMES, "zora", "ana", "anna"})


def test_both_files_leave_all_of_the_data_to_train(files: dict[str, Path]) -> None:
    own = load_corpus(files["data"], val=files["val"], format="auto", test=files["test"])
    assert isinstance(own, LineCorpus)
    assert list(own.train.lines) == NAMES
    assert list(own.test.lines) == ["quinn", "xaver", "yves"]
    assert own.test_file is not None
    assert own.test_file.layout.kind == "table"
    lecture = load_corpus(files["data"], test=files["val"], split_method="lecture")
    assert sorted({*lecture.train.lines, *lecture.val.lines}) == sorted(NAMES)


def test_a_short_list_needs_no_split_if_both_parts_are_given(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("anna\nbo\n")
    own = load_corpus(tmp_path / "few.txt", val=files["val"], test=files["val"])
    assert list(own.train.lines) == ["anna", "bo"]


def test_files_of_texts(tmp_path: Path) -> None:
    text, other, third = "the cat sat on the mat\n" * 60, "a dog lay, on a log!\n" * 20, "cat sat\n" * 40
    for name, content in (("text", text), ("val", other), ("test", third)):
        (tmp_path / f"{name}.txt").write_text(content)
    val, test = tmp_path / "val.txt", tmp_path / "test.txt"

    def decoded(tokens: Ids) -> str:
        return corpus.vocabulary.decode_text(tokens)

    corpus = load_corpus(tmp_path / "text.txt", format="text", cache=tmp_path / "ids", val=val)
    assert decoded(corpus.val.tokens) == other
    assert decoded(corpus.train.tokens) + decoded(corpus.test.tokens) == text
    assert corpus.test.num_targets == len(text) - int(0.8 * len(text)) - (len(text) - int(0.8 * len(text))) // 2 or (
        abs(corpus.test.num_targets - len(text) / 10) <= 1
    )
    corpus = load_corpus(tmp_path / "text.txt", format="text", cache=tmp_path / "ids", val=val, test=test)
    assert [decoded(part.tokens) for part in (corpus.train, corpus.val, corpus.test)] == [text, other, third]
    assert corpus.report.characters == len(text + other + third)
    with pytest.raises(UsageError, match="leave `train_fraction` out"):
        load_corpus(
            tmp_path / "text.txt", format="text", cache=tmp_path / "ids", train_fraction=0.5, val=val, test=test
        )
    (tmp_path / "short.txt").write_text("cat\n")
    with pytest.raises(DataError, match=r"short.txt: too short"):
        load_corpus(tmp_path / "text.txt", format="text", cache=tmp_path / "ids", val=tmp_path / "short.txt")


def test_a_file_that_cannot_be_read_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.txt' is neither a file nor a data set"):
        load_corpus(files["data"], val=tmp_path / "nowhere.txt")
    (tmp_path / "blank.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"blank.txt: the file holds only blank lines"):
        load_corpus(files["data"], test=tmp_path / "blank.txt")
