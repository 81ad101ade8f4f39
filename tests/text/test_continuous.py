from pathlib import Path

import numpy as np
import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text.continuous import LEAST, TextStream, load_stream


def loaded(folder: Path, text: str, share: float = 0.9) -> TextStream:
    path = folder / "a text.txt"
    path.write_text(text, encoding="utf-8")
    return load_stream(path, share=share, cache=folder)


def test_the_beginning_is_train_and_the_rest_is_val(tmp_path: Path) -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(2_000)) + "\né"
    stream = loaded(tmp_path, text, share=0.75)
    assert (stream.train.targets, stream.val.targets) == (1_501, 501)
    both = np.concatenate([stream.train.tokens, stream.val.tokens])
    assert stream.vocabulary.decode_text(both) == text
    assert str(stream.report) == "2,002 characters of 28 kinds, 1 line end"
    assert (stream.name, stream.source) == ("a text", str(tmp_path / "a text.txt"))


def test_a_text_without_line_feeds_does_not_count_them(tmp_path: Path) -> None:
    assert str(loaded(tmp_path, "ab" * 1_000).report) == "2,000 characters of 2 kinds, 0 line ends"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan"), 2.0])
def test_a_share_that_leaves_nothing_is_wrong_usage(tmp_path: Path, share: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        loaded(tmp_path, "ab" * 1_000, share)


@pytest.mark.parametrize(
    ("count", "share", "part"), [(1, 0.9, "train"), (990, 0.9, "val"), (1_000, 0.99, "val"), (1_000, 0.09, "train")]
)
def test_a_part_that_says_nothing_is_refused(tmp_path: Path, count: int, share: float, part: str) -> None:
    with pytest.raises(DataError, match=rf"the {part} part has \d+, .*at least {LEAST}"):
        loaded(tmp_path, "x" * count, share)


def test_tinyshakespeare_is_split_as_everybody_splits_it(shared_data: Path, tmp_path: Path) -> None:
    stream = load_stream(shared_data / "tinyshakespeare.txt", cache=tmp_path)
    assert str(stream.report) == "1,115,394 characters of 65 kinds, 40,000 line ends"
    assert (stream.train.targets, stream.val.targets) == (1_003_854, 111_540)
    assert len(stream.vocabulary) == 65
    assert stream.train.tokens.dtype == np.uint8
