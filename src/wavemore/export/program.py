"""A model as a program of torch.export: a `.pt2` file, which torch loads and runs without wavemore.

Shapes: B lines, T time, V vocabulary.
"""

import io
import json

import torch

from wavemore.errors import ModelError
from wavemore.export.facts import facts_of, loaded, network_of
from wavemore.export.graphs import whole_line
from wavemore.export.onnx_file import SHAPES, TOLERANCE, quiet, random_lines, signature
from wavemore.nn.model import Model
from wavemore.runs.language_model import LanguageModel
from wavemore.runs.run import Run

EXTRA_FILE = "wavemore.json"


def export_pt2(model: LanguageModel | Run) -> bytes:
    """Return a program of torch.export for a model or a finished run: int64 (B, T) -> logits (B, T, V), any B and T.

    The extra file "wavemore.json" has the characters, the labels and the settings. Raises `RunError` for an unfinished
    run, and `ModelError` if the program computes other logits than the model.
    """
    names = loaded(model)
    network = network_of(names)
    content = _saved(network, json.dumps(facts_of(names)))
    difference = largest_difference(content, network)
    if not difference <= TOLERANCE:
        raise ModelError(f"the logits of the program differ from the model's by {difference:.1e}: no file made")
    return content


def _saved(model: Model, facts: str) -> bytes:
    graph = whole_line(model)
    arguments, names, _ = signature(graph)
    shapes = tuple(dict.fromkeys(free, torch.export.Dim.DYNAMIC) for free in names)
    with quiet(), torch.no_grad():
        program = torch.export.export(graph, arguments, dynamic_shapes=shapes)
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                for node in module.graph.nodes:
                    node.meta.pop("stack_trace", None)  # it has the paths of this machine's files
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={EXTRA_FILE: facts})
    return file.getvalue()


def largest_difference(content: bytes, model: Model) -> float:
    """Return by how much logits of a program differ from the model's: as of an ONNX file."""
    with quiet(), torch.no_grad():
        program = torch.export.load(io.BytesIO(content)).module()
        generator, found = torch.Generator().manual_seed(0), []
        for lines, length in SHAPES:
            tokens = random_lines(model, lines, length, generator)
            expected = model(tokens)
            found.append((program(tokens) - expected).abs().max() / expected.abs().max().clamp(min=1.0))
    return float(torch.stack(found).max())
