"""The models that a new one has to beat: thin modules over torch.nn, each with its paper.

Shapes: B lines, T time, C channels, V vocabulary, W positions that an attention or a mean reaches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.config import BigramConfig, BowConfig, RecurrentConfig, TransformerConfig
from wavemore.nn.model import LineModel, Stream, are_all


class Bigram(LineModel):
    """Look up what follows a character: a table of logits, (V, V).

    Shannon counted such a table by hand: "A Mathematical Theory of Communication", 1948,
    https://doi.org/10.1002/j.1538-7305.1948.tb01338.x.

    >>> Bigram(27, BigramConfig()).logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape
    torch.Size([5, 3, 27])
    """

    def __init__(self, vocabulary_size: int, config: BigramConfig) -> None:
        super().__init__(vocabulary_size)
        self.config = config
        self.table = nn.Embedding(vocabulary_size, vocabulary_size)
        nn.init.normal_(self.table.weight, std=0.1)  # no opinion yet: the loss starts at ln V

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V)."""
        logits: Tensor = self.table(tokens)
        return logits

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""
        return BigramStream(self, lines)


class BigramStream:
    """The last character of each line is all that counts."""

    def __init__(self, model: Bigram, lines: int) -> None:
        self.model = model
        self.logits: Tensor = model.table(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        self.logits = self.model.table(tokens)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self.logits = self.logits.index_select(0, rows)


class Recurrent(LineModel):
    """Read a line character by character into a state, and predict from the state.

    - rnn: Elman, "Finding Structure in Time", https://doi.org/10.1207/s15516709cog1402_1; as a language model
      Mikolov et al., https://www.isca-archive.org/interspeech_2010/mikolov10_interspeech.html
    - gru: Cho et al., https://arxiv.org/abs/1406.1078
    - lstm: Hochreiter and Schmidhuber, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> model = Recurrent(27, RecurrentConfig(embedding=8, hidden=16), nn.GRU)
    >>> model.logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape
    torch.Size([5, 3, 27])
    """

    def __init__(
        self, vocabulary_size: int, config: RecurrentConfig, kind: type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]
    ) -> None:
        super().__init__(vocabulary_size)
        self.config = config
        self.embedding = nn.Embedding(vocabulary_size, config.embedding)
        between = config.dropout if config.layers > 1 else 0.0
        self.cells = kind(config.embedding, config.hidden, config.layers, batch_first=True, dropout=between)
        self.drop: nn.Module = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.head = _head(config.hidden, vocabulary_size)

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V)."""
        states, _ = self.cells(self.embedding(tokens))  # (B, T, C)
        logits: Tensor = self.head(self.drop(states))
        return logits

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""
        return RecurrentStream(self, lines)


class RecurrentStream:
    """The states of each layer are all that is kept."""

    def __init__(self, model: Recurrent, lines: int) -> None:
        self.model = model
        self.state: Tensor | tuple[Tensor, Tensor] | None = None  # (layers, B, C); an lstm's is a pair
        self.logits = self.step(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        states, self.state = self.model.cells(self.model.embedding(tokens[:, None]), self.state)
        self.logits = self.model.head(states[:, 0])
        return self.logits

    def read(self, tokens: Tensor) -> Tensor:
        """Take T more characters a line, (B, T), and return what was said of each before: (B, T, V)."""
        states, self.state = self.model.cells(self.model.embedding(tokens), self.state)
        logits = self.model.head(states)
        said = torch.cat([self.logits[:, None], logits[:, :-1]], dim=1)
        self.logits = logits[:, -1]
        return said

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        if isinstance(self.state, tuple):
            self.state = self.state[0].index_select(1, rows), self.state[1].index_select(1, rows)
        elif self.state is not None:
            self.state = self.state.index_select(1, rows)
        self.logits = self.logits.index_select(0, rows)


class BagOfWords(LineModel):
    """Predict from the last character and the mean of the last W ones, whatever their order.

    As the bag of words of makemore; as a model of words Mikolov et al., https://arxiv.org/abs/1301.3781.

    >>> BagOfWords(27, BowConfig()).logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape
    torch.Size([5, 3, 27])
    """

    def __init__(self, vocabulary_size: int, config: BowConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: BowConfig = config
        c = config.embedding
        self.embedding = nn.Embedding(vocabulary_size, c)
        self.hidden = nn.Sequential(nn.Linear(c, config.hidden), nn.Tanh(), nn.Linear(config.hidden, c))
        self.head = _head(c, vocabulary_size)

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position of lines that begin with a boundary: (B, T) -> (B, T, V)."""
        x = self.embedding(tokens)  # (B, T, C)
        before = x[:, :1].expand(-1, self.config.context - 1, -1)  # boundaries, as the first position is
        means = F.avg_pool1d(torch.cat([before, x], dim=1).mT, self.config.context, stride=1).mT
        return self.from_mean(x, means)

    def from_mean(self, x: Tensor, mean: Tensor) -> Tensor:
        """Predict from a character's vector and the mean: (..., C), (..., C) -> (..., V)."""
        y = x + mean
        logits: Tensor = self.head(y + self.hidden(y))
        return logits

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""
        return BagStream(self, lines)


class BagStream:
    """The vectors of the last W characters are kept."""

    def __init__(self, model: BagOfWords, lines: int) -> None:
        self.model = model
        boundaries = torch.zeros(lines, model.config.context, dtype=torch.int64, device=model.device)
        self.last: Tensor = model.embedding(boundaries)  # (B, W, C)
        self.logits = model.from_mean(self.last[:, -1], self.last.mean(dim=1))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        x = self.model.embedding(tokens)
        self.last = torch.cat([self.last[:, 1:], x[:, None]], dim=1)
        self.logits = self.model.from_mean(x, self.last.mean(dim=1))
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self.last, self.logits = self.last.index_select(0, rows), self.logits.index_select(0, rows)


class Transformer(LineModel):
    """Let every position look at those before it, as far as each attention reaches.

    Vaswani et al., https://arxiv.org/abs/1706.03762, as GPT-2 has it: the normalisation stands before each part.
    Positions are told by turning queries and keys, Su et al., https://arxiv.org/abs/2104.09864: what counts is how
    far apart two characters are, so that a line may be of any length. An attention reaches W positions, as that of
    Child et al., https://arxiv.org/abs/1904.10509; with several layers a prediction sees further.

    >>> model = Transformer(27, TransformerConfig())
    >>> model.logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape, model.parameter_count()
    (torch.Size([5, 3, 27]), 203547)
    """

    def __init__(self, vocabulary_size: int, config: TransformerConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: TransformerConfig = config
        self.embedding = nn.Embedding(vocabulary_size, config.channels)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.channels)
        self.head = _head(config.channels, vocabulary_size)

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V)."""
        x = self.embedding(tokens)  # (B, T, C)
        turn, mask = self._turn(0, tokens.shape[1], x), self._mask(tokens.shape[1], x.device)
        for block in self.blocks:
            x, _ = block(x, turn, mask, None)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def _turn(self, first: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the angles by which each pair of channels is turned at each position: (T, D/2) each."""
        half = self.config.channels // self.config.heads // 2
        speeds = 10_000.0 ** (-torch.arange(half, device=like.device, dtype=torch.float64) / half)
        angles = torch.arange(first, first + count, device=like.device)[:, None] * speeds
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)

    def _mask(self, length: int, device: torch.device) -> Tensor | None:
        """Which positions each one may look at, (T, T); None where that is all before it."""
        if length <= self.config.context:
            return None
        back = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
        return (back >= 0) & (back < self.config.context)

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""
        return TransformerStream(self, lines)


class TransformerBlock(nn.Module):
    """Attention, then a hidden layer of four times the channels; each is added to what came in."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        c = config.channels
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(c)
        self.attention = nn.Linear(c, 3 * c)
        self.attention_out = nn.Linear(c, c)
        self.hidden_norm = nn.LayerNorm(c)
        self.hidden = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))
        self.drop: nn.Module = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map `x` (B, T, C) to the same; also the keys and values, with those `kept` of positions before in front."""
        b, t, c = x.shape
        q, k, v = self.attention(self.attention_norm(x)).view(b, t, 3, self.heads, c // self.heads).unbind(2)
        q, k, v = (
            _turned(q.transpose(1, 2), turn),
            _turned(k.transpose(1, 2), turn),
            v.transpose(1, 2),
        )  # (B, heads, T, D)
        if kept is not None:
            k, v = torch.cat([kept[0], k], dim=2), torch.cat([kept[1], v], dim=2)
        dropped = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, dropped, is_causal=kept is None and mask is None)
        x = x + self.drop(self.attention_out(y.transpose(1, 2).reshape(b, t, c)))
        return x + self.drop(self.hidden(self.hidden_norm(x))), (k, v)


class TransformerStream:
    """The keys and values of the last W - 1 positions are kept."""

    def __init__(self, model: Transformer, lines: int) -> None:
        self.model, self.lines, self.place = model, lines, 0
        self.kept: list[tuple[Tensor, Tensor] | None] = [None] * len(model.blocks)  # (B, heads, up to W - 1, D) each
        self.logits = self.step(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        x = self.model.embedding(tokens[:, None])  # (B, 1, C)
        turn = self.model._turn(self.place, 1, x)
        most = self.model.config.context - 1
        for number, block in enumerate(self.model.blocks):
            x, (k, v) = block(x, turn, None, self.kept[number])
            left = max(0, k.shape[2] - most)
            self.kept[number] = k[:, :, left:], v[:, :, left:]
        self.place += 1
        self.logits = self.model.head(self.model.norm(x[:, 0]))
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        if are_all(rows, self.lines):
            return
        self.lines = len(rows)
        self.kept = [kept and (kept[0].index_select(0, rows), kept[1].index_select(0, rows)) for kept in self.kept]
        self.logits = self.logits.index_select(0, rows)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of channels in its plane: (B, heads, T, D); a pair is a channel and the one D/2 further."""
    (cos, sin), (a, b) = turn, x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def _head(channels: int, vocabulary_size: int) -> nn.Linear:
    head = nn.Linear(channels, vocabulary_size)
    nn.init.normal_(head.weight, std=0.1 / channels**0.5)  # no opinion yet: the loss starts at ln V
    nn.init.zeros_(head.bias)
    return head
