"""The Hugging Face hub: the files of a model from a repository there, or to one, by huggingface_hub (extra `hub`).

A repository may be a stranger's. Only files with the names of a saved model are downloaded, the config first, and they
are read as those of any folder: without pickle, with limits.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wavemore.errors import RunError, UsageError
from wavemore.files import MAX_BYTES, read_file
from wavemore.runs.config import read_config, read_created
from wavemore.runs.layout import CARD, LINES, SAVED
from wavemore.version import __version__

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
LIBRARY = {"library_name": "wavemore", "library_version": __version__}


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a repository, such as "user/names"."""
    return NAME.fullmatch(name) is not None


@contextmanager
def downloaded(name: str, revision: str = "") -> Iterator[Path]:
    """Download a model into a temporary folder, which an error calls by the name of the repository.

    The files are kept in the cache of huggingface_hub, which is used without a network. All are of one commit, the
    latest of the `revision`, which is a branch, a tag or a commit; by default of the branch "main".

    Raises `RunError` if there is no model of wavemore, or the hub cannot be reached.
    """
    hub = _library(f"there is no folder {name!r}, and a model on the Hugging Face hub")
    with tempfile.TemporaryDirectory(prefix="wavemore-") as temporary:
        folder = Path(temporary)
        try:
            cached = _fetch(hub, name, "config.json", revision, folder)
            if read_created(folder / "config.json") is None:
                raise RunError(
                    f"{name} on the Hugging Face hub is no model of wavemore: its config.json is of another program"
                )
            has_lines = read_config(folder / "config.json").data.format == "lines"
            for file in SAVED:
                if file != "config.json" and (file != LINES or has_lines):
                    _fetch(hub, name, file, cached.parent.name, folder)  # the folder has the name of the commit
            yield folder
        except RunError as error:
            raise RunError(str(error).replace(str(folder), name)) from None


def push(files: Sequence[Path], name: str, *, private: bool, is_replaceable: Callable[[str], bool]) -> str:
    """Upload the files of a model to a repository in one commit, and create it if there is none; return its address.

    A card there is replaced only if it `is_replaceable`, by its content. Raises `RunError` if there is no token, the
    hub refuses or cannot be reached, or the repository has another model or is not private as requested.
    """
    hub = _library("uploading")
    if hub.get_token() is None:
        raise RunError("no token of the Hugging Face hub was found: `hf auth login` stores one, or set HF_TOKEN")
    api = hub.HfApi(**LIBRARY)
    with _errors(name), tempfile.TemporaryDirectory(prefix="wavemore-") as temporary, _without_bars(hub):
        present = _names_in(hub, api, name, private=private)
        for file in present & {"config.json", CARD}:
            _fetch(hub, name, file, "", Path(temporary))
        if "config.json" in present and read_created(Path(temporary, "config.json")) is None:
            raise RunError(f"{name} on the Hugging Face hub has a model of another library: choose another name")
        kept = CARD in present and not is_replaceable(_text(Path(temporary, CARD)))
        chosen = [file for file in files if not (file.name == CARD and kept)]
        gone = (present & set(SAVED)) - {file.name for file in chosen}
        operations = [hub.CommitOperationAdd(file.name, str(file)) for file in chosen]
        operations += [hub.CommitOperationDelete(file, is_folder=False) for file in sorted(gone)]
        api.create_commit(name, operations, commit_message=f"A model of wavemore {__version__}")
    return f"{hub.constants.ENDPOINT}/{name}"


def check_name(name: str) -> None:
    """Raise `UsageError` for a name that no repository can have."""
    if not is_hub_name(name):
        raise UsageError(f"{name!r:.80} is no name on the Hugging Face hub: give one such as user/names")


def _names_in(hub: Any, api: Any, name: str, *, private: bool) -> set[str]:
    """Return the names of the files in a repository, which is created if there is none."""
    try:
        found = api.model_info(name)
    except hub.errors.RepositoryNotFoundError:
        api.create_repo(name, private=private or None)  # None: the default of the hub, or of the organisation
        return set()
    if private and not found.private:
        raise RunError(
            f"{name} is on the Hugging Face hub already, and public: make it private there, or choose a name"
        )
    return {file.rfilename for file in found.siblings or ()}


def _fetch(hub: Any, name: str, file: str, revision: str, folder: Path) -> Path:
    """Copy a file of a repository into a folder, as the cache has links; return where it is in the cache.

    The summary may be missing.
    """
    try:
        with _errors(name, revision):
            cached = Path(hub.hf_hub_download(name, file, revision=revision or None, **LIBRARY))
    except _MissingFileError:
        if file == "summary.json":
            return folder
        raise RunError(f"{name} on the Hugging Face hub is no model of wavemore: it has no {file}") from None
    shutil.copyfile(cached, folder / file)
    return cached


def _text(path: Path) -> str:
    return read_file(path, MAX_BYTES).decode(errors="replace")


def _library(what: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise UsageError(f"{what} needs huggingface_hub: pip install 'wavemore[hub]'") from None
    return huggingface_hub


class _MissingFileError(Exception):
    """A repository without a file."""


@contextmanager
def _errors(name: str, revision: str = "") -> Iterator[None]:
    """Turn what huggingface_hub raises into `RunError` of one line."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (RunError, UsageError, _MissingFileError, KeyboardInterrupt):
        raise
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise RunError(
            f"{name} is not in the cache, and the Hugging Face hub at {constants.ENDPOINT} cannot be reached: check "
            "the network, and HF_ENDPOINT and HF_HUB_OFFLINE if they are set"
        ) from None
    except errors.RepositoryNotFoundError:
        raise RunError(
            f"there is no folder {name!r}, and no such model on the Hugging Face hub, or it is private: `hf auth "
            "login` stores a token"
        ) from None
    except errors.RevisionNotFoundError:
        raise RunError(f"{name} on the Hugging Face hub has no revision {revision!r:.60}") from None
    except errors.EntryNotFoundError:
        raise _MissingFileError from None
    except Exception as error:  # noqa: BLE001 (its own, and those of the HTTP client that it happens to use)
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise RunError(
                f"the Hugging Face hub does not let this token write to {name}: `hf auth login` stores another"
            ) from None
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise RunError(f"the Hugging Face hub at {constants.ENDPOINT} failed for {name}: {reason[:200]}") from None


@contextmanager
def _without_bars(hub: Any) -> Iterator[None]:
    """Let huggingface_hub draw no progress bars."""
    if hub.utils.are_progress_bars_disabled():
        yield
        return
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        hub.utils.enable_progress_bars()
