"""One more character at a time: what generation runs on.

The dilated execution, cut into steps: a step computes one new node a level, since each level keeps the nodes below it
that it will need again. Fusion l, of n nodes that span d characters each, needs those of (n - 1) d, ..., d and 0
characters ago, so a ring of (n - 1) d + 1 nodes is kept:

    level 3    g[t] = fuse(f[t-4], f[t])      keeps the last 5 nodes of level 2
    level 2    f[t] = fuse(b[t-2], b[t])      keeps the last 3 nodes of level 1
    level 1    b[t] = fuse(e[t-1], e[t])      keeps the last 2 embeddings

The bottom is a table where that pays: 27 characters have only 729 bigrams, so level 1 is computed once, for all of
them. And as a Linear of things side by side is the sum of a Linear of each, level 2's Linear is applied to the table
too, and the two lowest levels cost an addition of two rows.

Shapes: B lines, C channels, V vocabulary, G = V ** n n-grams at the bottom, m nodes that level 2 fuses.
"""

from collections import deque
from copy import deepcopy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.layers import BatchNorm1d, FlattenConsecutive, Linear
from wavemore.nn.tree import Tree

LARGEST_TABLE = 20_000
"""n-grams: a fraction of a second to compute, and some tens of MB."""


class TreeStream:
    """B lines that grow by a character a step; before the first one stand boundary tokens.

    The logits are those of the other executions; the model must be in eval mode, and its weights must stay as they
    are, for as long as the stream is used.

    >>> from wavemore.nn.config import TreeConfig
    >>> stream = TreeStream(Tree(27, TreeConfig(fuse=(2, 2), norm="none")).eval(), lines=5)
    >>> stream.logits.shape, stream.step(torch.tensor([1, 2, 3, 4, 5])).shape
    (torch.Size([5, 27]), torch.Size([5, 27]))
    """

    def __init__(self, model: Tree, lines: int, largest_table: int = LARGEST_TABLE) -> None:
        assert not model.training, "batch statistics and dropout make no sense one character at a time"
        fuse, stages = model.config.fuse, _stages(model)
        self._bottom: _Table | _Embedding
        if model.vocabulary_size ** fuse[0] <= largest_table:
            self._bottom = _Table(stages, model.vocabulary_size, fuse)
        else:
            self._bottom = _Embedding(stages[0])
        self._fuse, self._stages = fuse[self._bottom.levels :], stages[self._bottom.levels + 1 :]
        # Before a line all is boundary: every ring holds copies of the one node that n-grams of boundaries have.
        self._rings: list[deque[_Kept]] = []
        dilation = self._bottom.span
        for n in self._fuse:
            self._rings.append(deque(maxlen=(n - 1) * dilation + 1))
            dilation *= n
        tokens = next(model.parameters()).new_zeros(1, dtype=torch.int64)
        x = self._bottom.step(tokens)
        for n, stage, ring in zip(self._fuse, self._stages, self._rings, strict=True):
            ring.extend(_Kept(x) for _ in range(ring.maxlen or 0))
            x = stage(x.repeat(1, n))
        self._logits = _Kept(x)
        self.keep(tokens.expand(lines))  # the same line, B times

    @property
    def logits(self) -> Tensor:
        """What the model says of the next character of each line: (B, V)."""
        return self._logits.rows()

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        x = self._bottom.step(tokens)  # (B, C)
        for n, stage, ring in zip(self._fuse, self._stages, self._rings, strict=True):
            ring.append(_Kept(x))
            dilation = (len(ring) - 1) // max(1, n - 1)
            x = _fused(stage, [ring[child * dilation] for child in range(n)])  # n of (B, C), oldest first
        self._logits = _Kept(x)
        return x

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self._bottom.keep(rows)
        for kept in [self._logits, *(kept for ring in self._rings for kept in ring)]:
            kept.keep(rows)


class WindowStream:
    """The same for a model that treats each position by itself, so that no node can be kept: whole contexts again."""

    def __init__(self, model: Tree, lines: int) -> None:
        self.model = model
        self.tokens = next(model.parameters()).new_zeros(lines, model.context, dtype=torch.int64)  # (B, T)
        self.logits: Tensor = model(self.tokens)

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        self.tokens = torch.cat([self.tokens[:, 1:], tokens[:, None]], dim=1)
        self.logits = self.model(self.tokens)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self.tokens, self.logits = self.tokens.index_select(0, rows), self.logits.index_select(0, rows)


def stream_of(model: Tree, lines: int) -> TreeStream | WindowStream:
    """Lines that grow by a character a step, in the quickest way that the model can be run."""
    return WindowStream(model, lines) if model.is_positional else TreeStream(model, lines)


def _fused(stage: nn.Sequential, children: list["_Kept"]) -> Tensor:
    """The stage of children side by side, without laying them side by side: its Linear is a sum over the children."""
    linear = stage[0]
    assert isinstance(linear, Linear)
    parts = linear.weight.chunk(len(children), dim=1)
    x = children[0].times(parts[0].T)
    for child, part in zip(children[1:], parts[1:], strict=True):
        x += child.times(part.T)
    if linear.bias is not None:
        x += linear.bias
    rest: nn.Module = stage[1:]
    return cast(Tensor, rest(x))


class _Kept:
    """Rows (B, C) of which some are kept, some are copied: a note of which, until they are needed."""

    def times(self, weight: Tensor) -> Tensor:
        """The rows times a matrix (C, H), before the copies are made where these are more: lines that began alike."""
        if self.picked is None or len(self.picked) <= len(self.x):
            return self.rows() @ weight
        return (self.x @ weight).index_select(0, self.picked)

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.picked: Tensor | None = None

    def keep(self, rows: Tensor) -> None:
        self.picked = rows if self.picked is None else self.picked.index_select(0, rows)

    def rows(self) -> Tensor:
        return self.x if self.picked is None else self.x.index_select(0, self.picked)


class _Embedding:
    """The characters themselves, where their n-grams are too many for a table."""

    levels, span = 0, 1

    def __init__(self, embedding: nn.Module) -> None:
        self.embedding = embedding

    def step(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens)
        return x

    def keep(self, rows: Tensor) -> None:
        """Nothing is kept here: the ring of the first fusion is."""


class _Table:
    """Level 1 (and the Linear of level 2) for all n-grams of characters."""

    def __init__(self, stages: list[nn.Sequential], vocabulary_size: int, fuse: tuple[int, ...]) -> None:
        n = fuse[0]
        self.vocabulary_size, self.grams = vocabulary_size, vocabulary_size**n
        device = next(stages[0].parameters()).device
        numbers = torch.arange(self.grams, device=device)
        digits = [numbers // vocabulary_size ** (n - 1 - place) % vocabulary_size for place in range(n)]
        rows: Tensor = stages[1](stages[0](torch.stack(digits, dim=1)).flatten(1))  # (G, C), oldest character first
        if len(fuse) == 1:  # level 1 is the last: the table holds logits
            self.levels, self.span, self.m = 1, n, 1
            self.rest: nn.Module = nn.Sequential()
        else:
            self.levels, self.span, self.m = 2, n * fuse[1], fuse[1]
            linear, rest = stages[2][0], stages[2][1:]
            assert isinstance(linear, Linear)
            rows = torch.cat([rows @ part.T for part in linear.weight.chunk(self.m, dim=1)])  # (m G, C)
            if linear.bias is not None:
                rows[: self.grams] += linear.bias
            self.rest = rest
        self.rows = rows
        self.gram = torch.zeros(1, dtype=torch.int64, device=device)  # (B,) number of the last n characters
        self.ring = deque([self.gram] * ((self.m - 1) * n + 1), maxlen=(self.m - 1) * n + 1)
        self.n = n

    def step(self, tokens: Tensor) -> Tensor:
        self.gram = (self.gram * self.vocabulary_size + tokens) % self.grams
        self.ring.append(self.gram)
        children = [self.ring[child * self.n] + child * self.grams for child in range(self.m)]
        x: Tensor = self.rest(F.embedding_bag(torch.stack(children, dim=1), self.rows, mode="sum"))
        return x

    def keep(self, rows: Tensor) -> None:
        self.gram = self.gram.index_select(0, rows)
        self.ring = deque((gram.index_select(0, rows) for gram in self.ring), maxlen=self.ring.maxlen)


def _stages(model: Tree) -> list[nn.Sequential]:
    """The layers between the fusions: the embedding, then those of each level; the last with the output."""
    stages: list[list[nn.Module]] = [[]]
    for layer in model.layers:
        if isinstance(layer, FlattenConsecutive):
            stages.append([])
        elif isinstance(layer, BatchNorm1d):
            stages[-1][-1] = _folded(stages[-1][-1], layer)
        else:
            stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages]


@torch.no_grad()
def _folded(linear: nn.Module, norm: BatchNorm1d) -> Linear:
    """A Linear that does its BatchNorm1d too: in eval mode that is a factor and a shift a channel."""
    assert isinstance(linear, Linear)
    norm.require_statistics()
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # (C,)
    both = deepcopy(linear)
    both.weight.mul_(scale[:, None])
    both.bias = nn.Parameter(norm.bias + scale * ((0 if linear.bias is None else linear.bias) - norm.running_mean))
    return both
