"""Training steps on a GPU as CUDA graphs: recorded once, then replayed.

A step of a small model is hundreds of tiny operations, and to start each of them takes longer than to compute it. A
graph starts all of them at once, on inputs of the same shapes in the same memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from warnings import warn

import torch
from torch import Tensor

from wavemore.errors import WavemoreWarning
from wavemore.nn.kernels.torch_internals import has_hooks, has_tensor_hooks, needs_plain
from wavemore.nn.model import Model

MOST_GRAPHS = 64
"""Shapes that are recorded; batches of further ones are computed as usual."""
OWN_LAYERS = ("wavemore.", "torch.nn.modules.")
"""Where layers come from that do the same in every step; a graph would not repeat what other code does in Python."""

Shapes = tuple[torch.Size, ...]


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    result: Tensor


class StepGraphs:
    """Calls a function of tensors on a device, and from the second call with inputs of some shapes replays it.

    The function must do the same with all inputs of one shape, and keep whatever it changes in the same memory. On a
    CPU it is just called, and so it is if the device refuses to record it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.refused = device, False
        self.graphs: dict[Shapes, _Graph | None] = {}
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        """All graphs use the same memory for what they compute, one after the other."""
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, work: Callable[..., Tensor], *inputs: Tensor) -> list[float]:
        """Return the numbers that the function computes, of inputs on a CPU."""
        if self.stream is None:
            return self._numbers(work(*inputs))
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            graph = self._graph(work, inputs)
            if graph is None:
                return self._numbers(work(*(x.to(self.device) for x in inputs)))
            for own, x in zip(graph.inputs, inputs, strict=True):
                own.copy_(x)
            graph.graph.replay()
            return self._numbers(graph.result)

    def _graph(self, work: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> _Graph | None:
        """Return the graph for inputs of these shapes, if there is one or it is time to record it."""
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self.graphs:  # the first time, libraries prepare what cannot be recorded
            self.graphs |= {shapes: None} if len(self.graphs) < MOST_GRAPHS and not self.refused else {}
            return None
        if self.graphs[shapes] is None:
            try:
                self.graphs[shapes] = self._record(work, inputs)
            except RuntimeError as error:
                self.refused = True
                self.graphs.clear()
                _renew_generator(self.device)
                reason = str(error).partition("\n")[0]
                about = f"training without CUDA graphs, which is several times slower: {reason}"
                warn(about, WavemoreWarning, stacklevel=2)
                return None
        return self.graphs[shapes]

    def _record(self, work: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> _Graph:
        own = tuple(x.to(self.device) for x in inputs)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = work(*own)
        return _Graph(graph, own, result)

    @staticmethod
    def _numbers(result: Tensor) -> list[float]:
        numbers: list[float] = result.tolist()  # waits for the device
        return numbers


def _renew_generator(device: torch.device) -> None:
    """Give a GPU another generator of random numbers: a recording that broke off leaves it unusable."""
    with torch.cuda.device(device):
        number = torch.cuda.current_device()
    torch.cuda.default_generators[number].graphsafe_set_state(torch.Generator(device).graphsafe_get_state())


def can_be_recorded(model: Model) -> bool:
    """Whether a model is on a GPU and does the same in all steps: no hooks, transforms or layers of others."""
    return (
        model.device.type == "cuda"
        and not needs_plain()
        and all(type(layer).__module__.startswith(OWN_LAYERS) and not has_hooks(layer) for layer in model.modules())
        and not any(map(has_tensor_hooks, model.parameters()))
    )
