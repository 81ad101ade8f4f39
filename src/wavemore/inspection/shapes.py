"""Layers and their shapes in the letters of the lecture.

B windows, T context length, E channels of a character, H hidden channels, V vocabulary.
"""

import torch
from torch import Tensor, nn


def short(path: str) -> str:
    """A layer's path without the name of the list that all are in: `layers.3` -> `3`."""
    return path.removeprefix("layers.")


def names_of(calls: list[tuple[str, nn.Module]]) -> list[str]:
    """`3 BatchNorm1d`; a layer that is called again is `3 BatchNorm1d (2)`."""
    names: list[str] = []
    for path, layer in calls:
        name = f"{short(path)} {type(layer).__name__}".strip()
        again = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names


class Letters:
    """Shapes in the letters of the lecture, layer by layer.

    E channels come from the table of characters, H from a Linear, V is the vocabulary; what is fused is a multiple.
    """

    def __init__(self, tokens: torch.Size, vocabulary: int) -> None:
        self.b, self.t, self.v = tokens[0], tokens[1], vocabulary
        self.base, self.size = "C", 0  # what the channels are multiples of
        self.hidden: dict[int, str] = {}
        self.known: dict[int, str] = {}  # of the embedding, and then of the others

    def of(self, layer: nn.Module, y: Tensor) -> str:
        """The shape of the output of the next layer."""
        channels = y.shape[-1]
        kinds = [kind.__name__ for kind in type(layer).__mro__]
        if "Embedding" in kinds:
            self.base, self.size = "E", channels
            self.known.setdefault(channels, "E")
        elif hasattr(layer, "out_features") or hasattr(layer, "out_channels"):
            number = len(self.hidden) + 1
            self.base = self.hidden.setdefault(channels, "H" if number == 1 else f"H{number}")
            self.size = channels
            if channels == self.v and channels not in list(self.hidden)[:-1]:
                del self.hidden[channels]
                self.base = "V"
        times, rest = divmod(channels, self.size) if self.size else (0, 1)
        last = self._named(channels) if rest else self.base if times == 1 else f"{times}{self.base}"
        between = [self._time(size) for size in y.shape[1:-1]]
        return f"({', '.join(['B' if len(y) == self.b else str(len(y)), *between, *([last] if y.ndim > 1 else [])])})"

    def _named(self, channels: int) -> str:
        """Channels that are no multiple of the last ones."""
        return self.known.get(channels) or self.hidden.get(channels) or str(channels)

    def _time(self, size: int) -> str:
        if size == self.t:
            return "T"
        return f"T/{self.t // size}" if size and self.t % size == 0 else str(size)
