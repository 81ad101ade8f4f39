"""A trained model with all that it takes to use it: vocabulary, settings, and the lines that it has seen."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray

from wavemore.engine.adapt import adapt
from wavemore.engine.devices import usable_device
from wavemore.engine.evaluate import Evaluation, Score, evaluate, score
from wavemore.engine.generate_lines import Known, generate
from wavemore.engine.generate_text import GeneratedText, generate_text
from wavemore.engine.labels import labels_of
from wavemore.engine.line_source import Sample
from wavemore.engine.ranked import Rank, pool_size, ranked
from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.engine.training_plan import Plan
from wavemore.engine.typed_settings import SamplingSettings
from wavemore.errors import A_CORPUS, A_PLAN, ModelError, RunError, UsageError, require_kind, strings
from wavemore.files import is_present, path_of, write_all
from wavemore.nn.model import Model, require_model
from wavemore.nn.models import build_without_memory, model_name
from wavemore.runs.config import RunConfig, read_created
from wavemore.runs.find import find_run
from wavemore.runs.hub import downloaded, is_hub_name
from wavemore.runs.json_file import json_bytes
from wavemore.runs.layout import BESIDE, LINES, SAVED
from wavemore.runs.record import Summary
from wavemore.runs.run import Run
from wavemore.runs.run_sampling import run_sampling
from wavemore.runs.tensors import hash_bytes, tensor_bytes
from wavemore.runs.training import config_of, data_config, data_name
from wavemore.text.corpus import Corpus
from wavemore.text.layout import broken, joined
from wavemore.text.parts import Part
from wavemore.text.vocabulary import Vocabulary


@dataclass(eq=False)
class LanguageModel:
    """A trained model and what belongs to it; `train` and `from_pretrained` return one.

    >>> import wavemore as wm
    >>> names = wm.train(wm.load_corpus("names"), epochs=0.02, hidden=16)
    >>> samples = names.generate(3, prefix="ma", new=True)
    >>> [sample.text[:2] for sample in samples]
    ['ma', 'ma', 'ma']
    >>> names.score(["maria"])[0].nats > 0
    True
    """

    model: Model
    """The torch module, in eval mode."""
    vocabulary: Vocabulary
    config: RunConfig
    """The settings of the model and of its training, and the data."""
    known: NDArray[np.uint64]
    """Sorted hashes of the lines of the data, to tell new lines; empty for a text."""
    summary: Summary | None = None
    """The result of the training; None if it is not known."""

    @classmethod
    def of(cls, model: Model, corpus: Corpus, plan: Plan | None = None) -> Self:
        """Take a model that was trained on `corpus` in a loop of your own, by a `plan` or without one.

        Raises `ModelError` for another module, and for a model that was made for another vocabulary.
        """
        require_model(model)
        require_kind(corpus, "corpus", Corpus, A_CORPUS)
        require_kind(plan, "plan", Plan | None, A_PLAN)
        vocabulary = corpus.vocabulary
        model.require_vocabulary(vocabulary.characters, vocabulary.labels.names)
        plan = plan or Plan(model_name(model), model.config, Recipe())
        plan = replace(plan, model=model_name(model), model_config=model.config)
        config = config_of(plan, data_config(corpus, data_name(corpus)), note="trained in a loop of its own")
        model.characters, model.labels = vocabulary.characters, vocabulary.labels.names
        return cls(model.eval(), vocabulary, config, corpus.line_hashes)

    @overload
    def generate(
        self,
        n: int = ...,
        *,
        length: None = ...,
        known: Known = ...,
        like: Sequence[str] = ...,
        rank: Rank | None = ...,
        **settings: Unpack[SamplingSettings],
    ) -> list[Sample]: ...
    @overload
    def generate(
        self, n: int = ..., *, length: int, stop: str = ..., **settings: Unpack[SamplingSettings]
    ) -> list[GeneratedText]: ...
    def generate(
        self,
        n: int = 1,
        *,
        length: int | None = None,
        stop: str = "",
        known: Known = None,
        like: Sequence[str] = (),
        rank: Rank | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> list[Sample] | list[GeneratedText]:
        """Draw `n` lines or, from a model of continuous text, `n` texts of `length` characters, or up to a `stop`.

        `settings` are those of `Sampling`. By default the temperature and the longest line suit the data. There are
        fewer lines if more draws give nothing that passes. `min_distance` needs the lines of the data as `known`. With
        `like`, lines are like these examples (`adapt`); with `rank`, they are the first in that order (`ranked`).
        Raises `UsageError` for a value out of range, and the errors of `generate` and `generate_text`.
        """
        if self.config.data.format == "text":
            if length is None:
                raise UsageError("the model makes continuous text: give `length`, the number of characters")
            if like or rank is not None:
                raise UsageError("`like` and `rank` are for lines, and the model makes continuous text: leave them out")
            return generate_text(self.model, self.vocabulary, n, length, self._sampling(settings), stop)
        if length is not None:
            raise UsageError("`length` is for continuous text, and the model makes lines: give `max_length`")
        known, sampling = self.known if known is None else known, self._sampling(settings)
        if (like := strings(like, "like")) and rank is not None:
            raise UsageError("`like` and `rank` choose lines in different ways: use one of them")
        if like:
            lines = adapt(self.model, self.vocabulary, self._as_data(like), sampling).draw(n, sampling, known)
        elif rank is not None:
            percentiles = self.summary.val_line_percentiles if self.summary else None
            pool = generate(self.model, self.vocabulary, pool_size(n), sampling, known)
            lines = ranked(pool, n, rank, percentiles)
        else:
            lines = list(generate(self.model, self.vocabulary, n, sampling, known))
        return [line._replace(text=broken(line.text)) for line in lines] if self._has_line_breaks else lines

    @property
    def _has_line_breaks(self) -> bool:
        """Whether the items of the data have several lines each."""
        return self.config.data.layout.kind == "separated"

    def _as_data(self, texts: Sequence[str]) -> Sequence[str]:
        """Return texts with the line breaks that the model knows."""
        return [joined(text.strip("\n")) for text in texts] if self._has_line_breaks else texts

    def _sampling(self, given: SamplingSettings) -> Sampling:
        settings: dict[str, Any] = {**given}
        names = [field.name for field in fields(Sampling)]
        if unknown := [name for name in settings if name not in names]:
            raise UsageError(f"there is no setting `{unknown[0]}`; choose from {', '.join(names)}")
        settings.setdefault("temperature", self.summary.temperature if self.summary else 1.0)
        return run_sampling(self.config.data, settings)

    def score(self, texts: Iterable[str], labels: Sequence[str] | None = None) -> list[Score]:
        """Compute how likely each line or text is, character by character.

        A model of labels takes that of each line or, without `labels`, the likeliest one. Raises what `score` does.
        """
        texts = self._as_data(strings(texts, "texts"))
        if labels is None and self.vocabulary.labels:
            labels = [label for label, _ in labels_of(self.model, self.vocabulary, texts)]
        return score(self.model, self.vocabulary, texts, self.config.data.format, labels)

    def evaluate(self, part: Part) -> Evaluation:
        """Compute the exact losses of a part of a corpus, as `evaluate` does."""
        return evaluate(self.model, part)

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device of torch, or to the best that there is: "auto".

        Raises `UsageError` for one that this machine does not have.
        """
        self.model.to(usable_device(device))
        return self

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the model in a folder that `from_pretrained` and all commands read, in the precision of new models.

        The folder may hold an earlier model that was saved like this; it remains if the disk is full. Raises `RunError`
        then, and if the folder holds anything else, and `ModelError` if layers were exchanged, so that the settings no
        longer describe the weights.
        """
        path = path_of(folder, "folder")
        save_files(path, self.saved_files())

    def saved_files(self) -> dict[str, bytes]:
        """Return the files that `save_pretrained` writes, by their names. Raises the same `ModelError`."""
        state = self.model.state_dict()
        config, labels = self.config, self.vocabulary.labels
        plain = build_without_memory(config.model, len(self.vocabulary), config.model_config, len(labels)).state_dict()
        counted = config.model_config.counted
        if plain.keys() != state.keys() or (not counted and any(plain[x].shape != state[x].shape for x in plain)):
            raise ModelError(
                f"the weights are no longer those of a {config.model} with {config.model_config.describe()}, as layers "
                "were exchanged: save `model.state_dict()` itself"
            )
        files = {"vocabulary.json": self.vocabulary.to_json().encode()}
        if self.known.size:
            files[LINES] = hash_bytes(self.known)
        files["model.safetensors"] = tensor_bytes({name: state[name].to(plain[name].dtype) for name in plain})
        if self.summary is not None:
            files["summary.json"] = json_bytes(Path("summary.json"), self.summary)
        return files | {"config.json": json_bytes(Path("config.json"), config)}

    def __repr__(self) -> str:
        parameters = f"{self.model.parameter_count():,} parameters"
        return f"LanguageModel({self.config.model}, {parameters}, trained on {self.config.data.name!r})"

    def _repr_html_(self) -> str:
        return self.model._repr_html_()


def save_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a model to a folder: all of them, or none. config.json is the first to go and last to come.

    Raises `RunError` for a folder that holds anything but an earlier model, or a full disk.
    """
    is_new = not folder.exists()
    _check_free(folder)
    try:
        write_all({folder / name: files[name] for name in files}, remove=[folder / name for name in SAVED])
    except RunError:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check_free(folder: Path) -> None:
    """Make a folder; raise `RunError` if there is one that holds anything but a saved model."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = {entry.name for entry in folder.iterdir()}
        is_ours = (folder / "config.json").exists() and read_created(folder / "config.json") is not None
        if present - BESIDE and not (is_ours and present <= {*SAVED, *BESIDE}):
            raise RunError(f"{folder} holds a training or other files: choose another folder for the model")
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise RunError(f"cannot save a model in {folder}: {reason}; choose another folder") from None


def from_pretrained(folder: str | Path, *, revision: str = "", device: str | torch.device = "cpu") -> LanguageModel:
    """Load a model that was saved or trained: a folder, the name of a run in `runs/`, "latest", or one on a hub.

    If there is no folder "user/name", it is downloaded from the Hugging Face hub: the latest commit of a `revision`, by
    default of "main". Only files that wavemore writes are read, and none of them can run code.

    Raises `RunError` if there is none, or its files are damaged, and `UsageError` for a device that this machine does
    not have ("auto": the best that it has).
    """
    device, name = usable_device(device), "" if folder == "" else str(path_of(folder, "folder"))
    if name == "latest" or (name and (is_present(Path(name)) or is_present(Path("runs", name)))):
        return _loaded(find_run(name), device)
    if not is_hub_name(name) or is_present(Path(name).parent):
        raise RunError(f"there is no folder {name!r} with a model; models on the Hugging Face hub are named user/name")
    with downloaded(name, revision) as downloads:
        return _loaded(Run(downloads), device)


def _loaded(run: Run, device: str) -> LanguageModel:
    known = run.line_hashes() if run.config.data.format == "lines" else np.zeros(0, np.uint64)
    return LanguageModel(run.model(device), run.vocabulary(), run.config, known, run.summary())
