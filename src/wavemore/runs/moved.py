"""Where the files that a run names are after its project was moved, or copied to another machine."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wavemore.errors import DataError, RunError
from wavemore.files import is_present
from wavemore.runs.config import DataConfig
from wavemore.text.corpus import Corpus, DataFile
from wavemore.text.datasets import DATASETS


def find_corpus(data: DataConfig, given: str, home: Path) -> Corpus:
    """Read and split the data of the run in `home` from `given` or else from where it was read, or where that is now.

    Raises `RunError` if the file is not there, or is another one by its checksum.
    """
    if not (data.source or given):
        raise RunError(f"{home} was trained on lines in memory, which cannot be read again")
    problem = ""
    for place in [given] if given else places(data.source, home):
        try:
            if not (place in DATASETS or place.startswith(("//", "\\\\")) or is_present(place)):
                raise DataError(f"{place} is not there")
            *more, val_file, test_file = (_found(file, home) for file in _others(data))
            files = tuple(file for file in more if file is not None)
            corpus = replace(data, source=place, more_files=files, val_file=val_file, test_file=test_file).load()
            for new, old in zip(_others(corpus), _others(data), strict=True):
                if new and old and new.sha256 != old.sha256:
                    raise DataError(f"{new.source} is not the file that the run began with: its content differs")
            if corpus.sha256 == data.sha256:
                return corpus
            raise DataError(f"{place} is not the file that the run began with: its content differs")
        except DataError as error:
            problem = problem or str(error)
    raise RunError(
        f"the data of {home} cannot be read: {problem}; put the right file there, or give its path as `data`"
    )


def _others(data: DataConfig | Corpus) -> tuple[DataFile | None, ...]:
    """Return the files besides the first one: more data, val and test."""
    return (*data.more_files, data.val_file, data.test_file)


def _found(file: DataFile | None, home: Path) -> DataFile | None:
    """Return a file with the place where it is now."""
    if file is None:
        return None
    return replace(file, source=next(filter(is_present, places(file.source, home)), file.source))


def places(path: str, beside: Path) -> Iterator[str]:
    """The path, then what has the same last parts below the folders around `beside`: the longest parts come first.

    For /old/lists/words.txt and a run in /new/runs/words-1 these are, where they exist, /new/lists/words.txt and
    /new/words.txt, and the same below /new/runs and the current folder.
    """
    yield path
    parts = Path(path).parts[1:]
    folders = dict.fromkeys([*beside.absolute().parents, Path.cwd()]) if ".." not in parts else {}
    for length in range(len(parts), 0, -1):
        for folder in folders:
            place = str(folder.joinpath(*parts[-length:]))
            if place != path and is_present(place):
                yield place
