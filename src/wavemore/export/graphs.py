"""What is exported of a model as a graph: the whole line at once, and one step of its decoder with the state.

torch's recurrent layers and an n-gram's lookups cannot be exported with free shapes as they are, so they are written
here by operations that can: a scan over the line, and a walk through tables.

Shapes: B lines, T time, C channels, G gates x channels, V vocabulary, R rows of a state.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from wavemore.nn.kernels.torch_internals import exported_scan
from wavemore.nn.model import Model
from wavemore.nn.ngram import Level, Ngram
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.wavenet import Block, WaveNet


def whole_line(model: Model) -> nn.Module:
    """Return a module that computes what the model does, ids (B, T) -> logits (B, T, V), and can be exported.

    >>> from wavemore.nn.models import build
    >>> whole_line(build("bigram", 27))(torch.zeros(2, 5, dtype=torch.int64)).shape
    torch.Size([2, 5, 27])
    """
    if isinstance(model, Recurrent):
        return _RecurrentLine(model)
    return _NgramLine(model) if isinstance(model, Ngram) else model


def one_step(model: Model) -> "Step | None":
    """Return a step of the model's decoder; None for a model that keeps no state, but reads its context each time.

    >>> from wavemore.nn.models import build
    >>> step = one_step(build("wavenet", 27).eval())
    >>> logits, state = step(torch.tensor([0, 0]), torch.zeros(2, step.rows, step.channels))
    >>> logits.shape, state.shape
    (torch.Size([2, 27]), torch.Size([2, 16, 64]))
    """
    if isinstance(model, Recurrent):
        return _RecurrentStep(model)
    return _WaveNetStep(model) if isinstance(model, WaveNet) else None


def has_step(name: str) -> bool:
    """Whether the models of a name in `MODELS` keep a state, so that `one_step` has a step of them.

    >>> has_step("wavenet"), has_step("tree")
    (True, False)
    """
    return name in ("rnn", "gru", "lstm", "wavenet")


class Step(nn.Module):
    """Append one character to each line, (B,), and predict the next: logits (B, V), and the new state (B, R, C).

    The state before a line is zeros.
    """

    rows: int
    channels: int


class _RecurrentLine(nn.Module):
    """A recurrent network, layer by layer: a scan over the line."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.embedding, self.cells, self.head = model.embedding, model.cells, model.head
        self.kind = type(model.cells)

    def forward(self, tokens: Tensor) -> Tensor:
        scan = exported_scan()
        x = self.embedding(tokens.T)  # (T, B, C)
        for from_input, from_state, input_bias, state_bias in self.cells.all_weights:
            inputs = x @ from_input.T + input_bias  # (T, B, G)
            zeros = inputs.new_zeros(inputs.shape[1], self.cells.hidden_size)
            step = partial(_scan_step, CELLS[self.kind], from_state, state_bias)
            _, x = scan(step, (zeros, zeros.clone()), inputs)
        logits: Tensor = self.head(x).transpose(0, 1)
        return logits


class _RecurrentStep(Step):
    """The state has a row per layer, and for an LSTM a second one with the cells."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.embedding, self.cells, self.head = model.embedding, model.cells, model.head
        self.kind, self.per_layer = type(model.cells), 2 if isinstance(model.cells, nn.LSTM) else 1
        self.rows, self.channels = self.per_layer * model.config.layers, model.config.hidden

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x, rows = self.embedding(tokens), []
        for layer, (from_input, from_state, input_bias, state_bias) in enumerate(self.cells.all_weights):
            first = layer * self.per_layer
            inputs, hidden, cell = x @ from_input.T + input_bias, state[:, first], state[:, first + self.per_layer - 1]
            x, cell = CELLS[self.kind](inputs, hidden @ from_state.T + state_bias, hidden, cell)
            rows += [x, cell][: self.per_layer]
        return self.head(x), torch.stack(rows, dim=1)


def _scan_step(
    cell: "Cell", weight: Tensor, bias: Tensor, before: tuple[Tensor, Tensor], inputs: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Do one step of a scan: the state before it and the inputs of its gates, (B, G) -> the state, its output."""
    hidden, memory = before
    hidden, memory = cell(inputs, hidden @ weight.T + bias, hidden, memory)
    return (hidden, memory.clone()), hidden.clone()  # a scan takes no tensor twice


Cell = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""What the input and the state add to the gates, (B, G), and the hidden state and the cell, (B, C) -> the new ones."""


def _rnn(inputs: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(inputs + from_state), cell


def _gru(inputs: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    (r, z, n), (r_state, z_state, n_state) = inputs.chunk(3, dim=1), from_state.chunk(3, dim=1)
    new = torch.tanh(n + torch.sigmoid(r + r_state) * n_state)
    return new + torch.sigmoid(z + z_state) * (hidden - new), cell


def _lstm(inputs: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    i, f, new, o = (inputs + from_state).chunk(4, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(new)
    return torch.sigmoid(o) * torch.tanh(cell), cell


CELLS: dict[type[nn.Module], Cell] = {nn.RNN: _rnn, nn.GRU: _gru, nn.LSTM: _lstm}
"""The gates are in torch's order."""


class _WaveNetStep(Step):
    """The state has, block after block, the earlier inputs of its convolution that it looks back at, the oldest first.

    A last row is zeros before a line, and then ones: at the first step, all earlier inputs are those of the token that
    the line begins with.
    """

    before: Tensor

    def __init__(self, model: WaveNet) -> None:
        super().__init__()
        self.embedding, self.blocks, self.head = model.embedding, model.blocks, model.head
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        self.reaches = [block.conv.reach for block in blocks]
        self.rows, self.channels = sum(self.reaches) + 1, model.config.channels
        self.first_label = model.vocabulary_size
        starts = [0, *range(self.first_label, self.first_label + model.num_labels)]
        inputs, x = [], model.embedding(torch.tensor(starts))[:, None]
        with torch.no_grad():
            for block in blocks:
                inputs.append(block.norm(x)[:, 0])
                x, _ = block(x)
        # The inputs of the blocks at all positions before a line, for a boundary and for each label: (1 + K, L, C).
        self.register_buffer("before", torch.stack(inputs, dim=1).detach(), persistent=False)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(tokens)  # (B, C)
        before = self.before[(tokens - (self.first_label - 1)).clamp(min=0)]  # (B, L, C)
        before = before * (1 - state[:, -1:])  # only at the first step
        skips, rows, first = x.new_zeros(()), [], 0
        for number, (block, reach) in enumerate(zip(self.blocks, self.reaches, strict=True)):
            assert isinstance(block, Block)
            assert block.conv.bias is not None
            earlier = state[:, first : first + reach] + before[:, number, None]
            seen = torch.cat([earlier, block.norm(x)[:, None]], dim=1)  # (B, reach + 1, C)
            weight = block.conv.weight.permute(2, 1, 0).flatten(0, 1)  # (K C, 2C)
            u = block.gate(seen[:, :: block.conv.dilation].flatten(1) @ weight + block.conv.bias)
            skips = skips + block.skip(u)
            x = x if block.residual is None else x + block.residual(u)
            rows.append(seen[:, 1:])
            first += reach
        return self.head(skips), torch.cat([*rows, torch.ones_like(state[:, :1])], dim=1)


class _NgramLine(nn.Module):
    """An n-gram as a walk from each context to the one with one more character: its children are neighbours in a table.

    A table of positions has the first of each row, and at its end the length of what it points to.
    """

    def __init__(self, model: Ngram) -> None:
        super().__init__()
        self.size, self.width = model.vocabulary_size, model.config.receptive_field
        self.across_lines, self.depth, parents = bool(model.across_lines), 0, 1
        for level in model.levels:
            assert isinstance(level, Level)
            if not len(level.contexts):
                break
            children = torch.bincount(level.contexts.cpu() // self.size, minlength=parents)
            tables = {
                "children": nn.functional.pad(children.cumsum(0), (1, 0)).int(),
                "oldest": (level.contexts % self.size).int(),
                "starts": level.starts.int(),
                "characters": level.characters.int(),
                "shares": level.shares.float(),
                "backoffs": level.backoffs.float(),
            }
            for name, table in tables.items():
                self.register_buffer(f"{name}{self.depth}", table.cpu(), persistent=False)
            parents, self.depth = len(level.contexts), self.depth + 1

    def forward(self, tokens: Tensor) -> Tensor:
        history, length = nn.functional.pad(tokens, (self.width - 1, 0)), tokens.shape[1]
        p = torch.full((self.size,), 1 / self.size).expand(*tokens.shape, -1)  # (B, T, V)
        indices, known = torch.zeros_like(tokens), torch.ones_like(tokens, dtype=torch.bool)  # (B, T)
        for k in range(self.depth):
            if k > 0:
                latest = history.narrow(1, self.width - k, length)  # the k-th latest character at each position
                children, is_child = self._row("children", k, indices)
                oldest = self.get_buffer(f"oldest{k}")
                is_next = is_child & (oldest[children.clamp(max=len(oldest) - 1)] == latest[..., None])
                known = known & is_next.any(-1)
                indices = (children * (is_next & known[..., None])).sum(-1)
            characters, shares = self.get_buffer(f"characters{k}").long(), self.get_buffer(f"shares{k}")
            grams, is_gram = self._row("starts", k, indices)
            grams, is_gram = grams.clamp(max=len(shares) - 1), is_gram & known[..., None]
            backoffs = torch.where(known, self.get_buffer(f"backoffs{k}")[indices], 1.0)
            added = torch.where(is_gram, shares[grams], 0.0)
            p = (p * backoffs[..., None]).scatter_add(2, characters[grams], added)
            if k > 0 and not self.across_lines:
                known = known & (latest != 0)
        return p.log()

    def _row(self, name: str, level: int, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return V positions from the first of a row on, and whether they are in that row: (B, T) -> (B, T, V) each."""
        table = self.get_buffer(f"{name}{level}").long()
        positions = table[indices][..., None] + torch.arange(self.size)
        return positions, positions < table[indices + 1][..., None]
