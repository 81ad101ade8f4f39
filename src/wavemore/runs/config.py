"""`config.json`: all that is needed to build the same model, the same data and the same training again."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError, WavemoreError
from wavemore.files import write_atomic
from wavemore.nn.config import CONFIGS, ModelConfig
from wavemore.text.detect import TextKind

FORMAT = 1
"""Version of the run folder's layout; a folder of another version is refused by name."""


@dataclass(frozen=True)
class DataConfig:
    """Where the lines, or the text, came from and how they were split."""

    source: str
    """Name of a data set, or the absolute path of a file."""
    name: str
    sha256: str
    encoding: str
    split: Literal["distinct", "lecture", "share"]
    """share: a continuous text, of which the beginning is train and the rest val."""
    split_seed: int
    longest: int
    """Characters of the longest line; 0 of a text."""
    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Of a text, what is train; None of lines."""

    @property
    def text(self) -> TextKind:
        """Lines, one thing each, or one continuous text."""
        return "lines" if self.share is None else "stream"

    @property
    def split_words(self) -> str:
        """How it was split, in words."""
        if self.share is not None:
            return f"the first {100 * self.share:g} % train"
        return self.split if self.split == "lecture" else f"{self.split}, seed {self.split_seed}"


@dataclass(frozen=True)
class TeacherConfig:
    """A run whose probabilities are a part of what this one is trained on."""

    run: str
    """Absolute path."""
    sha256: str
    """Of its weights."""
    model: str
    """In a few words."""
    train_seconds: float
    """Its training, and that of its own teachers."""


@dataclass(frozen=True)
class Config:
    """What a run is."""

    format: int
    wavemore: str
    command: tuple[str, ...]
    created: str
    """Local time with its offset, ISO 8601."""
    data: DataConfig
    model: str
    """A name of `CONFIGS`."""
    settings: ModelConfig
    """Of that model's own class."""
    recipe: Recipe
    device: str
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    """Threads of torch: with another number the last bits of a sum may differ."""
    note: str = ""
    experiment: str = ""
    """What the run is one seed of: runs that share it are one row of the log."""
    teachers: tuple[TeacherConfig, ...] = ()


def write_config(path: Path, config: Config) -> None:
    """Write `config` as indented JSON.

    Raises `RunError` for a value that JSON cannot hold, such as a file name that is no Unicode.
    """
    try:
        content = msgspec.json.format(msgspec.json.encode(config), indent=2)
    except (UnicodeEncodeError, OverflowError) as error:
        raise RunError(f"the settings cannot be kept in {path}: {error}; change that value or that name") from None
    write_atomic(path, content + b"\n")


def read_config(path: Path) -> Config:
    """Read what `write_config` wrote.

    Raises `RunError` that names the wrong field, or the version that wrote the file.
    """
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content)
        version = found.get("format") if isinstance(found, dict) else None
        if isinstance(version, int) and version != FORMAT:
            raise RunError(
                f"{path} is of format {version} (written by wavemore {found.get('wavemore', '?')}); "
                f"this wavemore reads format {FORMAT}: install the version that wrote it, or train again"
            )
        return _config_of(content, found.get("model") if isinstance(found, dict) else None)
    except FileNotFoundError:
        raise RunError(
            f"{path.parent} is no complete run (it has no {path.name}): train it again, or name another run"
        ) from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from None
    except RunError:
        raise
    except WavemoreError as error:  # a value outside its range
        raise _damaged(path, str(error)) from None


def _config_of(content: bytes, model: Any) -> Config:
    """Decode a config whose model is known by now, and with it the class of its settings."""

    def settings_of(kind: type, value: Any) -> Any:
        assert kind is ModelConfig
        try:
            return msgspec.convert(value, CONFIGS[model])
        except msgspec.ValidationError as error:  # its path begins here, not at the top of the file
            raise msgspec.ValidationError(str(error).replace("at `$.", "at `$.settings.")) from None

    if not isinstance(model, str) or model not in CONFIGS:
        raise msgspec.ValidationError(f"model is {model!r}, not one of {', '.join(CONFIGS)}")
    return msgspec.json.decode(content, type=Config, dec_hook=settings_of)


@dataclass(frozen=True)
class Label:
    """`label.json`: what a run was called after it was begun; None leaves what `config.json` says.

    A file of its own, so that `config.json` stays as it was begun, with its date, by which runs are put in order.
    """

    note: str | None = None
    experiment: str | None = None

    def on(self, config: Config) -> Config:
        """The config under this label."""
        note = config.note if self.note is None else self.note
        experiment = config.experiment if self.experiment is None else self.experiment
        return replace(config, note=note, experiment=experiment)


def write_label(path: Path, label: Label) -> None:
    """Write `label` as JSON.

    Raises `RunError` for words that are no Unicode.
    """
    try:
        content = msgspec.json.format(msgspec.json.encode(label), indent=2)
    except UnicodeEncodeError as error:
        raise RunError(f"these words cannot be kept in {path}: {error}; say it in other ones") from None
    write_atomic(path, content + b"\n")


def read_label(path: Path) -> Label:
    """Read what `write_label` wrote; an empty label where there is none.

    Raises `RunError` for a damaged file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Label)
    except FileNotFoundError:
        return Label()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{path} is damaged or was changed ({why}); remove it, then name the run again") from None


def _damaged(path: Path, why: str) -> RunError:
    return RunError(f"{path} is damaged or was changed ({why}); put it back, or train again")
