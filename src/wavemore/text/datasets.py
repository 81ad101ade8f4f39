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
from typing import Literal, Unpack, overload

from wavemore.errors import DataError, UsageError
from wavemore.files import is_present
from wavemore.text.cleaning import Cleaning, CleaningSettings
from wavemore.text.corpus import Corpus
from wavemore.text.detect import Detected, detect
from wavemore.text.layout import PLAIN, Layout, Recognized
from wavemore.text.line_corpus import LineCorpus, build_corpus
from wavemore.text.opening import COMPRESSED
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
    column: str | None = ...,
    label_column: str | None = ...,
    layout: Layout = ...,
    split_method: SplitMethod = ...,
    split_seed: int = ...,
    train_fraction: float | None = ...,
    encoding: str = ...,
    cache: Path | None = ...,
    **cleaning: Unpack[CleaningSettings],
) -> LineCorpus: ...
@overload
def load_corpus(
    data: str | Path = ...,
    *,
    format: Literal["text"],
    column: str | None = ...,
    label_column: str | None = ...,
    layout: Layout = ...,
    split_method: SplitMethod = ...,
    split_seed: int = ...,
    train_fraction: float | None = ...,
    encoding: str = ...,
    cache: Path | None = ...,
    **cleaning: Unpack[CleaningSettings],
) -> TextCorpus: ...
@overload
def load_corpus(
    data: str | Path = ...,
    *,
    format: Literal["auto", "lines", "text"],
    column: str | None = ...,
    label_column: str | None = ...,
    layout: Layout = ...,
    split_method: SplitMethod = ...,
    split_seed: int = ...,
    train_fraction: float | None = ...,
    encoding: str = ...,
    cache: Path | None = ...,
    **cleaning: Unpack[CleaningSettings],
) -> Corpus: ...
def load_corpus(
    data: str | Path = "names",
    *,
    format: Literal["auto", "lines", "text"] = "lines",  # noqa: A002 - the name of the setting
    column: str | None = None,
    label_column: str | None = None,
    layout: Layout = PLAIN,
    split_method: SplitMethod = "distinct",
    split_seed: int = 0,
    train_fraction: float | None = None,
    encoding: str = "auto",
    cache: Path | None = None,
    **cleaning: Unpack[CleaningSettings],
) -> Corpus:
    """Read, split and encode a data set by its name, or a file by its path.

    With `format` "lines", the file holds one item per line, and `split_method` and `split_seed` decide the split. With
    "text" it is one continuous text: its first `train_fraction` (default 0.8) is train, the first half of the rest is
    val, the end is test, and its ids are kept in the folder `cache` (default: the user's cache folder). With "auto" it
    is what it looks like: also a table (CSV, TSV), JSON or the output of `uniq -c`, of which the only column with
    different texts is read. `column` names another one, or gives its number, from 1; the one of `label_column` has a
    label of each item, which the model is told before its first character. `layout` says all of it. Files may be
    compressed: gzip, bzip2, xz, and zstd with the extra `zstd`.

    The name of a data set takes precedence over a file of that name; './names' or a `Path` reaches the file. `encoding`
    is that of files (auto: UTF-8, or UTF-16 and UTF-32 with a byte order mark); data sets are UTF-8. `cleaning` are the
    settings of a `cleaning.Cleaning`, with `normalize` nfc by default. Raises `DataError` for data that cannot be
    found, downloaded, read or split, and `UsageError` for settings that are unknown, out of range or not for this data.

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
    if format not in ("auto", "lines", "text"):
        raise UsageError(f"`format` is {format!r}; it must be auto, lines or text")
    for setting, named in (("column", column), ("label_column", label_column)):
        if named is not None and (format == "text" or layout is not PLAIN):
            raise UsageError(f"`{setting}` is for lists, of which no `layout` is given: leave it out")
    kind: Format = "text" if format == "text" else "lines"
    looked_at = format == "auto" or column is not None or label_column is not None
    if looked_at and (detected := detect_format(data, encoding, column, label_column)) is not None:
        kind = detected.format
        layout = PLAIN if detected.recognized is None else required_layout(data, detected.recognized)
    cleaning.setdefault("normalize", "nfc")
    how = Cleaning(**cleaning)
    path, name, encoding = locate(data, encoding)
    if kind == "text":
        if how.max_length is not None:
            raise UsageError("`max_length` is for items of a list, and the data is continuous text: leave it out")
        fraction = TRAIN_FRACTION if train_fraction is None else train_fraction
        return read_text_corpus(path, train_fraction=fraction, encoding=encoding, cleaning=how, name=name, cache=cache)
    if train_fraction is not None:
        raise UsageError("`train_fraction` is only for a text; a list is split 80/10/10 by `split_method`")
    return _read_list(path, name, encoding, how, layout, split_method, split_seed)


def _read_list(
    path: Path, name: str, encoding: str, cleaning: Cleaning, layout: Layout, method: SplitMethod, seed: int
) -> LineCorpus:
    lines, report, reader = read_lines(path, encoding, cleaning, layout)
    return build_corpus(
        lines,
        report,
        name=name,
        source=str(path.absolute()),
        sha256=reader.sha256,
        encoding=reader.encoding,
        cleaning=cleaning,
        layout=layout,
        split_method=method,
        split_seed=seed,
    )


def required_layout(data: str | Path, recognized: Recognized) -> Layout:
    """Return the layout of a file; raises `DataError` if it is not clear."""
    try:
        return recognized.required()
    except DataError as error:
        raise DataError(f"{data}: {error}") from None


def detect_format(
    data: str | Path, encoding: str = "auto", column: str | None = None, label_column: str | None = None
) -> Detected | None:
    """Guess whether a file is a list or a text; None for data sets that are lists, and if there is no file.

    >>> detect_format("names") is None
    True
    >>> detect_format("tinyshakespeare")
    Detected(format='text', reason='a data set of one text', recognized=None)
    """
    dataset = _dataset(data)
    for setting, named in (("column", column), ("label_column", label_column)):
        if dataset is not None and named is not None:
            raise UsageError(f"`{setting}` is {named!r}, but {data} is a data set, not a table: leave it out")
    if dataset is not None:
        return Detected("text", "a data set of one text") if dataset.format == "text" else None
    return detect(Path(data), encoding, column, label_column) if is_present(data) else None


def _dataset(data: str | Path) -> Dataset | None:
    return DATASETS.get(data) if isinstance(data, str) else None


def locate(data: str | Path, encoding: str) -> tuple[Path, str, str]:
    """Return the path, the name and the encoding of a data set or a file."""
    dataset = _dataset(data)
    if dataset is not None:
        return _fetch(dataset) if dataset.url else Path(__file__).with_name(dataset.file), str(data), "utf-8"
    if not is_present(data):
        names = ", ".join(DATASETS)
        raise DataError(f"{str(data)!r} is neither a file nor a data set; check the path, or choose one of {names}")
    return Path(data), stem_of(data), encoding


def stem_of(path: str | Path) -> str:
    """Return the name of a file without its suffix, and without that of its compression.

    >>> stem_of("lists/names.csv.gz"), stem_of("names.txt")
    ('names', 'names')
    """
    path = Path(path)
    return Path(path.stem).stem if path.suffix in COMPRESSED else path.stem


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
