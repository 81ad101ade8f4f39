"""Data sets by name, and any file by its path.

`names`, the default, comes with the package: 29,687 distinct first names given in the USA in 2018, the most frequent
first, in lower case. Source: US Social Security Administration, national data on baby names, a work of the US
government and in the public domain. Placeholders such as "baby" and "unknown" have been removed.

`makemore-names` is the 32,033 lines of https://github.com/karpathy/makemore, on which the lecture's numbers were
measured. `tinyshakespeare` is the 1,115,394 characters of https://github.com/karpathy/char-rnn, on which small
character-level language models are usually compared. Both are downloaded once, checked, and kept in the user's cache
folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

from wavemore.errors import DataError, UsageError
from wavemore.files import is_present
from wavemore.text.cleaning import Cleaning, Invisibles, LongLines, NormalForm
from wavemore.text.corpus import Corpus
from wavemore.text.detect import Detected, detect
from wavemore.text.line_corpus import LineCorpus, build_corpus
from wavemore.text.parts import Format
from wavemore.text.reading import read_lines
from wavemore.text.splits import SplitMethod
from wavemore.text.text_corpus import TRAIN_FRACTION, TextCorpus, read_text_corpus


@dataclass(frozen=True)
class Dataset:
    """A data set: a file beside this one, or, if it has an address, a file that is downloaded to the cache once."""

    file: str
    url: str = ""
    sha256: str = ""
    format: Format = "lines"


DATASETS = {
    "names": Dataset(file="us-names-2018.txt"),
    "makemore-names": Dataset(
        url="https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
        sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        file="makemore-names.txt",
    ),
    "tinyshakespeare": Dataset(
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        file="tinyshakespeare.txt",
        format="text",
    ),
}


@overload
def load_corpus(
    data: str | Path = ...,
    *,
    format: Literal["lines"] = ...,
    split_method: SplitMethod = ...,
    split_seed: int = ...,
    train_fraction: float | None = ...,
    encoding: str = ...,
    normalize: NormalForm = ...,
    invisible: Invisibles = ...,
    long_lines: LongLines = ...,
    cache: Path | None = ...,
) -> LineCorpus: ...
@overload
def load_corpus(
    data: str | Path = ...,
    *,
    format: Literal["text"],
    split_method: SplitMethod = ...,
    split_seed: int = ...,
    train_fraction: float | None = ...,
    encoding: str = ...,
    normalize: NormalForm = ...,
    invisible: Invisibles = ...,
    long_lines: LongLines = ...,
    cache: Path | None = ...,
) -> TextCorpus: ...
def load_corpus(
    data: str | Path = "names",
    *,
    format: Format = "lines",  # noqa: A002 - the name of the setting
    split_method: SplitMethod = "distinct",
    split_seed: int = 0,
    train_fraction: float | None = None,
    encoding: str = "auto",
    normalize: NormalForm = "nfc",
    invisible: Invisibles = "keep",
    long_lines: LongLines = "error",
    cache: Path | None = None,
) -> Corpus:
    """Read, split and encode a data set by its name, or a file by its path.

    With `format` "lines", the file holds one item per line, and `split_method` and `split_seed` decide the split. With
    "text" it is one continuous text: its first `train_fraction` (default 0.8) is train, the first half of the rest is
    val, the end is test, and its ids are kept in the folder `cache` (default: the user's cache folder).

    The name of a data set takes precedence over a file of that name; './names' or a `Path` reaches the file. `encoding`
    is that of files (auto: UTF-8, or UTF-16 and UTF-32 with a byte order mark); data sets are UTF-8. `normalize`,
    `invisible` and `long_lines` say how the text is cleaned (see `cleaning.Cleaning`). Raises `DataError` for data that
    cannot be found, downloaded, read or split, and `UsageError` for an unknown format, encoding, split method or
    cleaning, or a `train_fraction` out of range or for a list.

    >>> corpus = load_corpus("names")
    >>> print(corpus.report)
    29,687 lines (all distinct), 183,090 characters (26 distinct), longest line 15
    >>> corpus.train.lines[0], corpus.vocabulary.characters
    ('liam', 'abcdefghijklmnopqrstuvwxyz')
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load_corpus("names", format="text", cache=Path(folder)).report)
    212,777 characters (27 distinct), 29,687 line ends
    """
    if format not in ("lines", "text"):
        raise UsageError(f"`format` is {format!r}; it must be lines or text")
    if format == "lines" and train_fraction is not None:
        raise UsageError("`train_fraction` is only for a text; a list is split 80/10/10 by `split_method`")
    cleaning = Cleaning(normalize, invisible, long_lines)
    path, name, encoding = _locate(data, encoding)
    if format == "text":
        fraction = TRAIN_FRACTION if train_fraction is None else train_fraction
        return read_text_corpus(
            path, train_fraction=fraction, encoding=encoding, cleaning=cleaning, name=name, cache=cache
        )
    lines, report, reader = read_lines(path, encoding, cleaning)
    return build_corpus(
        lines,
        report,
        name=name,
        source=str(path.absolute()),
        sha256=reader.sha256,
        encoding=reader.encoding,
        cleaning=cleaning,
        split_method=split_method,
        split_seed=split_seed,
    )


def detect_format(data: str | Path, encoding: str = "auto") -> Detected | None:
    """Guess whether a file is a list or a text; None for data sets that are lists, and if there is no file.

    >>> detect_format("names") is None
    True
    >>> detect_format("tinyshakespeare")
    Detected(format='text', reason='a data set of one text', other=None)
    """
    dataset = _dataset(data)
    if dataset is not None:
        return Detected("text", "a data set of one text") if dataset.format == "text" else None
    return detect(Path(data), encoding) if is_present(data) else None


def _dataset(data: str | Path) -> Dataset | None:
    return DATASETS.get(data) if isinstance(data, str) else None


def _locate(data: str | Path, encoding: str) -> tuple[Path, str, str]:
    """Return the path, the name and the encoding of a data set or a file."""
    dataset = _dataset(data)
    if dataset is not None:
        return _fetch(dataset) if dataset.url else Path(__file__).with_name(dataset.file), str(data), "utf-8"
    if not is_present(data):
        names = ", ".join(DATASETS)
        raise DataError(f"{str(data)!r} is neither a file nor a data set; check the path, or choose one of {names}")
    return Path(data), Path(data).stem, encoding


def _fetch(dataset: Dataset) -> Path:
    """Return the path of the checked file in the cache; download it if it is not there."""
    import platformdirs  # only needed for downloads, as is pooch
    import pooch  # type: ignore[import-untyped]

    folder = platformdirs.user_cache_dir("wavemore")
    pooch.get_logger().setLevel("WARNING")  # this package prints nothing
    try:
        path = pooch.retrieve(dataset.url, known_hash=f"sha256:{dataset.sha256}", fname=dataset.file, path=folder)
    except (OSError, ValueError) as error:  # no network or no such address, a cache that is full, a wrong checksum
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"cannot download {dataset.url} ({reason}); check the network, or give the path of a copy of the file"
        ) from error
    return Path(path)
