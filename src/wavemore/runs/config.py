"""`config.json`: all that is needed to build the same model, read the same data and repeat the same training."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import model_entry
from wavemore.runs.json_file import PUT_BACK, read_json
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load_corpus
from wavemore.text.parts import Format
from wavemore.text.splits import SplitMethod

FORMAT = 1
"""Version of the run folder's layout; folders of other versions are refused."""


@dataclass(frozen=True)
class DataConfig:
    """The source of the data, and how it was split."""

    source: str
    """Name of a data set, or the absolute path of a file; empty for lines in memory."""
    name: str
    sha256: str
    encoding: str
    split_method: SplitMethod
    split_seed: int
    longest_line: int
    """Characters of the longest line; 0 for a text."""
    train_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """The fraction of a text that is train; None for lines."""
    cleaning: Cleaning = AS_IS
    """How the text is cleaned before it is split."""

    @property
    def format(self) -> Format:
        """Lines, one item per line, or one continuous text."""
        return "lines" if self.train_fraction is None else "text"

    def load(self) -> Corpus:
        """Read and split the data again, without a check of its checksum."""
        return load_corpus(
            self.source,
            format=self.format,
            split_method=self.split_method,
            split_seed=self.split_seed,
            train_fraction=self.train_fraction,
            encoding=self.encoding,
            normalize=self.cleaning.normalize,
            invisible=self.cleaning.invisible,
            long_lines=self.cleaning.long_lines,
        )


@dataclass(frozen=True)
class TeacherConfig:
    """A run whose probabilities are part of another run's targets."""

    run: str
    """Absolute path."""
    sha256: str
    """Checksum of its weights."""
    model: str
    """Short description."""
    train_seconds: float
    """Its training time, and that of its own teachers."""


@dataclass(frozen=True)
class RunConfig:
    """The model, the data and the training of a run."""

    format: int
    wavemore: str
    """Version of the library."""
    command: tuple[str, ...]
    created: str
    """Local time with its offset, ISO 8601."""
    data: DataConfig
    model: str
    """A name of `MODELS`."""
    model_config: ModelConfig
    """Settings of that model's own class."""
    recipe: Recipe
    device: str
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    """Threads of torch: with another number, the last bits of a sum may differ."""
    note: str = ""
    """This and the experiment's name can be changed later."""
    experiment: str = ""
    """Name of the experiment: runs that share it are one row of the log, one seed each."""
    teachers: tuple[TeacherConfig, ...] = ()


def read_config(path: Path) -> RunConfig:
    """Read a config that `write_json` wrote.

    Raises `RunError` that names the wrong field, or the version that wrote the file.
    """
    config = read_json(path, partial(_decode, path), PUT_BACK)
    if config is None:
        raise RunError(f"{path.parent} is incomplete (it has no {path.name}): train it again, or name another run")
    return config


class _Header(msgspec.Struct):
    model: str = ""
    format: int = FORMAT
    wavemore: str = "?"


def _decode(path: Path, content: bytes) -> RunConfig:
    header = msgspec.json.decode(content, type=_Header)
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
