"""A model as an ONNX file, made by torch's own exporter: other programs run it, without torch. https://onnx.ai

Shapes: B lines, T time, V vocabulary, R rows and C channels of a state.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError
from wavemore.export.facts import advise_order, facts_of, loaded, network_of
from wavemore.export.graphs import Step, one_step, whole_line
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram
from wavemore.runs.language_model import LanguageModel
from wavemore.runs.run import Run

KEY = "wavemore"
"""The entry of a file's metadata that has the vocabulary and the settings, as JSON."""
TOLERANCE = 1e-5
"""How much logits may differ from torch's; more in proportion if there is one above 1."""
MAX_BYTES = 1_900_000_000
"""An ONNX file is a protobuf, which has at most 2 GB."""
SHAPES = ((1, 1), (3, 2), (2, 33))
"""Lines and lengths on which an exported model is compared with the original."""


def export_onnx(model: LanguageModel | Run, *, step: bool = False) -> bytes:
    """Return the ONNX file of a model or a finished run: `tokens` (B, T) -> `logits` (B, T, V), for any B and T.

    With `step`, it is one step of the decoder: `tokens` (B,) and `state` (B, R, C) -> `logits` (B, V) and `new_state`.
    The state before a line is zeros. Recurrent networks and WaveNets have one.

    Tokens are int64. A line begins with token 0, or with that of its label. The entry "wavemore" of the file's metadata
    has the characters, the labels and the settings as JSON.

    Raises `RunError` for an unfinished run; `UsageError` if the model has no step or is too large for a file, or onnx
    is not installed; and `ModelError` if onnxruntime computes other logits than torch.
    """
    _require_packages()
    names = loaded(model)
    network = network_of(names)
    _check_size(network)
    graph = one_step(network) if step else whole_line(network)
    if graph is None:
        raise UsageError(f"a {names.config.model} keeps no state from step to step: export it without `step`")
    content = _exported(graph, json.dumps(facts_of(names)))
    difference = largest_difference(content, network)
    if not difference <= TOLERANCE:
        raise ModelError(f"the logits of the file in onnxruntime differ from torch's by {difference:.1e}: no file made")
    return content


def largest_difference(content: bytes, model: Model) -> float:
    """Return by how much logits of a file in onnxruntime differ from the model's, on random lines of some shapes.

    It is a part of the largest logit, if that is above 1.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    generator, found = torch.Generator().manual_seed(0), [0.0]
    for lines, length in SHAPES:
        tokens = random_lines(model, lines, length, generator)
        with torch.no_grad():
            expected = model(tokens).numpy()  # (B, T, V)
        logits = _run(session, tokens.numpy())
        found.append(float(np.abs(logits - expected).max() / max(1.0, np.abs(expected).max())))
    return float(np.max(found))  # nan if one is


def random_lines(model: Model, lines: int, length: int, generator: torch.Generator) -> Tensor:
    """Return lines of random characters, (B, T), that begin with the boundary or the token of a label."""
    size, starts = model.vocabulary_size, model.vocabulary_size + model.num_labels
    tokens = torch.randint(0, size, (lines, length), generator=generator)
    tokens[:, 0] = torch.where(torch.arange(lines) < model.num_labels, starts - 1 - torch.arange(lines), 0)
    return tokens


def _run(session: Any, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of whole lines, (B, T) -> (B, T, V), also by a file of one step."""
    inputs = session.get_inputs()
    if len(inputs) == 1:
        return session.run(None, {"tokens": tokens})[0]  # type: ignore[no-any-return]
    state = np.zeros((len(tokens), *inputs[1].shape[1:]), np.float32)
    logits = []
    for column in tokens.T:
        now, state = session.run(None, {"tokens": column, "state": state})
        logits.append(now)
    return np.stack(logits, axis=1)


def _require_packages() -> None:
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise UsageError(f"an ONNX file needs {missing[0]}: pip install 'wavemore[onnx]'")


def _check_size(model: Model) -> None:
    count, kind, each, advice = model.parameter_count(), "parameters", 4, "a smaller one"
    if isinstance(model, Ngram):  # with positions and characters
        kind, each, advice = "counts and backoffs", 16, advise_order(model, 16, 16, MAX_BYTES)
    if (size := count * each) > MAX_BYTES:
        raise UsageError(
            f"the model has {count:,} {kind}, an ONNX file of {size / 1e9:.1f} GB; such a file has at most "
            f"{MAX_BYTES / 1e9:.1f} GB: train {advice}"
        )


def _exported(graph: nn.Module, facts: str) -> bytes:
    """Translate a module, without what the exporter notes about this machine: the paths of its source files."""
    arguments, shapes, names = signature(graph)
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            arguments,
            dynamo=True,
            verbose=False,
            external_data=False,
            dynamic_shapes=shapes,
            input_names=names[0],
            output_names=names[1],
        )
    assert program is not None
    proto: Any = program.model_proto
    for part in (proto.graph, *proto.functions):
        _forget(part)
    proto.metadata_props.add(key=KEY, value=facts)
    content: bytes = proto.SerializeToString()
    return content


def _forget(part: Any) -> None:
    """Remove what is noted about a graph or a function, its nodes, and the graphs in these."""
    for each in (part, *part.node):
        each.doc_string = ""
        del each.metadata_props[:]
    for node in part.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)


def signature(
    graph: nn.Module,
) -> tuple[tuple[Tensor, ...], tuple[dict[int, str], ...], tuple[list[str], list[str]]]:
    """Return example arguments of a graph, the names of their free dimensions, and those of the inputs and outputs."""
    if isinstance(graph, Step):
        tokens, state = torch.zeros(2, dtype=torch.int64), torch.zeros(2, graph.rows, graph.channels)
        return (tokens, state), ({0: "lines"}, {0: "lines"}), (["tokens", "state"], ["logits", "new_state"])
    return (torch.zeros(2, 7, dtype=torch.int64),), ({0: "lines", 1: "length"},), (["tokens"], ["logits"])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what torch's exporters say: notes for their developers."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
