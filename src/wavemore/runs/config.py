"""`config.json`: all that is needed to build the same model, read the same data and repeat the same training."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from wavemore.engine.recipe import Recipe
from wavemore.engine.training_plan import TimeBudget
from wavemore.errors import DataError, RunError, UsageError, require
from wavemore.files import is_present, special_kind
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import model_entry
from wavemore.runs.json_file import PUT_BACK, read_json
from wavemore.runs.record import Line, Seconds
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.corpus import Corpus, DataFile
from wavemore.text.datasets import DATASETS, locate
from wavemore.text.layout import PLAIN, Layout
from wavemore.text.line_corpus import read_line_corpus
from wavemore.text.lines import MAX_LINE_LENGTH
from wavemore.text.parts import Format
from wavemore.text.reading import ItemFile
from wavemore.text.splits import SplitMethod
from wavemore.text.text_corpus import read_text_corpus

FORMAT = 1
"""Version of the run folder's layout; folders of other versions are refused."""
MAX_UNKNOWN = 100_000_000
"""Bytes of a file of data that are read if the run does not record how many there are."""
MAX_FILES = 10_000
"""Files of data that a run may have."""
MAX_NOTE = 10_000
"""Characters of a note, and of an experiment's name."""
DEVICE = re.compile("(cpu|cuda|mps|xpu)(:[0-9]{1,3})?")
"""The devices of torch that compute: not `meta`, for example."""

MAX_CHARACTERS = 100_000
"""Characters of a vocabulary that a run takes over from another one, at most."""

LongText = Annotated[str, Meta(max_length=32_768)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Characters = Annotated[str, Meta(max_length=MAX_CHARACTERS)]


@dataclass(frozen=True)
class DataConfig:
    """The source of the data, and how it was split."""

    source: LongText
    """Name of a data set, or the absolute path of a file; empty for lines in memory."""
    name: Line
    sha256: Line
    encoding: Line
    split_method: SplitMethod
    split_seed: int
    longest_line: Annotated[int, Meta(ge=0, le=MAX_LINE_LENGTH)]
    """Characters of the longest line; 0 for a text."""
    train_fraction: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """The fraction of a text that is train; None for lines."""
    cleaning: Cleaning = AS_IS
    """How the text is cleaned before it is split."""
    size: Annotated[int, Meta(ge=1)] | None = None
    """Bytes of the file; None if there is none."""
    layout: Layout = PLAIN
    """Where the items of a list are in its file."""
    by_count: bool = True
    """Whether items weigh as much as their counts, if the layout has counts."""
    more_files: Annotated[tuple[DataFile, ...], Meta(max_length=MAX_FILES)] = ()
    """The files of the data after the first one."""
    val_file: DataFile | None = None
    """The file that is all of val, if there is one; the same for test."""
    test_file: DataFile | None = None
    extra_characters: Characters = ""
    """Characters of the vocabulary that are not in the data: those of the run that the training began with."""

    def __post_init__(self) -> None:
        require(abs(self.split_seed) < 2**127, "split_seed", self.split_seed, "below 2**127")
        _check_characters("extra_characters", self.extra_characters)

    @property
    def format(self) -> Format:
        """Lines, one item per line, or one continuous text."""
        return "lines" if self.train_fraction is None else "text"

    def load(self) -> Corpus:
        """Read and split the data again, without a check of its checksum.

        Raises `DataError` for a file that cannot be the one of the run; it is then not opened.
        """
        if self.source not in DATASETS:
            _check_file(self.source, self.size)
        own = {part: file for part, file in (("val", self.val_file), ("test", self.test_file)) if file is not None}
        for file in (*self.more_files, *own.values()):
            _check_file(file.source, file.size)
        path, name, encoding = locate(self.source, self.encoding)
        if self.train_fraction is not None:
            paths = {part: Path(file.source) for part, file in own.items()}
            return read_text_corpus(
                path,
                more=[Path(file.source) for file in self.more_files],
                train_fraction=self.train_fraction,
                encoding=encoding,
                cleaning=self.cleaning,
                name=name,
                extra_characters=self.extra_characters,
                **paths,
            )
        return read_line_corpus(
            [ItemFile(path, encoding, self.layout), *map(_item_file, self.more_files)],
            name=name,
            cleaning=self.cleaning,
            by_count=self.by_count,
            split_method=self.split_method,
            split_seed=self.split_seed,
            own={part: _item_file(file) for part, file in own.items()},
            extra_characters=self.extra_characters,
        )


def _item_file(file: DataFile) -> ItemFile:
    return ItemFile(Path(file.source), file.encoding, file.layout)


def _check_file(source: str, expected: int | None) -> None:
    """The run may be a stranger's, and name a file that should not be opened or copied to the cache."""
    if source.startswith(("//", "\\\\")):
        raise DataError(f"{source} is on another computer; copy the file to this one")
    path = Path(source)
    if not is_present(path) or special_kind(path, follow=True):
        return  # whoever reads it says what it is
    size = path.stat().st_size
    if expected is None and size > MAX_UNKNOWN:
        raise DataError(f"{path} has {size:,} bytes, and the run does not record the size of its data")
    if expected not in (None, size):
        sizes = f"it has {size:,} bytes instead of {expected:,}"
        raise DataError(f"{path} is not the file that the run began with: {sizes}")


@dataclass(frozen=True)
class TeacherConfig:
    """A run whose probabilities are part of another run's targets."""

    run: LongText
    """Absolute path."""
    sha256: Line
    """Checksum of its weights; empty for a teacher in the student's folder that is still to be trained."""
    model: Line
    """Short description."""
    train_seconds: Seconds
    """Its training time, and that of its own teachers."""


@dataclass(frozen=True)
class SourceConfig:
    """The run whose weights a training began with. Those are in `initial.safetensors`; the run may be gone."""

    run: LongText
    """Absolute path."""
    sha256: Line
    """Checksum of its weights."""
    data: Line
    """Name of its data."""
    cleaning: Cleaning
    """How its data was cleaned."""
    known: Annotated[int, Meta(ge=1)]
    """Characters that its vocabulary and the data have in common."""
    new_characters: Characters
    """Characters of the data that were not in its vocabulary, sorted."""
    lost_by_case: Count = 0
    """New characters that would be known in lower case."""
    lost_by_form: Count = 0
    """New characters that would be known in another Unicode form: composed, or in parts."""
    shared_val_lines: Count = 0
    """Val lines of a list that its data has too, so that their loss says little."""

    def __post_init__(self) -> None:
        _check_characters("new_characters", self.new_characters)


@dataclass(frozen=True)
class RunConfig:
    """The model, the data and the training of a run."""

    format: int
    wavemore: Line
    """Version of the library."""
    command: Annotated[tuple[LongText, ...], Meta(max_length=10_000)]
    created: Line
    """Local time with its offset, ISO 8601."""
    data: DataConfig
    model: str
    """A name of `MODELS`."""
    model_config: ModelConfig
    """Settings of that model's own class."""
    recipe: Recipe
    device: str
    threads: Annotated[int, Meta(ge=1, le=4096)] | Literal["auto"]
    """Threads of torch: with another number, the last bits of a sum may differ."""
    note: str = ""
    """This and the experiment's name can be changed later."""
    experiment: str = ""
    """Name of the experiment: runs that share it are one row of the log, one seed each."""
    teachers: Annotated[tuple[TeacherConfig, ...], Meta(max_length=1_000)] = ()
    budget: TimeBudget | None = None
    """If the training was planned for a given time."""
    carried_from: SourceConfig | None = None
    """If it began with the weights of another run."""

    def __post_init__(self) -> None:
        for name in ("note", "experiment"):
            if (length := len(getattr(self, name))) > MAX_NOTE:
                raise UsageError(f"`{name}` has {length:,} characters; it may have {MAX_NOTE:,}")
        valid = DEVICE.fullmatch(self.device) is not None
        require(valid, "device", repr(self.device[:100]), "cpu, cuda, mps or xpu, or one of several as in cuda:1")


def _check_characters(name: str, characters: str) -> None:
    """Raise `UsageError` for characters that are too many, unsorted or not distinct."""
    require(len(characters) <= MAX_CHARACTERS, name, f"{len(characters):,} characters", f"at most {MAX_CHARACTERS:,}")
    require("".join(sorted(set(characters))) == characters, name, "in another order", "sorted and distinct")


def read_config(path: Path) -> RunConfig:
    """Read a config that `write_json` wrote.

    Raises `RunError` that names the wrong field, or the version that wrote the file.
    """
    config = read_json(path, partial(_decode, path), PUT_BACK)
    if config is None:
        raise RunError(f"{path.parent} is incomplete (it has no {path.name}): train it again, or name another run")
    return config


class _Header(msgspec.Struct):
    wavemore: Line = ""
    model: Line = ""
    format: Annotated[int, Meta(ge=0, le=10_000)] = FORMAT
    created: Line = ""


def read_created(path: Path) -> float | None:
    """When a run began, in seconds, by its config; 0 for a damaged one, None for that of another program."""
    try:
        header = read_json(path, msgspec.json.Decoder(_Header).decode, "")
        return datetime.fromisoformat(header.created).timestamp() if header and header.wavemore else None
    except (RunError, ValueError, ArithmeticError):
        return 0.0


def _decode(path: Path, content: bytes) -> RunConfig:
    header = msgspec.json.decode(content, type=_Header)
    if not header.wavemore:
        raise RunError(f"{path} was not written by wavemore: name the folder of a run")
    if header.format != FORMAT:
        raise RunError(
            f"{path} has format {header.format} (written by wavemore {header.wavemore}); this version reads format "
            f"{FORMAT}: install the version that wrote it, or train again"
        )
    config_class = model_entry(header.model).config

    def decode_model_config(_: type, value: Any) -> ModelConfig:
        try:
            return msgspec.convert(value, config_class)
        except msgspec.ValidationError as error:  # its path begins here, not at the top of the file
            raise msgspec.ValidationError(str(error).replace("at `$.", "at `$.model_config.")) from None

    return msgspec.json.decode(content, type=RunConfig, dec_hook=decode_model_config)
