"""The words of a command that begins with a run, which may be left out: [RUN] [LINE ...]."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from wavemore.cli.screen import print_error
from wavemore.errors import RunError, UsageError

if TYPE_CHECKING:
    from wavemore.runs.run import Run
    from wavemore.text.vocabulary import Vocabulary

FILE_NAME = re.compile(r".\.[A-Za-z][A-Za-z0-9]{0,7}$")


class RunWords(NamedTuple):
    """A run, and the words after its name."""

    run: "Run"
    words: list[str]
    is_named: bool
    """Whether the run was named: otherwise it is the latest."""


def split_words(words: Sequence[str], data: str = "") -> RunWords:
    """Return the run that the first word names, or else the latest one, and the other words.

    Raises `RunError` if the first word is neither a run nor can be an item or a file.
    """
    from wavemore.runs.find import find_run, is_run

    if words and (is_run(words[0]) or words[0].startswith("runs/")):
        return RunWords(find_run(words[0], data), list(words[1:]), is_named=words[0] != "latest")
    run = find_run("latest", data)
    if words and run.config.data.format == "lines":
        _check_item(words[0], run)
    return RunWords(run, list(words), is_named=False)


def say_run(run: "Run", *, is_named: bool) -> None:
    """Say on standard error which run was used, if it was not named."""
    if not is_named:
        print_error(f"wavemore: used {run.path}, the latest run")


def is_file_name(word: str, vocabulary: "Vocabulary") -> bool:
    """Whether a word is the name of a file that is there, and not rather an item that happens to be one."""
    looks_like_one = FILE_NAME.search(word) or "/" in word or set(vocabulary.clean(word)) - set(vocabulary.characters)
    return bool(looks_like_one) and os.path.isfile(word)  # noqa: PTH113 (false for no name)


def _check_item(word: str, run: "Run") -> None:
    """Raise an error for a word that looks like the name of a run or a file, and can be no item."""
    from wavemore.runs.find import find_run, find_runs, nearest

    vocabulary = run.vocabulary()
    unknown = sorted(set(vocabulary.clean(word)) - set(vocabulary.characters))
    if not unknown or is_file_name(word, vocabulary):
        return
    no_item = f"as an item of {run.path}, it has characters that the model does not know: {' '.join(unknown[:8])}"
    if FILE_NAME.search(word):
        raise UsageError(f"there is no run and no file {word!r}; {no_item}")
    if "/" in word or re.search(r"-\d+$", word) or nearest(word, find_runs()):
        try:
            find_run(word)
        except RunError as error:
            raise RunError(f"{error}; {no_item}") from None
