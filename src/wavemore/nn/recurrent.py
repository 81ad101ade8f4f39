"""Recurrent networks: an RNN, a GRU or an LSTM of torch.

Shapes: B lines, T time, N positions of all lines, C channels, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import ModelError, a_kind, require_kind, require_types
from wavemore.nn.config import DROPOUT_HELP, MAX_LAYERS, ModelConfig, setting
from wavemore.nn.kernels.lstm import continued, lstm, lstm_step, project
from wavemore.nn.kernels.torch_internals import is_bare, needs_plain, runs_as
from wavemore.nn.model import Decoder, Model, last_positions, output_layer
from wavemore.nn.precision import fast_bfloat16
from wavemore.nn.prefix_plan import PrefixPlan

State: TypeAlias = tuple[Tensor, Tensor]
"""The hidden state and the cell of a layer, (B, C) each."""


@dataclass(frozen=True)
class RecurrentConfig(ModelConfig):
    """The settings of a recurrent network: an RNN, a GRU or an LSTM."""

    embedding: int = setting(64, "channels of a character's vector")
    hidden: int = setting(128, "channels of the state")
    layers: int = setting(1, "number of layers")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("hidden",)

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("embedding", "hidden", "layers")
        self.require_at_most("layers", MAX_LAYERS)
        self.require_fraction("dropout")

    @property
    def receptive_field(self) -> None:
        """The whole line so far."""
        return None

    @property
    def label(self) -> str:
        """Layers and channels, such as "2 x 64/128"."""
        return (f"{self.layers} x " if self.layers > 1 else "") + f"{self.embedding}/{self.hidden}"


class Recurrent(Model):
    """Read a line character by character into a state, and predict from the state.

    - RNN: Elman, "Finding Structure in Time", https://doi.org/10.1207/s15516709cog1402_1; as a language model:
      Mikolov et al., https://www.isca-archive.org/interspeech_2010/mikolov10_interspeech.html
    - GRU: Cho et al., https://arxiv.org/abs/1406.1078
    - LSTM: Hochreiter and Schmidhuber, https://doi.org/10.1162/neco.1997.9.8.1735
    """

    def __init__(
        self,
        vocabulary_size: int,
        config: RecurrentConfig,
        kind: type[nn.RNN] | type[nn.GRU] | type[nn.LSTM],
        num_labels: int = 0,
    ) -> None:
        super().__init__(vocabulary_size, num_labels)
        require_kind(config, "config", RecurrentConfig, "a RecurrentConfig")
        self.config: RecurrentConfig = config
        self.embedding = nn.Embedding(vocabulary_size + num_labels, config.embedding)
        between = config.dropout if config.layers > 1 else 0.0
        self.cells = kind(config.embedding, config.hidden, config.layers, batch_first=True, dropout=between)
        self.drop: nn.Module = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.head = output_layer(config.hidden, vocabulary_size)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        lines, length = tokens.shape
        if tokens.numel() and torch.is_grad_enabled() and self._gains_without_sharing:
            states, _ = self._packed_states(tokens.T.flatten(), [lines] * length, [None] * (length - 1))
            states = states.view(length, lines, -1).transpose(0, 1)  # (B, T, C)
        else:
            states, _ = self.run_cells(self.embedding(tokens))
        return self.predict(last_positions(states, logits_to_keep))

    def run_cells(self, x: Tensor, before: Any = None) -> tuple[Tensor, Any]:
        """Run torch's layers: (B, T, I) -> (B, T, C), and the state after the last step.

        On a CPU without instructions for bfloat16, torch's LSTM fails within autocast, so it has float32 there.

        On a GPU, the generator of cuDNN's dropout between layers cannot be set without a wait for the device, nor
        recorded in a graph, so the layers run one by one.
        """
        drops_between = self.training and self.config.layers > 1 and self.cells.dropout > 0
        if drops_between and x.is_cuda and any(is_bare(self.cells, kind) for kind in (nn.RNN, nn.GRU, nn.LSTM)):
            return self.run_each_layer(x, before)
        if torch.is_autocast_enabled("cpu") and not fast_bfloat16():
            with torch.autocast("cpu", enabled=False):
                return cast(tuple[Tensor, Any], self.cells(x, before))
        return cast(tuple[Tensor, Any], self.cells(x, before))

    def run_each_layer(self, x: Tensor, before: Any = None) -> tuple[Tensor, Any]:
        """Do as `run_cells` does, with one call of torch per layer and the dropout of `torch.nn.functional` between."""
        cells, is_lstm = self.cells, isinstance(self.cells, nn.LSTM)
        run: Any = torch.lstm if is_lstm else torch.gru if isinstance(cells, nn.GRU) else torch.rnn_tanh
        if before is None:
            zeros = x.new_zeros(self.config.layers, len(x), self.config.hidden)
            before = (zeros, zeros) if is_lstm else zeros
        ends = []
        for layer, weights in enumerate(cells.all_weights):
            x = F.dropout(x, cells.dropout, self.training) if layer > 0 else x
            first = [part[layer : layer + 1] for part in before] if is_lstm else before[layer : layer + 1]
            x, *after = run(x, first, weights, True, 1, 0.0, self.training, False, True)
            ends.append(after)
        states = tuple(torch.cat(parts) for parts in zip(*ends, strict=True))
        return x, states if is_lstm else states[0]

    @property
    def is_packable(self) -> bool:
        """Whether the functions of nn/kernels/lstm.py can run the model, an LSTM on a CPU.

        They cannot if it has hooks, is neither in float32 nor in float64, or runs within torch.autocast, a transform of
        torch or `plain`.
        """
        if not (is_bare(self, Recurrent) and is_bare(self.embedding, nn.Embedding) and is_bare(self.cells, nn.LSTM)):
            return False
        dtype = next(self.cells.parameters()).dtype
        return dtype in (torch.float32, torch.float64) and self.device.type == "cpu" and not needs_plain()

    @property
    def _gains_without_sharing(self) -> bool:
        """Whether those functions are faster than torch's layer in training, if no beginnings are shared.

        With bfloat16 they are; in float32, torch's layer is up to a third faster with two threads. In float64 either
        will do, and the tests compare them.
        """
        return self.is_packable and (fast_bfloat16() or next(self.parameters()).dtype == torch.float64)

    def unique(self, plan: PrefixPlan) -> Tensor:
        """Predict the next token at all positions of some lines, (B, V), and compute each distinct beginning once.

        Dropout draws one mask per distinct beginning between layers, and one per position before the output. Raises
        `ModelError` for a model that is not an LSTM on a CPU (`is_packable`).
        """
        if not isinstance(plan, PrefixPlan):
            raise ModelError(f"{a_kind(plan)} is not a plan: make plans by `batches(..., plans=True)`")
        if not self.is_packable:
            raise ModelError(
                "plans are for an lstm in float32 or float64 on a CPU, without hooks, torch.autocast or "
                "wavemore.plain: call the model with tokens instead"
            )
        if not (torch.is_grad_enabled() or self.training):
            states = self._states_without_gradient(plan)
        else:
            states, _ = self._packed_states(plan.tokens, plan.sizes, plan.parents)
            if self.training and self.config.dropout:
                return self.predict(states.index_select(0, plan.inverse))
        return self.predict(states).index_select(0, plan.inverse)

    def _states_without_gradient(self, plan: PrefixPlan) -> Tensor:
        """Run all layers, and keep only what the next step needs: (N, C)."""
        is_large = self.embedding.num_embeddings > len(plan.tokens)
        table = None if is_large else self.add_to_gates(0, self.embedding.weight)
        hiddens, states = list[Tensor](), list[State | None]([None] * self.config.layers)
        for tokens, parent in zip(plan.tokens.split_with_sizes(plan.sizes), (None, *plan.parents), strict=True):
            n = len(tokens)
            gates = self.add_to_gates(0, self.embedding(tokens)) if table is None else table.index_select(0, tokens)
            for layer, state in enumerate(states):
                if state is not None:
                    states[layer] = continued(state[0], parent)[:n], continued(state[1], parent)[:n]
            after = self.advance(gates, states)
            hiddens.append(after[-1][0])
            states = list(after)
        return torch.cat(hiddens)

    def read_on(self, tokens: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Predict the next tokens, (B, T) -> (B, T, V), from the state that earlier ones left; return the new one too.

        A state is the hidden state of each layer, (layers, B, C), and that of an LSTM the cell too; it is empty at the
        beginning, and gets no gradient.
        """
        if self._gains_without_sharing:
            lines, length = tokens.shape
            sizes, parents = [lines] * length, [None] * (length - 1)
            states, after = self._packed_states(tokens.T.flatten(), sizes, parents, before)
            return self.predict(states.view(length, lines, -1).transpose(0, 1)), after
        is_lstm = isinstance(self.cells, nn.LSTM)
        states, after = self.run_cells(self.embedding(tokens), (before if is_lstm else before[0]) if before else None)
        return self.predict(states), tuple(x.detach() for x in (after if is_lstm else (after,)))

    def _packed_states(
        self,
        tokens: Tensor,
        sizes: Sequence[int],
        parents: Sequence[Tensor | None],
        before: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all layers in the order of nn/kernels/lstm.py: the states, (N,) -> (N, C), and the state at the end."""
        states, ends = tokens, []
        for layer in range(self.config.layers):
            inputs, rows = None, None
            if layer > 0:
                states = F.dropout(states, self.cells.dropout, self.training)
            elif self.embedding.num_embeddings <= min(len(tokens), self.config.hidden):
                self._require_known(tokens)
                inputs, rows = self.add_to_gates(0, self.embedding.weight), tokens
            else:
                states = self.embedding(tokens)
            inputs = self.add_to_gates(layer, states) if inputs is None else inputs
            weight, earlier = self.cells.all_weights[layer][1], [part[layer] for part in before]
            states, cell = lstm(inputs, rows, weight, sizes, parents, (earlier[0], earlier[1]) if before else None)
            ends.append((states[-sizes[-1] :].detach(), cell))
        return states, tuple(torch.stack(x) for x in zip(*ends, strict=True))

    def predict(self, states: Tensor) -> Tensor:
        """Predict from the states: (..., C) -> (..., V)."""
        logits: Tensor = self.head(self.drop(states))
        return logits

    def _require_known(self, tokens: Tensor) -> None:
        """Raise `IndexError`, as an embedding does, for ids that are none of the vocabulary."""
        least, most = torch.aminmax(tokens)
        if least < 0 or most >= self.embedding.num_embeddings:
            raise IndexError(
                f"the tokens reach from {int(least)} to {int(most)}, the ids to {self.embedding.num_embeddings - 1}"
            )

    def add_to_gates(self, layer: int, x: Tensor) -> Tensor:
        """Compute what inputs of a layer, (R, I), add to its gates: (R, 4C)."""
        weight, _, *biases = self.cells.all_weights[layer]
        return project(x, weight, biases[0] + biases[1])

    def advance(self, gates: Tensor, before: Sequence[State | None]) -> list[State]:
        """Run all layers for one step, without gradients, from the inputs of the first gates, (B, 4C)."""
        after = list[State]()
        for layer, state in enumerate(before):
            if layer > 0:
                gates = self.add_to_gates(layer, after[-1][0])
            after.append(lstm_step(gates, self.cells.all_weights[layer][1], state))
        return after

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step, after the tokens `starts`, (B,), or after boundaries."""
        if not runs_as(self, Recurrent):
            return super().decoder(lines, starts)
        first = self.start_tokens(lines, starts)
        return _LstmDecoder(self, first) if self.is_packable else _RecurrentDecoder(self, first)


class _RecurrentDecoder(Decoder):
    """Keeps the state of each layer."""

    def __init__(self, model: Recurrent, starts: Tensor) -> None:
        self.model = model
        self.state: Tensor | tuple[Tensor, Tensor] | None = None  # (layers, B, C); that of an LSTM is a pair
        self.logits = self.step(starts)

    def step(self, tokens: Tensor) -> Tensor:
        states, self.state = self.model.run_cells(self.model.embedding(tokens[:, None]), self.state)
        self.logits = self.model.predict(states[:, 0])
        return self.logits

    def prefill(self, tokens: Tensor) -> Tensor:
        states, self.state = self.model.run_cells(self.model.embedding(tokens), self.state)
        after = self.model.predict(states)
        before = torch.cat([self.logits[:, None], after[:, :-1]], dim=1)
        self.logits = after[:, -1]
        return before

    def select(self, rows: Tensor) -> None:
        if isinstance(self.state, tuple):
            self.state = self.state[0].index_select(1, rows), self.state[1].index_select(1, rows)
        elif self.state is not None:
            self.state = self.state.index_select(1, rows)
        self.logits = self.logits.index_select(0, rows)


class _LstmDecoder(Decoder):
    """Keeps the hidden state and the cell of each layer, (B, C), and what each character adds to the first gates."""

    def __init__(self, model: Recurrent, starts: Tensor) -> None:
        self.model, self.table = model, model.add_to_gates(0, model.embedding.weight).detach()  # (V, 4C)
        self.states: list[State | None] = [None] * model.config.layers
        self.logits = self.step(starts)

    def step(self, tokens: Tensor) -> Tensor:
        after = self.model.advance(self.table.index_select(0, tokens), self.states)
        self.states = list(after)
        self.logits = self.model.predict(after[-1][0])
        return self.logits

    def prefill(self, tokens: Tensor) -> Tensor:
        before = tuple(torch.stack(x) for x in zip(*filter(None, self.states), strict=True))
        states, after = self.model.run_cells(self.model.embedding(tokens), before)
        self.states = list(zip(*(x.detach().unbind() for x in after), strict=True))
        logits = self.model.predict(states)
        earlier = torch.cat([self.logits[:, None], logits[:, :-1]], dim=1)
        self.logits = logits[:, -1]
        return earlier

    def select(self, rows: Tensor) -> None:
        self.states = [(h.index_select(0, rows), c.index_select(0, rows)) for h, c in filter(None, self.states)]
        self.logits = self.logits.index_select(0, rows)
