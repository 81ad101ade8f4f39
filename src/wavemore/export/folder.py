"""A model as a folder for the Hugging Face hub: weights, config, vocabulary and a model card, and nothing private."""

import re
from dataclasses import replace
from pathlib import Path

from wavemore.errors import UsageError
from wavemore.export.card import is_unchanged, model_card
from wavemore.export.facts import loaded
from wavemore.files import path_of, read_file
from wavemore.runs.config import RunConfig
from wavemore.runs.hub import check_hub_name, push
from wavemore.runs.language_model import LanguageModel, save_files
from wavemore.runs.layout import CARD, SAVED
from wavemore.runs.run import Run
from wavemore.text.corpus import DataFile
from wavemore.text.datasets import DATASETS

LICENSE = re.compile("[a-z0-9][a-z0-9.-]{0,49}")
"""An identifier of https://huggingface.co/docs/hub/repositories-licenses."""


def export_folder(
    model: LanguageModel | Run,
    folder: str | Path,
    *,
    license: str = "",  # noqa: A002 (the name of the field of a card)
    push_to: str = "",
    private: bool = False,
) -> list[Path]:
    """Write a model or a finished run as a folder that `from_pretrained` reads; return its files.

    It is what `save_pretrained` writes, without the paths, commands and notes of this machine, and with a model card,
    README.md. The card has the `license` of the data if it is given, an identifier of the hub such as "cc-by-4.0". A
    card that was changed by hand remains as it is.

    With `push_to`, a name such as "user/names", the files are uploaded to that repository of the Hugging Face hub, in
    one commit. If there is none, it is created, `private` or public.

    Raises `RunError` for an unfinished run, a folder that holds anything else, or a hub that refuses; `UsageError` for
    a wrong name or license, or if huggingface_hub is not installed.
    """
    path = path_of(folder, "folder")
    if license and not LICENSE.fullmatch(license):
        raise UsageError(f"`license` is {license!r:.60}; it must be an identifier such as mit or cc-by-4.0")
    if push_to:
        check_hub_name(push_to)
    names = loaded(model)
    names = replace(names, config=without_private(names.config))
    card = model_card(names, push_to or path.absolute().name, license)
    is_kept = (path / CARD).exists() and not is_unchanged(read_file(path / CARD).decode(errors="replace"))
    save_files(path, ({} if is_kept else {CARD: card.encode()}) | names.saved_files())
    files = [path / name for name in (*SAVED, CARD) if (path / name).exists()]
    if push_to:
        push(files, push_to, private=private, is_replaceable=is_unchanged)
    return files


def without_private(config: RunConfig) -> RunConfig:
    """Return a config without what was said on this machine, and with the names of files and runs only."""

    def named(file: DataFile | None) -> DataFile | None:
        return file and replace(file, source=_last(file.source))

    data = config.data
    data = replace(
        data,
        source=data.source if data.source in DATASETS else _last(data.source),
        more_files=tuple(replace(file, source=_last(file.source)) for file in data.more_files),
        val_file=named(data.val_file),
        test_file=named(data.test_file),
    )
    carried = config.carried_from and replace(config.carried_from, run=_last(config.carried_from.run))
    teachers = tuple(replace(teacher, run=_last(teacher.run)) for teacher in config.teachers)
    return replace(
        config, data=data, teachers=teachers, carried_from=carried, command=(), note="", experiment="", device="cpu"
    )


def _last(path: str) -> str:
    """Return the last part of a path of any system."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
