"""The tensors that a config implies. Those of a file are compared with them before any is read or built."""

import hashlib
import warnings
from pathlib import Path

from torch import Tensor

from wavemore.engine.optimizer import Optimizers
from wavemore.engine.text_batchers import carried_by
from wavemore.errors import ModelError, RunError, WavemoreWarning
from wavemore.files import open_file
from wavemore.memory import memory_bytes
from wavemore.nn.model import Model
from wavemore.nn.models import build_without_memory
from wavemore.nn.ngram import Ngram
from wavemore.runs.config import RunConfig
from wavemore.runs.tensors import check_types, read_tensors, tensor_names
from wavemore.text.vocabulary import Vocabulary


def load_model(path: Path, config: RunConfig, vocabulary: Vocabulary) -> Model:
    """The model with the weights in a file, on the run's device or, without it, on the CPU.

    Raises `RunError` for a file that is damaged, holds the weights of another model, or values that are not finite.
    """
    model = _model(config, vocabulary)
    check_types(path, model.state_dict(), any_length=isinstance(model, Ngram))
    tensors, _ = _read_finite(path)
    try:
        model.load_state_dict({name: value.clone() for name, value in tensors.items()}, assign=True)
    except (ModelError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise RunError(f"{path} does not fit config.json and vocabulary.json: {reason}") from None
    return to_device(model, config.device)


def load_checkpoint(path: Path, config: RunConfig, vocabulary: Vocabulary) -> tuple[dict[str, Tensor], str]:
    """The tensors and the facts of a state. Raises `RunError` for one that is damaged or of another model."""
    model = _model(config, vocabulary)
    state, any_length = model.state_dict(), isinstance(model, Ngram)
    parts = {"best": state} if any(name.startswith("best.") for name in tensor_names(path)) else {}
    if not any_length:
        parts |= {"model": state, "optimizer": Optimizers(model, config.recipe).state()}
        parts |= {"averaged": state} if config.recipe.ema_decay else {}
        parts |= {"carried": carried_by(model, config.recipe)}
    expected = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    check_types(path, expected, any_length=any_length)
    return _read_finite(path)


def _model(config: RunConfig, vocabulary: Vocabulary) -> Model:
    return build_without_memory(config.model, len(vocabulary), config.model_config, len(vocabulary.labels))


def _read_finite(path: Path) -> tuple[dict[str, Tensor], str]:
    tensors, facts = read_tensors(path)
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise RunError(f"{path} holds numbers that are not finite: train again, with a lower `learning_rate`")
    return tensors, facts


def weights_sha256(path: Path) -> str:
    """The checksum of a file of weights. Raises `RunError` if it cannot be read."""
    try:
        with open_file(path, memory_bytes()) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"cannot read the weights {path}: {error.strerror}") from None


def to_device(model: Model, device: str) -> Model:
    """Move a model to a run's device; if this machine lacks it, to the CPU with a warning."""
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        message = f"the device of the run, {device!r}, cannot be used here ({reason}): it runs on the CPU"
        warnings.warn(message, WavemoreWarning, stacklevel=3)
        return model.cpu()
