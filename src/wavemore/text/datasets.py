"""The data sets by name, and any file by its path.

`names`, the default, comes with the package: 29,687 distinct first names given in the USA in 2018, the most
frequent first, in lower case. Source: US Social Security Administration, national data on baby names, a work
of the US government and in the public domain. Placeholders such as "baby" and "unknown" are taken out.

`makemore-names` are the 32,033 lines of https://github.com/karpathy/makemore, on which the numbers of the
lecture were made. They are downloaded once, checked, and kept in the user's cache folder.

`tinyshakespeare` is one continuous text: the 1,115,394 characters of https://github.com/karpathy/char-rnn, on which
small language models of characters are usually compared. It is downloaded in the same way.
"""

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wavemore.errors import DataError
from wavemore.text.continuous import SHARE, TextStream, load_stream
from wavemore.text.corpus import Corpus, build_corpus
from wavemore.text.detect import Detected, TextKind, detect
from wavemore.text.reading import read_source
from wavemore.text.splits import SplitName


@dataclass(frozen=True)
class Bundled:
    """A data set that comes with the package: the name of its file."""

    file: str
    about: str


@dataclass(frozen=True)
class Download:
    """A data set that is downloaded once: its address, the SHA-256 of its bytes, its name in the cache."""

    url: str
    sha256: str
    file: str
    about: str
    text: TextKind = "lines"


DATASETS: dict[str, Bundled | Download] = {
    "names": Bundled(
        file="us-names-2018.txt",
        about="29,687 first names given in the USA in 2018",
    ),
    "makemore-names": Download(
        url="https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
        sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        file="makemore-names.txt",
        about="the 32,033 names of the lecture, 29,494 of them distinct",
    ),
    "tinyshakespeare": Download(
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        file="tinyshakespeare.txt",
        about="1,115,394 characters of Shakespeare's plays, one text",
        text="stream",
    ),
}


def load(
    data: str | Path = "names", *, split: SplitName = "distinct", split_seed: int = 0, encoding: str = "utf-8"
) -> Corpus:
    """Read, split and encode a data set by its name, or a file with one thing a line by its path.

    The name of a data set wins over a file of that name; './names' or a `Path` reaches the file. `encoding`
    is for files; the data sets are UTF-8. Raises `DataError` for what cannot be found, downloaded, read or
    split, and `UsageError` for an unknown encoding or split.

    >>> corpus = load("names")
    >>> print(corpus.report)
    29,687 lines (all distinct), 183,090 characters of 26 kinds, longest line 15
    >>> corpus.train.lines[0], corpus.vocabulary.characters
    ('liam', 'abcdefghijklmnopqrstuvwxyz')
    """
    with _located(data, encoding) as (path, name, encoding):
        return _load_file(path, name, split, split_seed, encoding)


def load_text(
    data: str | Path, *, share: float = SHARE, encoding: str = "utf-8", cache: Path | None = None
) -> TextStream:
    """Read, split and encode the same as one continuous text; see `stream.load_stream`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load_text("names", cache=Path(folder)).report)
    212,777 characters of 27 kinds, 29,687 line ends
    """
    with _located(data, encoding) as (path, name, encoding):
        return load_stream(path, share=share, encoding=encoding, name=name, cache=cache)


def detect_text(data: str | Path, encoding: str = "utf-8") -> Detected | None:
    """What a file looks like, a list or a text; None for the data sets that are lists, and where there is no file.

    >>> detect_text("names") is None
    True
    >>> detect_text("tinyshakespeare")
    Detected(kind='stream', why='a data set of one text')
    """
    dataset = DATASETS.get(str(data)) if isinstance(data, str) else None
    if isinstance(dataset, Download) and dataset.text == "stream":
        return Detected("stream", "a data set of one text")
    if data in DATASETS or not str(data) or not _exists(Path(data)):
        return None
    return detect(Path(data), encoding)


@contextmanager
def _located(data: str | Path, encoding: str) -> Iterator[tuple[Path, str, str]]:
    """The file of a data set or of a path, with its name and its encoding."""
    dataset = DATASETS.get(data) if isinstance(data, str) else None
    if isinstance(dataset, Bundled):
        with importlib.resources.as_file(importlib.resources.files("wavemore.text") / dataset.file) as path:
            yield path, str(data), "utf-8"
    elif isinstance(dataset, Download):
        yield _fetch(dataset), str(data), "utf-8"
    else:
        path = Path(data)
        if not str(data) or not _exists(path):
            names = ", ".join(DATASETS)
            raise DataError(f"{str(data)!r} is no file and no data set; check the path, or choose one of {names}")
        yield path, path.stem, encoding


def _load_file(path: Path, name: str, split: SplitName, split_seed: int, encoding: str) -> Corpus:
    lines, report, sha256 = read_source(path, encoding)
    return build_corpus(
        lines,
        report,
        name=name,
        source=str(path.absolute()),
        sha256=sha256,
        encoding=encoding,
        split=split,
        split_seed=split_seed,
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have, too long or with a zero character
        return False


def _fetch(dataset: Download) -> Path:
    """Return the path of the checked file in the cache, downloaded if it is not there."""
    import platformdirs  # only here: the other data sets need no network and no cache
    import pooch  # type: ignore[import-untyped]

    folder = platformdirs.user_cache_dir("wavemore")
    pooch.get_logger().setLevel("WARNING")  # what is printed is not this module's business
    try:
        fetched = pooch.retrieve(dataset.url, known_hash=f"sha256:{dataset.sha256}", fname=dataset.file, path=folder)
    except (
        OSError,
        ValueError,
    ) as error:  # no network, no such address, no place in the cache, a wrong checksum
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"cannot download {dataset.url} ({reason}); check the network, or give the path of a copy of the file"
        ) from error
    return Path(fetched)
