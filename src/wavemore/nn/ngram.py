"""Smoothed counts of n-grams: the best language model for decades, and there is nothing to train.

The counts say how often each character w followed a context c, the last characters before it. A long context predicts
well where it has often been seen, but most long contexts are rare or new. So a prediction adds up the counts after
contexts of all lengths:

    p(w | c) = (count(c w) - discount) / count(c) + backoff(c) * p(w | c without its oldest character)

- The discount takes a little from every count, for the characters that never followed c but may. There are three, for
  counts of 1, of 2, and of 3 or more; their values follow from how many n-grams were counted 1, 2, 3 and 4 times.
- backoff(c) is the sum of the discounts after c, divided by count(c). This is the weight of the shorter context, and
  makes the probabilities sum to 1.
- Only after the longest contexts is count(c w) the number of times that c w occurs. After shorter ones it is the number
  of different characters that occur before c w: the shorter context decides where the longer one is new, and there a
  character that follows many contexts is likelier than one that follows a single one very often. Contexts at the start
  of a line have no character before them, so their counts are occurrences too.
- The empty context backs off to 1 / V for each of the V characters.

This is interpolated modified Kneser-Ney smoothing: Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", https://doi.org/10.1006/csla.1999.0128, after Kneser and Ney,
https://doi.org/10.1109/ICASSP.1995.479394.

Shapes: N targets, M predictions, W characters of a history, V vocabulary, U contexts of a level, E n-grams of a level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import ModelError, require_kind, require_types
from wavemore.html import table, text
from wavemore.nn.config import ModelConfig, setting
from wavemore.nn.display import model_html
from wavemore.nn.kernels.torch_internals import FallsBackToFloat32, needs_plain
from wavemore.nn.model import Model, last_positions
from wavemore.progress import report

DEFAULT_DISCOUNTS = (0.5, 1.0, 1.5)
"""The discounts if the text is too small or too regular to estimate them, as in Heafield's KenLM."""
MAX_ORDER = 64
MAX_ERROR = 1e-6
"""Of a sum of probabilities."""


@dataclass(frozen=True)
class NgramConfig(ModelConfig):
    """The settings of an n-gram model."""

    counted = True

    order: int = setting(5, "number of characters counted together, the predicted one included")

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("order")
        self.require_at_most("order", MAX_ORDER)

    @property
    def receptive_field(self) -> int:
        """The characters before the predicted one."""
        return max(1, self.order - 1)

    def describe(self) -> str:
        """Describe the settings in one line."""
        return f"counts of up to {self.order} characters, modified Kneser-Ney smoothing"

    @property
    def label(self) -> str:
        """The order, such as "order 5"."""
        return f"order {self.order}"


class Level(FallsBackToFloat32):
    """The contexts of one length, sorted by their keys, and the characters that followed each.

    The key of a context is i * V + its oldest character, where i is the index, one level below, of the context without
    this character. The characters after context u, and their probabilities, are `characters` and `shares` from
    `starts[u]` to `starts[u + 1]`.
    """

    contexts: Tensor
    starts: Tensor
    characters: Tensor
    shares: Tensor
    backoffs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("contexts", torch.zeros(0, dtype=torch.int64))  # (U,)
        self.register_buffer("starts", torch.zeros(1, dtype=torch.int64))  # (U + 1,)
        self.register_buffer("characters", torch.zeros(0, dtype=torch.int64))  # (E,)
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))  # (E,): (count - discount) / count(c)
        self.register_buffer("backoffs", torch.zeros(0, dtype=torch.float64))  # (U,)
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    def problem(self, below: int, vocabulary_size: int) -> str:
        """What is wrong with tables whose keys must be below `below`, in words; empty if nothing is."""
        contexts, starts, characters = self.contexts, self.starts, self.characters
        if not len(contexts) == len(self.backoffs) == len(starts) - 1 or len(self.shares) != len(characters):
            return "the lengths differ"
        if not _increase(contexts, below) or not _increase(starts, len(characters) + 1):
            return "the contexts or their places are out of order"
        if starts[0] != 0 or starts[-1] != len(characters) or not _are_ids(characters, vocabulary_size):
            return "there are characters of no context, or outside the vocabulary"
        owners = torch.repeat_interleave(torch.arange(len(contexts), device=starts.device), starts.diff())
        if not _increase(owners * vocabulary_size + characters, len(contexts) * vocabulary_size):
            return "the characters are out of order"
        totals = self.backoffs.index_add(0, owners, self.shares)
        if (self.shares < 0).any() or (self.backoffs <= 0).any() or ((totals - 1).abs() > MAX_ERROR).any():
            return "the probabilities do not add up to 1"
        return ""


def _take_sizes(level: nn.Module, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Give the buffers of a level the sizes of those that are loaded, which depend on the text that was counted."""
    for name, value in level.named_buffers():
        if prefix + name in state_dict:
            setattr(level, name, value.new_empty(state_dict[prefix + name].shape))


class Ngram(Model):
    """Predict from how often each character followed the last ones: `count` replaces training.

    Before anything is counted, all characters are equally likely.

    >>> model = Ngram(3, NgramConfig(order=2))
    >>> model.count(torch.tensor([1, 2, 1, 2, 0]))
    >>> model(torch.tensor([[0, 1]])).exp().argmax(dim=2).tolist()
    [[1, 2]]
    """

    across_lines: Tensor

    def __init__(self, vocabulary_size: int, config: NgramConfig) -> None:
        super().__init__(vocabulary_size)
        require_kind(config, "config", NgramConfig, "an NgramConfig")
        self.config: NgramConfig = config
        self.levels = nn.ModuleList(Level() for _ in range(config.order))  # contexts of 0, ..., order - 1 characters
        self.register_buffer("across_lines", torch.tensor(False))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load tables as torch does. Raises a ModelError for tables whose indices or probabilities are wrong."""
        keys = super().load_state_dict(state_dict, strict, assign)
        below = 1  # keys that the level below allows
        for k, level in enumerate(self.levels):
            assert isinstance(level, Level)
            if problem := level.problem(below, self.vocabulary_size):
                raise ModelError(f"in the table of contexts of {k} characters, {problem}")
            below = len(level.contexts) * self.vocabulary_size
        return keys

    @torch.no_grad()
    def count(self, tokens: Tensor, weights: Tensor | None = None, *, across_lines: bool = False) -> None:
        """Count the ids of lines, each ended by a boundary, (N,), in place of all earlier counts.

        `weights` are how often each target occurs, (N,), by default once. With `across_lines` they are one text, and
        contexts continue beyond a boundary. They are counted on the CPU.
        """
        tokens = tokens.cpu()
        self.across_lines.fill_(across_lines)
        size = self.vocabulary_size
        counted = self._occurrences(tokens, weights, across_lines)
        for k, (contexts, grams, counts) in enumerate(counted):
            if k + 1 < len(counted):
                longer, longer_grams, _ = counted[k + 1]
                # The n-grams of this level that the longer ones are without their oldest character.
                suffixes = longer[longer_grams // size] // size * size + longer_grams % size
                kinds = torch.bincount(torch.searchsorted(grams, suffixes), minlength=len(grams))
                if across_lines:
                    counts = kinds.clamp(min=1)  # the n-gram at the start of the text has nothing before it
                else:
                    starts_line = (contexts % size == 0)[grams // size] & (k > 0)
                    counts = torch.where(starts_line, counts, kinds)
            self._fill(self.levels[k], contexts, grams, counts)

    def _occurrences(
        self, tokens: Tensor, weights: Tensor | None, across_lines: bool
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Count each n-gram, level by level: the contexts (U,), the n-grams (E,) and their numbers of occurrences (E,).

        An n-gram is context * V + character, with the index of its context.
        """
        size = self.vocabulary_size
        places = torch.arange(len(tokens))
        ends = torch.where(tokens == 0, places, -1)
        line_starts = F.pad(ends, (1, 0), value=-1)[:-1].cummax(0).values  # the boundary before each target's line
        if across_lines:
            line_starts.fill_(-1)
        reach = places - line_starts  # the length of each target's longest context, the boundary included
        padded = F.pad(tokens, (1, 0))  # the boundary before the first line
        indices = torch.zeros_like(places)  # of each target's context in the current level
        counted = []
        for k in range(len(self.levels)):
            targets = places[reach >= k]
            contexts = torch.zeros(1, dtype=torch.int64)
            if k > 0:
                keys = indices[targets] * size + padded[targets + 1 - k]
                contexts, indices[targets] = torch.unique(keys, return_inverse=True)
            keys = indices[targets] * size + tokens[targets]
            if weights is None:
                grams, counts = torch.unique(keys, return_counts=True)
            else:
                grams, numbers = torch.unique(keys, return_inverse=True)
                counts = torch.zeros_like(grams).index_add_(0, numbers, weights[targets])
            counted.append((contexts, grams, counts))
            report("counting n-grams", k + 1, len(self.levels))
        return counted

    def _fill(self, level: nn.Module, contexts: Tensor, grams: Tensor, counts: Tensor) -> None:
        """Turn the counts of a level into shares and backoffs, on the device and in the dtype of the model."""
        assert isinstance(level, Level)
        size, owner = self.vocabulary_size, grams // self.vocabulary_size  # (E,): the context of each n-gram
        discounts = counts.new_tensor([0.0, *_discounts(counts)], dtype=torch.float64)[counts.clamp(max=3)]
        zeros = torch.zeros(len(contexts), dtype=torch.float64)
        totals = zeros.index_add(0, owner, counts.double())
        starts = F.pad(torch.bincount(owner, minlength=len(contexts)).cumsum(0), (1, 0))
        level.contexts, level.starts = contexts.to(level.contexts), starts.to(level.starts)
        level.characters = (grams % size).to(level.characters)
        level.shares = ((counts - discounts) / totals[owner]).to(level.shares)
        level.backoffs = (zeros.index_add(0, owner, discounts) / totals).to(level.backoffs)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: log-probabilities, (B, T) -> (B, T, V)."""
        width = self.config.receptive_field
        histories = last_positions(F.pad(tokens, (width - 1, 0)).unfold(1, width, 1), logits_to_keep)  # (B, T, W)
        log_p = self.plain_log_p if needs_plain() else self.log_p
        return log_p(histories.reshape(-1, width)).view(*histories.shape[:2], -1)

    @torch.no_grad()
    def log_p(self, histories: Tensor) -> Tensor:
        """Predict the next token after each history, the latest character last: (M, W) -> (M, V).

        Unless lines were counted as one text, nothing before a boundary is used.
        """
        p = self._uniform(histories)
        rows = torch.arange(len(histories), device=histories.device)  # the histories whose context is known
        indices = torch.zeros_like(rows)  # of these contexts in the current level
        for k, level in enumerate(self.levels):
            assert isinstance(level, Level)
            if len(level.contexts) == 0:
                break
            if k > 0:
                keys = indices * self.vocabulary_size + histories[rows, -k]
                indices = torch.searchsorted(level.contexts, keys).clamp(max=len(level.contexts) - 1)
                known = level.contexts[indices] == keys
                rows, indices = rows[known], indices[known]
            p[rows] *= level.backoffs[indices, None]
            first, last = level.starts[indices], level.starts[indices + 1]
            counts = last - first
            repeated = torch.repeat_interleave(rows, counts)
            offsets = torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts)
            grams = torch.arange(len(repeated), device=p.device) + offsets
            p[repeated, level.characters[grams]] += level.shares[grams]  # no pair of indices occurs twice
            if k > 0:
                continues = (histories[rows, -k] != 0) | self.across_lines
                rows, indices = rows[continues], indices[continues]
        return p.log()

    @torch.no_grad()
    def plain_log_p(self, histories: Tensor) -> Tensor:
        """Do the same as `log_p` with shapes that do not depend on the counts, for torch.export: (M, W) -> (M, V)."""
        size, p = self.vocabulary_size, self._uniform(histories)
        characters, indices = torch.arange(size, device=p.device), torch.zeros_like(histories[:, 0])
        known = torch.ones_like(indices, dtype=torch.bool)
        for k, level in enumerate(self.levels):
            assert isinstance(level, Level)
            if level.contexts.shape[0] == 0:
                break
            if k > 0:
                keys = indices * size + histories[:, -k]
                indices = torch.searchsorted(level.contexts, keys).clamp(max=level.contexts.shape[0] - 1)
                known = known & (level.contexts[indices] == keys)
            owners = torch.searchsorted(
                level.starts, torch.arange(level.characters.shape[0], device=p.device), right=True
            )
            grams = (owners - 1) * size + level.characters  # (E,), sorted
            wanted = indices[:, None] * size + characters  # (M, V)
            places = torch.searchsorted(grams, wanted).clamp(max=level.characters.shape[0] - 1)
            shares = torch.where(grams[places] == wanted, level.shares[places], 0.0)
            p = torch.where(known[:, None], p * level.backoffs[indices, None] + shares, p)
            if k > 0:
                known = known & ((histories[:, -k] != 0) | self.across_lines)
        return p.log()

    def _uniform(self, histories: Tensor) -> Tensor:
        """Return equal probabilities of all characters: (M, W) -> (M, V)."""
        shares = self.levels[0].get_buffer("shares")
        return shares.new_full((histories.shape[0], self.vocabulary_size), 1 / self.vocabulary_size)

    def parameter_count(self) -> int:
        """Count the stored numbers: a share of each n-gram, and a backoff of each context."""
        return sum(len(value) for name, value in self.named_buffers() if name.endswith(("shares", "backoffs")))

    def _repr_html_(self) -> str:
        levels = [level for level in self.levels if isinstance(level, Level)]
        sizes = [(k, len(level.contexts), len(level.shares)) for k, level in enumerate(levels)]
        rows = [[text(f"{size:,}") for size in row] for row in sizes]
        size = f"{sum(len(level.shares) for level in levels):,} counted n-grams"
        return model_html(self, self.config, size, table(["context length", "contexts", "n-grams"], rows, left=()))


def _are_ids(values: Tensor, limit: int) -> bool:
    return not len(values) or bool(values.min() >= 0 and values.max() < limit)


def _increase(values: Tensor, limit: int) -> bool:
    """Whether integers grow from one to the next, from at least 0 to below the limit."""
    return _are_ids(values, limit) and bool((values[1:] > values[:-1]).all())


def _discounts(counts: Tensor) -> tuple[float, float, float]:
    """Estimate the discounts of counts of 1, 2, and 3 or more, from how many counts are 1, 2, 3 and 4."""
    ones, twos, threes, fours = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (ones and twos and threes):
        return DEFAULT_DISCOUNTS
    y = ones / (ones + 2 * twos)
    discounts = (1 - 2 * y * twos / ones, 2 - 3 * y * threes / twos, 3 - 4 * y * fours / threes)
    in_range = all(0 < discount < count for count, discount in enumerate(discounts, start=1))
    return discounts if in_range else DEFAULT_DISCOUNTS
