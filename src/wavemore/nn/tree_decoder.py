"""A tree's next character, one step at a time: the dilated execution with a cache at each level.

A step computes one new node per level, since each level keeps the nodes below it that it will need again. Fusion l, of
n nodes that span d characters each, needs the nodes of (n - 1) d, ..., d and 0 characters ago, so it keeps a ring of
(n - 1) d + 1 nodes:

    level 3    g[t] = fuse(f[t-4], f[t])      keeps the last 5 nodes of level 2
    level 2    f[t] = fuse(b[t-2], b[t])      keeps the last 3 nodes of level 1
    level 1    b[t] = fuse(e[t-1], e[t])      keeps the last 2 embeddings

If there are few n-grams of characters, the bottom is a table of all of them: 27 characters have only 729 bigrams, so
level 1 is computed once. A Linear of several children side by side is the sum of a Linear of each, so the Linear of
level 2 is applied to the table too, and the two lowest levels cost one addition of two rows per step.

Shapes: B lines, C channels, V vocabulary, K selected lines, G = V ** n n-grams, m nodes that level 2 fuses.
"""

from collections import deque
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain, islice, pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.fusion import fusion_sizes
from wavemore.nn.kernels.torch_internals import has_hooks
from wavemore.nn.layers import FlattenConsecutive, Linear
from wavemore.nn.model import Decoder
from wavemore.nn.norms import BatchNorm1d

MAX_TABLE = 20_000
"""n-grams of the largest table: computed in a fraction of a second, and stored in some tens of MB."""
MAX_TABLE_LOGITS = 2**22
"""The same for the table of a tree with one fusion, which holds logits."""


def can_decode(layers: Iterable[nn.Module]) -> bool:
    """Whether `TreeDecoder` can run layers: none has hooks, and Linear and BatchNorm1d are where a tree has them."""
    layers = list(layers)
    pairs = list(pairwise(layers))
    mixed = all(type(linear) is Linear for fusion, linear in pairs if isinstance(fusion, FlattenConsecutive))
    folded = all(
        type(norm) is BatchNorm1d and type(linear) is Linear for linear, norm in pairs if isinstance(norm, BatchNorm1d)
    )
    return mixed and folded and not any(has_hooks(module) for layer in layers for module in layer.modules())


class TreeDecoder(Decoder):
    """The decoder of a tree with these layers; its logits are those of the other executions.

    >>> from wavemore.nn.activations import Tanh
    >>> from wavemore.nn.layers import Embedding
    >>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), Tanh(), Linear(5, 27)]
    >>> decoder = TreeDecoder(nn.Sequential(*layers).eval(), lines=5)
    >>> decoder.logits.shape, decoder.step(torch.tensor([1, 2, 3, 4, 5])).shape
    (torch.Size([5, 27]), torch.Size([5, 27]))
    """

    def __init__(self, layers: nn.Sequential, lines: int, max_table: int = MAX_TABLE) -> None:
        stages, fuse = _stages(layers), fusion_sizes(layers)
        table = next(stages[0].parameters())  # (V, C)
        grams = len(table) ** fuse[0]
        fits = grams <= max_table and (len(fuse) > 1 or grams * len(table) <= MAX_TABLE_LOGITS)
        self._bottom = _Table(stages, len(table), fuse) if fits else _Embedding(stages[0])
        self._fuse, self._stages = fuse[self._bottom.levels :], stages[self._bottom.levels + 1 :]
        # Before a line there are only boundaries: every ring holds copies of the node of that n-gram.
        self._rings: list[deque[_Rows]] = []
        boundary = torch.zeros(1, dtype=torch.int64, device=table.device)
        x, dilation = self._bottom.step(boundary), self._bottom.span
        for n, stage in zip(self._fuse, self._stages, strict=True):
            size = (n - 1) * dilation + 1
            self._rings.append(deque((_Rows(x) for _ in range(size)), maxlen=size))
            x, dilation = stage(x.repeat(1, n)), dilation * n
        self.logits = x
        self.select(boundary.expand(lines))  # B copies of row 0

    def step(self, tokens: Tensor) -> Tensor:
        """Append one character to each line, (B,), and predict the next: (B, V)."""
        x = self._bottom.step(tokens)  # (B, C)
        for n, stage, ring in zip(self._fuse, self._stages, self._rings, strict=True):
            ring.append(_Rows(x))
            dilation = (len(ring) - 1) // max(1, n - 1)
            x = _fuse(stage, [ring[child * dilation] for child in range(n)])  # n of (B, C), oldest first
        self.logits = x
        return x

    def select(self, rows: Tensor) -> None:
        """Continue with the lines in `rows` only, (K,) row numbers; a repeated row is a copy."""
        self.logits = self.logits.index_select(0, rows)
        self._bottom.select(rows)
        for node in chain(*self._rings):
            node.select(rows)


class _Rows:
    """A tensor (B, C) whose rows are selected only when they are used, as most selections are followed by another."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.selection: Tensor | None = None

    def select(self, rows: Tensor) -> None:
        self.selection = rows if self.selection is None else self.selection.index_select(0, rows)

    def times(self, weight: Tensor) -> Tensor:
        """Multiply by a matrix (C, H); if the selection copies rows, as for lines that begin alike, copy afterwards."""
        if self.selection is None:
            return self.x @ weight
        if len(self.selection) <= len(self.x):
            return self.x.index_select(0, self.selection) @ weight
        return (self.x @ weight).index_select(0, self.selection)


def _fuse(stage: nn.Sequential, children: list[_Rows]) -> Tensor:
    """Run a stage on children side by side; its Linear is the sum of a Linear of each child."""
    linear = stage[0]
    assert isinstance(linear, Linear)
    weights = linear.weight.chunk(len(children), dim=1)
    x = children[0].times(weights[0].T)
    for child, weight in zip(children[1:], weights[1:], strict=True):
        x += child.times(weight.T)
    if linear.bias is not None:
        x += linear.bias
    for layer in islice(stage, 1, None):
        x = layer(x)
    return x


class _Embedding:
    """The bottom of a tree with too many n-grams for a table: the characters."""

    levels, span = 0, 1

    def __init__(self, embedding: nn.Module) -> None:
        self.embedding = embedding

    def step(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.embedding(tokens))

    def select(self, rows: Tensor) -> None:
        """Do nothing: the ring of the first fusion holds the embeddings."""


class _Table:
    """The bottom of a tree as a table: level 1, and the Linear of level 2, for all n-grams of characters."""

    def __init__(self, stages: list[nn.Sequential], vocabulary_size: int, fuse: tuple[int, ...]) -> None:
        n, self.m = (*fuse, 1)[:2]
        self.n, self.vocabulary_size, self.grams = n, vocabulary_size, vocabulary_size**n
        self.levels, self.span = min(2, len(fuse)), n * self.m
        characters = torch.arange(vocabulary_size, device=next(stages[0].parameters()).device)
        grams = torch.cartesian_prod(*[characters] * n)  # (G, n), oldest character first; (G,) if n is 1
        rows: Tensor = stages[1](stages[0](grams.view(-1, n)).flatten(1))  # (G, C)
        self.rest: nn.Module = nn.Sequential()
        if self.levels == 2:  # else the table holds logits
            linear, self.rest = stages[2][0], stages[2][1:]
            assert isinstance(linear, Linear)
            rows = torch.cat([rows @ weight.T for weight in linear.weight.chunk(self.m, dim=1)])  # (m G, C)
            if linear.bias is not None:
                rows[: self.grams] += linear.bias
        self.rows = rows
        self.gram = characters[:1]  # (B,) the number of the last n characters: boundaries, id 0
        self.ring = deque([self.gram] * ((self.m - 1) * n + 1), maxlen=(self.m - 1) * n + 1)

    def step(self, tokens: Tensor) -> Tensor:
        self.gram = (self.gram * self.vocabulary_size + tokens) % self.grams
        self.ring.append(self.gram)
        children = [self.ring[child * self.n] + child * self.grams for child in range(self.m)]
        return cast(Tensor, self.rest(F.embedding_bag(torch.stack(children, dim=1), self.rows, mode="sum")))

    def select(self, rows: Tensor) -> None:
        self.gram = self.gram.index_select(0, rows)
        self.ring = deque((gram.index_select(0, rows) for gram in self.ring), maxlen=self.ring.maxlen)


def _stages(layers: Iterable[nn.Module]) -> list[nn.Sequential]:
    """Split the layers at the fusions: the embedding, then those of each level; the last includes the output."""
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        assert not layer.training, "batch statistics and dropout are undefined for one character at a time"
        if isinstance(layer, FlattenConsecutive):
            stages.append([])
        elif isinstance(layer, BatchNorm1d):
            stages[-1][-1] = _fold(stages[-1][-1], layer)
        else:
            stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages]


@torch.no_grad()
def _fold(linear: nn.Module, norm: BatchNorm1d) -> Linear:
    """Fold a BatchNorm1d into the Linear before it."""
    assert isinstance(linear, Linear)
    scale, shift = norm.affine()
    folded = deepcopy(linear)
    folded.weight.mul_(scale[:, None])
    folded.bias = nn.Parameter(shift if linear.bias is None else shift + scale * linear.bias)
    return folded
