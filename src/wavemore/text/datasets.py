"""Data sets by name, and any file by its path.

`names`, the default, comes with the package: 29,687 distinct first names given in the USA in 2018, the most frequent
first, in lower case. Source: US Social Security Administration, national data on baby names, a work of the US
government and in the public domain. Placeholders such as "baby" and "unknown" have been removed.

`makemore-names` is the 32,033 lines of https://github.com/karpathy/makemore, on which the lecture's numbers were
measured. `tinyshakespeare` is the 1,115,394 characters of https://github.com/karpathy/char-rnn, on which small
character-level language models are usually compared. Both are downloaded once, checked, and kept in the user's cache
folder.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Unpack, overload

from wavemore.errors import DataError, UsageError, require_kind, typed_arguments
from wavemore.files import is_present
from wavemore.text.cleaning import Cleaning, CleaningSettings
from wavemore.text.corpus import Corpus
from wavemore.text.detect import Detected, detect
from wavemore.text.layout import ANY, PLAIN, Layout, Wanted
from wavemore.text.line_corpus import LineCorpus, read_line_corpus
from wavemore.text.opening import COMPRESSED
from wavemore.text.parts import Format
from wavemore.text.reading import ItemFile
from wavemore.text.recognize import Recognized
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


Data = str | Path | Sequence[str | Path]
"""A data set by its name, a file or a folder by its path, or several of them."""


class DataSettings(CleaningSettings, total=False):
    """The settings of `load_corpus`, by name."""

    column: str | None
    """The column of a table, or the field of JSON, with the items: its name or number, from 1. Default: the only one
    with different texts."""
    count_column: str | None
    """The one that says how often each item occurs, which is its weight in training and in losses."""
    by_count: bool
    """False: the counts only serve the setting `min_count`."""
    separator: str | None
    """Items have several lines, up to one that is equal to this; empty: a blank line. `layout.LINE_BREAK` stands for
    the line breaks within an item."""
    label_column: str | None
    """The one that has a label of each item, which the model is told before its first character."""
    layout: Layout
    """Where the items are, instead of the settings above."""
    split_method: SplitMethod
    """How a list is split, see `splits.split`."""
    split_seed: int
    """A different one gives another split of a list."""
    train_fraction: float | None
    """The fraction of a text, from its beginning, that is train (default: 0.8); half of the rest is val, half test."""
    val: str | Path | None
    """A file that is all of val; what would have been val is train."""
    test: str | Path | None
    """The same for test."""
    encoding: str
    """That of files (auto: UTF-8, or UTF-16 and UTF-32 with a byte order mark); data sets are UTF-8."""
    extra_characters: str
    """Characters that the vocabulary has besides those of the data, for example those of a trained model."""
    cache: str | Path | None
    """The folder where the ids of a text are kept (default: the user's cache folder)."""


@overload
def load_corpus(
    data: Data = ..., *, format: Literal["lines"] = ..., **settings: Unpack[DataSettings]
) -> LineCorpus: ...
@overload
def load_corpus(data: Data = ..., *, format: Literal["text"], **settings: Unpack[DataSettings]) -> TextCorpus: ...
@overload
def load_corpus(
    data: Data = ..., *, format: Literal["auto", "lines", "text"], **settings: Unpack[DataSettings]
) -> Corpus: ...
@typed_arguments
def load_corpus(
    data: Data = "names",
    *,
    format: Literal["auto", "lines", "text"] = "lines",  # noqa: A002 - the name of the setting
    column: str | None = None,
    count_column: str | None = None,
    label_column: str | None = None,
    layout: Layout = PLAIN,
    by_count: bool = True,
    separator: str | None = None,
    split_method: SplitMethod = "distinct",
    split_seed: int = 0,
    train_fraction: float | None = None,
    val: str | Path | None = None,
    test: str | Path | None = None,
    encoding: str = "auto",
    cache: str | Path | None = None,
    extra_characters: str = "",
    **cleaning: Unpack[CleaningSettings],
) -> Corpus:
    """Read, split and encode a data set by its name, or a file by its path; several files, or a folder, are joined.

    With `format` "lines", a file holds one item per line; with "text" it is one continuous text. With "auto" it is what
    it looks like: also a table (CSV, TSV), JSON or the output of `uniq -c`. Files may be compressed: gzip, bzip2, xz,
    and zstd with the extra `zstd`. The name of a data set takes precedence over a file of that name; './names' or a
    `Path` reaches the file. `DataSettings` explains the other settings; `cleaning` are those of a `cleaning.Cleaning`,
    with `normalize` nfc by default. Raises `DataError` for data that cannot be found, downloaded, read or split, and
    `UsageError` for settings that are unknown, out of range or not for this data.

    >>> corpus = load_corpus("names")
    >>> print(corpus.report)
    29,687 lines (all distinct), 183,090 characters (26 distinct), longest line 15
    """
    wanted = Wanted(column, count_column, label_column)
    files = files_of(data)
    kind, layout = _resolved(files, format, wanted, separator, layout, encoding)
    if unknown := cleaning.keys() - CleaningSettings.__annotations__.keys():
        raise UsageError(f"there is no setting `{min(unknown)}`; choose from {', '.join(DataSettings.__annotations__)}")
    cleaning.setdefault("normalize", "nfc")
    how = Cleaning(**cleaning)
    own = {part: file for part, file in (("val", val), ("test", test)) if file is not None}
    if kind == "text":
        return _read_text(files, own, train_fraction, encoding, how, cache, extra_characters)
    if train_fraction is not None:
        raise UsageError("`train_fraction` is only for a text; a list is split 80/10/10 by `split_method`")
    recognizes = separator is None and (format == "auto" or any(wanted))
    plain = PLAIN if separator is None else layout
    item_file_of = partial(_item_file, encoding=encoding, wanted=wanted if recognizes else None, plain=plain)
    path, name, first_encoding = locate(files[0], encoding)
    return read_line_corpus(
        [ItemFile(path, first_encoding, layout), *map(item_file_of, files[1:])],
        name=name,
        cleaning=how,
        by_count=by_count,
        split_method=split_method,
        split_seed=split_seed,
        extra_characters=extra_characters,
        own={part: item_file_of(file) for part, file in own.items()},
    )


def _read_text(
    files: Sequence[str | Path],
    own: Mapping[str, str | Path],
    train_fraction: float | None,
    encoding: str,
    cleaning: Cleaning,
    cache: str | Path | None,
    extra_characters: str,
) -> TextCorpus:
    """Read a text. Raises `UsageError` for settings that are not for a text, or contradict each other."""
    if cleaning.max_length is not None:
        raise UsageError("`max_length` is for items of a list, and the data is continuous text: leave it out")
    if cleaning.min_count > 1:
        raise UsageError("`min_count` is for items of a list, and the data is continuous text: leave it out")
    if len(own) == 2 and train_fraction is not None:
        raise UsageError("`val` and `test` are given, so all of the data is train: leave `train_fraction` out")
    path, name, first_encoding = locate(files[0], encoding)
    return read_text_corpus(
        path,
        more=[locate(file, encoding)[0] for file in files[1:]],
        train_fraction=TRAIN_FRACTION if train_fraction is None else train_fraction,
        encoding=first_encoding,
        cleaning=cleaning,
        name=name,
        cache=None if cache is None else Path(cache),
        extra_characters=extra_characters,
        **{part: locate(file, encoding)[0] for part, file in own.items()},
    )


def _resolved(
    files: Sequence[str | Path],
    format: str,  # noqa: A002 - the name of the setting
    wanted: Wanted,
    separator: str | None,
    layout: Layout,
    encoding: str,
) -> tuple[Format, Layout]:
    """Return whether the data is lines or a text, and where the items of its first file are."""
    if any(wanted) and (format == "text" or layout is not PLAIN):
        raise UsageError(f"`{wanted.settings[0]}` is for lists without a `layout`: leave it out")
    if separator is not None:
        if format == "text" or any(wanted) or layout is not PLAIN:
            raise UsageError("`separator` is for lists of items of several lines, which have no columns: leave it out")
        return "lines", Layout("separated", separator=separator)
    if format == "auto":
        _require_one_format(files, encoding)
    if (format == "auto" or any(wanted)) and (detected := detect_format(files[0], encoding, wanted)) is not None:
        recognized = detected.recognized
        return detected.format, PLAIN if recognized is None else required_layout(files[0], recognized)
    return "text" if format == "text" else "lines", layout


def _require_one_format(files: Sequence[str | Path], encoding: str) -> None:
    """Raise `UsageError` if some files look like lists, and some like texts."""
    if len(files) == 1:
        return
    looks = dict[Format, str | Path]()
    for file in files:
        detected = detect_format(file, encoding)
        looks.setdefault("lines" if detected is None else detected.format, file)
    if len(looks) == 2:
        raise UsageError(f"{looks['lines']} looks like a list, and {looks['text']} like a text: set `format` for both")


def files_of(data: Data) -> list[str | Path]:
    """Return the files of data that may be several files and folders; those of a folder are in order of their names.

    Hidden files are left out. Raises `DataError` for a folder without files.
    """
    example, files = "a path, the name of a data set, or a list of these", list[str | Path]()
    require_kind(data, "data", str | Path | Iterable, example)
    for each in [data] if isinstance(data, str | Path) else data:
        require_kind(each, "data", str | Path, example)
        if _dataset(each) is not None or not os.path.isdir(each):  # noqa: PTH112 (false for no name)
            files.append(each)
            continue
        folder = Path(each)
        found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path, folder)]
        if not found:
            raise DataError(f"{folder}: this folder has no files; give a file, or a folder of files")
        files += found
    if not files:
        raise UsageError("`data` is an empty list: give a file, or several")
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _item_file(data: str | Path, encoding: str, wanted: Wanted | None, plain: Layout) -> ItemFile:
    """Find out where the items of a file are: as `plain` has it, or in the `wanted` columns of a file with columns."""
    path, _, encoding = locate(data, encoding)
    detected = None if wanted is None else detect_format(data, encoding)
    if wanted is not None and any(wanted) and detected is not None:
        is_plain = detected.recognized is None
        with suppress(UsageError) if is_plain else nullcontext():  # a file without columns has no such column
            detected = detect_format(data, encoding, wanted)
    recognized = None if detected is None else detected.recognized
    return ItemFile(path, encoding, plain if recognized is None else required_layout(data, recognized))


def required_layout(data: str | Path, recognized: Recognized) -> Layout:
    """Return the layout of a file; raises `DataError` if it is not clear."""
    try:
        return recognized.required()
    except DataError as error:
        raise DataError(f"{data}: {error}") from None


def detect_format(data: str | Path, encoding: str = "auto", wanted: Wanted = ANY) -> Detected | None:
    """Guess whether a file is a list or a text; None for data sets that are lists, and if there is no file.

    >>> detect_format("names") is None
    True
    >>> detect_format("tinyshakespeare")
    Detected(format='text', reason='a data set of one text', recognized=None)
    """
    dataset = _dataset(data)
    if dataset is not None and any(wanted):
        name = wanted.settings[0]
        raise UsageError(f"`{name}` is {getattr(wanted, name)!r}, but {data} is a data set, not a table: leave it out")
    if dataset is not None:
        return Detected("text", "a data set of one text") if dataset.format == "text" else None
    return detect(Path(data), encoding, wanted) if is_present(data) else None


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
