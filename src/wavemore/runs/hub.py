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
from typing import Any, NamedTuple

from wavemore.errors import RunError, UsageError
from wavemore.files import read_file
from wavemore.runs.config import read_config, read_created
from wavemore.runs.layout import CARD, LINES, SAVED
from wavemore.version import __version__

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
LIBRARY = {"library_name": "wavemore", "library_version": __version__}
LOGIN = "`hf auth login` stores a token"


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a repository, such as "user/names"."""
    return NAME.fullmatch(name) is not None


def check_hub_name(name: str) -> None:
    """Raise `UsageError` for a name that no repository can have."""
    if not is_hub_name(name):
        raise UsageError(f"{name!r:.80} cannot be a name on the Hugging Face hub: give one such as user/names")


class _Repository(NamedTuple):
    """A repository at one commit. Without a network, nothing is known of it, and its files are those of the cache."""

    name: str
    commit: str
    files: frozenset[str] | None
    private: bool


@contextmanager
def downloaded(name: str, revision: str = "") -> Iterator[Path]:
    """Download a model into a temporary folder, which an error calls by the name of the repository.

    The files are kept in the cache of huggingface_hub, which is used without a network. All are of one commit, the
    latest of the `revision`, which is a branch, a tag or a commit; by default of the branch "main".

    Raises `RunError` if there is no wavemore model, or the hub cannot be reached.
    """
    hub = _library(f"there is no folder {name!r}, and downloading a model")
    with tempfile.TemporaryDirectory(prefix="wavemore-") as temporary:
        folder = Path(temporary)
        try:
            found = _find(hub, name, revision)
            if found is None:
                raise RunError(
                    f"there is no folder {name!r}, and no such model on the Hugging Face hub, or it is private: {LOGIN}"
                )
            # By the name of the branch, as the cache then knows it without a network; the others by the commit.
            place = _fetch(hub, found._replace(commit=revision or "main"), "config.json", folder)
            found = found._replace(commit=place.parent.name)
            if read_created(folder / "config.json") is None:
                raise RunError(f"{name} on the hub is not a wavemore model: another program wrote its config.json")
            has_lines = read_config(folder / "config.json").data.format == "lines"
            for file in SAVED:
                if file != "config.json" and (file != LINES or has_lines):
                    _fetch(hub, found, file, folder)
            yield folder
        except RunError as error:
            raise RunError(str(error).replace(str(folder), name)) from None


def push(files: Sequence[Path], name: str, *, private: bool, is_replaceable: Callable[[str], bool]) -> None:
    """Upload the files of a model to a repository in one commit, and create it if there is none.

    A card there is replaced only if it `is_replaceable`, by its content. Raises `RunError` if there is no token, the
    hub refuses or cannot be reached, or the repository has another model or is not private as requested.
    """
    hub = _library("uploading")
    if hub.get_token() is None:
        raise RunError(f"no token of the Hugging Face hub was found: {LOGIN}, or set HF_TOKEN")
    api = hub.HfApi(**LIBRARY)
    with tempfile.TemporaryDirectory(prefix="wavemore-") as temporary, _without_bars(hub):
        folder, found = Path(temporary), _find(hub, name, "")
        if found and found.files is None:
            raise RunError(_unreachable(hub.constants))
        if found is None:
            with _errors(name):
                api.create_repo(name, private=private or None)  # None: the default of the hub or the organisation
            found = _Repository(name, "main", frozenset(), private)
        if private and not found.private:
            raise RunError(f"{name} is on the hub already, and public: make it private there, or choose another name")
        present = found.files or frozenset()
        for file in present & {"config.json", CARD}:
            _fetch(hub, found, file, folder)
        if "config.json" in present and read_created(folder / "config.json") is None:
            raise RunError(f"{name} on the hub has a model of another library: choose another name")
        is_kept = CARD in present and not is_replaceable(read_file(folder / CARD).decode(errors="replace"))
        chosen = [file for file in files if not (file.name == CARD and is_kept)]
        operations = [hub.CommitOperationAdd(file.name, str(file)) for file in chosen]
        gone = sorted((present & {*SAVED}) - {file.name for file in chosen})
        operations += [hub.CommitOperationDelete(file, is_folder=False) for file in gone]
        with _errors(name):
            api.create_commit(name, operations, commit_message=f"A model of wavemore {__version__}")


def _find(hub: Any, name: str, revision: str) -> _Repository | None:
    """Look a repository up; None if there is none. A hub that cannot be reached leaves the cache."""
    errors = hub.errors
    try:
        info = hub.HfApi(**LIBRARY).model_info(name, revision=revision or None)
    except errors.RevisionNotFoundError:
        raise RunError(f"{name} on the hub has no revision {revision!r:.60}") from None
    except errors.RepositoryNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 (of the HTTP client that it happens to use)
        _refuse_forbidden(error, name)
        return _Repository(name, revision or "main", None, private=False)
    return _Repository(name, info.sha, frozenset(file.rfilename for file in info.siblings or ()), bool(info.private))


def _fetch(hub: Any, found: _Repository, file: str, folder: Path) -> Path:
    """Copy a file of a repository into a folder, as the cache has links; return its place in the cache.

    Only a summary may be missing.
    """
    is_optional = file == "summary.json"
    if found.files is not None and file not in found.files:
        if is_optional:
            return folder
        raise RunError(f"{found.name} on the hub is not a wavemore model: it has no {file}")
    with _errors(found.name):
        try:
            place = hub.hf_hub_download(
                found.name, file, revision=found.commit, local_files_only=found.files is None, **LIBRARY
            )
        except hub.errors.LocalEntryNotFoundError:
            if is_optional:
                return folder
            raise
        shutil.copyfile(place, folder / file)
    return Path(place)


def _library(what: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise UsageError(f"{what} needs huggingface_hub: pip install 'wavemore[hub]'") from None
    return huggingface_hub


def _refuse_forbidden(error: Exception, name: str) -> None:
    """Raise `RunError` if an error is the answer to a token that is wrong or may not do this."""
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        raise RunError(f"this token may not read or write {name} on the hub: use another one ({LOGIN})") from None


def _unreachable(constants: Any) -> str:
    return (
        f"the Hugging Face hub at {constants.ENDPOINT} cannot be reached: check the network, and HF_ENDPOINT and "
        "HF_HUB_OFFLINE if they are set"
    )


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into `RunError` of one line."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.LocalEntryNotFoundError:
        raise RunError(f"there is no folder {name!r}, nor in the cache, and {_unreachable(constants)}") from None
    except Exception as error:  # noqa: BLE001 (its own, and those of the HTTP client that it happens to use)
        _refuse_forbidden(error, name)
        cause = error.__cause__ or error
        reason = next(iter(str(cause).splitlines()), "") or type(cause).__name__
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
