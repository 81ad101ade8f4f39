from pathlib import Path

import numpy as np
import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text.text_corpus import MIN_PART_LENGTH, TextCorpus, read_text_corpus


def corpus_of(folder: Path, text: str, train_fraction: float = 0.9) -> TextCorpus:
    path = folder / "a text.txt"
    path.write_text(text, encoding="utf-8")
    return read_text_corpus(path, train_fraction=train_fraction, cache=folder)


def test_the_beginning_is_train_and_the_rest_is_val_and_test(tmp_path: Path) -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(2_000)) + "\né"
    corpus = corpus_of(tmp_path, text, train_fraction=0.75)
    assert (corpus.train.num_targets, corpus.val.num_targets, corpus.test.num_targets) == (1_501, 251, 250)
    parts = np.concatenate([corpus.train.tokens, corpus.val.tokens, corpus.test.tokens])
    assert corpus.vocabulary.decode_text(parts) == text
    assert str(corpus.report) == "2,002 characters (28 distinct), 1 line end"
    assert (corpus.name, corpus.source) == ("a text", str(tmp_path / "a text.txt"))


def test_a_text_without_line_feeds_does_not_count_them(tmp_path: Path) -> None:
    assert str(corpus_of(tmp_path, "ab" * 1_000).report) == "2,000 characters (2 distinct), 0 line ends"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan"), 2.0])
def test_a_train_fraction_out_of_range_is_a_usage_error(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        corpus_of(tmp_path, "ab" * 1_000, fraction)


@pytest.mark.parametrize(
    ("count", "fraction", "part"), [(1, 0.9, "train"), (1_990, 0.9, "test"), (999, 0.99, "val"), (999, 0.09, "train")]
)
def test_a_part_that_is_too_short_is_an_error(tmp_path: Path, count: int, fraction: float, part: str) -> None:
    with pytest.raises(DataError, match=rf"its {part} part would have \d+ characters? and needs {MIN_PART_LENGTH}"):
        corpus_of(tmp_path, "x" * count, fraction)


def test_tinyshakespeare_can_have_the_train_part_of_nanogpt(shared_data: Path, tmp_path: Path) -> None:
    corpus = read_text_corpus(shared_data / "tinyshakespeare.txt", train_fraction=0.9, cache=tmp_path)
    assert str(corpus.report) == "1,115,394 characters (65 distinct), 40,000 line ends"
    assert (corpus.train.num_targets, corpus.val.num_targets, corpus.test.num_targets) == (1_003_854, 55_770, 55_770)
    assert len(corpus.vocabulary) == 65
    assert corpus.train.tokens.dtype == np.uint8
