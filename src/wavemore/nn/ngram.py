"""Counts of n-grams, smoothed: what was the best language model for decades, and needs no training.

Interpolated modified Kneser-Ney: Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling",
https://doi.org/10.1006/csla.1999.0128; after Kneser and Ney, https://doi.org/10.1109/ICASSP.1995.479394. The
probability of a character w after a context c of k characters is

    p(w | c) = (a(c w) - D(a(c w))) / a(c) + backoff(c) p(w | c without its oldest character)

where a(c w) is how often c w occurs (for the longest contexts, and those that begin a line) or else the number of
different characters that stand before it; D are discounts for counts of 1, 2 and more; backoff(c) is what the discounts
have taken from c; and below the empty context all characters are equally likely.

Shapes: N targets, M positions, V vocabulary, U contexts of a level, E n-grams of a level.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.config import NgramConfig
from wavemore.nn.model import LineModel, Stream

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where a text is too small or too regular to tell them, as in Heafield's KenLM."""


class Level(nn.Module):
    """The contexts of one length, in order of their keys, and what follows each.

    A context's key is the number, one level below, of itself without its oldest character, times V, plus that
    character. `characters` and `shares` of context u are those from `starts[u]` to `starts[u + 1]`.
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
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))  # (E,) discounted, by all of the context
        self.register_buffer("backoffs", torch.zeros(0, dtype=torch.float64))  # (U,)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, value in self.named_buffers():  # as many as were counted
            if prefix + name in state_dict:
                setattr(self, name, value.new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Ngram(LineModel):
    """Predict from how often characters have followed the last ones: counted by `count`, not trained.

    Before anything was counted, all characters are equally likely.

    >>> model = Ngram(3, NgramConfig(n=2))
    >>> model.count(torch.tensor([1, 2, 1, 2, 0]))
    >>> model.logits_at_every(torch.tensor([[0, 1]])).exp().argmax(dim=2).tolist()
    [[1, 2]]
    """

    across_lines: Tensor

    def __init__(self, vocabulary_size: int, config: NgramConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: NgramConfig = config
        self.levels = nn.ModuleList(Level() for _ in range(config.n))  # contexts of 0, 1, ..., n - 1 characters
        self.register_buffer("across_lines", torch.tensor(False))

    @torch.no_grad()
    def count(self, tokens: Tensor, *, across_lines: bool = False) -> None:
        """Count flat ids of lines, each ended by a boundary: (N,); what was counted before is forgotten.

        With `across_lines` they are one text, in which a context goes on beyond a boundary.
        """
        self.across_lines.fill_(across_lines)
        size, device = self.vocabulary_size, tokens.device
        places = torch.arange(len(tokens), device=device)
        ended = torch.where(tokens == 0, places, -1)
        before = F.pad(ended, (1, 0), value=-1)[:-1].cummax(0).values  # the end of the line before
        if across_lines:
            before.fill_(-1)
        reach = places - before  # characters before each target in its line, and the boundary
        padded = F.pad(tokens, (1, 0))  # the boundary before the first line
        numbers = torch.zeros_like(places)  # of the context of each target, in its level
        counted: list[tuple[Tensor, Tensor, Tensor]] = []  # contexts (U,), n-grams (E,) as numbers, counts (E,)
        for k in range(len(self.levels)):
            alive = places[reach >= k]
            contexts = torch.zeros(1, dtype=torch.int64, device=device)
            if k > 0:
                keys = numbers[alive] * size + padded[alive + 1 - k]
                contexts, numbers[alive] = torch.unique(keys, return_inverse=True)
            grams, counts = torch.unique(numbers[alive] * size + tokens[alive], return_counts=True)
            counted.append((contexts, grams, counts))
        for k, (contexts, grams, counts) in enumerate(counted):
            if k + 1 < len(counted):
                longer, longer_grams, _ = counted[k + 1]
                same = longer[longer_grams // size] // size * size + longer_grams % size  # without the oldest character
                kinds = torch.bincount(torch.searchsorted(grams, same), minlength=len(grams))
                if across_lines:
                    counts = kinds.clamp(min=1)  # before the text stands nothing: one kind too
                else:
                    begins = (contexts % size == 0)[grams // size] & (k > 0)  # nothing stands before the beginning
                    counts = torch.where(begins, counts, kinds)
            self._fill(self.levels[k], contexts, grams, counts)

    def _fill(self, level: nn.Module, contexts: Tensor, grams: Tensor, counts: Tensor) -> None:
        """Turn the counts of a level into shares and backoffs."""
        size, owner = self.vocabulary_size, grams // self.vocabulary_size  # (E,)
        discounts = counts.new_tensor([0.0, *_discounts(counts)], dtype=torch.float64)[counts.clamp(max=3)]
        like = torch.zeros(len(contexts), dtype=torch.float64, device=counts.device)
        totals = like.index_add(0, owner, counts.double())
        level.contexts = contexts
        level.starts = F.pad(torch.bincount(owner, minlength=len(contexts)).cumsum(0), (1, 0))
        level.characters = grams % size
        level.shares = (counts - discounts) / totals[owner]
        level.backoffs = like.index_add(0, owner, discounts) / totals

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> log-probabilities (B, T, V)."""
        width = max(1, len(self.levels) - 1)
        histories = F.pad(tokens, (width - 1, 0)).unfold(1, width, 1)  # (B, T, W)
        return self.log_p(histories.reshape(-1, width)).view(*tokens.shape, -1)

    @torch.no_grad()
    def log_p(self, histories: Tensor) -> Tensor:
        """Predict what follows: (M, W) the newest last -> (M, V); of lines, none is seen beyond its beginning."""
        p = torch.full((len(histories), self.vocabulary_size), 1 / self.vocabulary_size, dtype=torch.float64)
        p = p.to(histories.device)
        rows = torch.arange(len(histories), device=histories.device)  # those whose context is known
        numbers = torch.zeros_like(rows)  # of their contexts
        for k, level in enumerate(self.levels):
            assert isinstance(level, Level)
            if len(level.contexts) == 0:
                break
            if k > 0:
                keys = numbers * self.vocabulary_size + histories[rows, -k]
                numbers = torch.searchsorted(level.contexts, keys).clamp(max=len(level.contexts) - 1)
                known = level.contexts[numbers] == keys
                rows, numbers = rows[known], numbers[known]
            p[rows] *= level.backoffs[numbers, None]
            first, last = level.starts[numbers], level.starts[numbers + 1]
            counts = last - first
            into = torch.repeat_interleave(rows, counts)
            skipped = torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts)
            grams = torch.arange(len(into), device=p.device) + skipped
            p[into, level.characters[grams]] += level.shares[grams]  # no pair twice
            if k > 0:
                goes_on = (histories[rows, -k] != 0) | self.across_lines
                rows, numbers = rows[goes_on], numbers[goes_on]
        return p.log()

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""
        return NgramStream(self, lines)

    def parameter_count(self) -> int:
        """Count the numbers that were found: a share of each n-gram, and a backoff of each context."""
        return sum(len(value) for name, value in self.named_buffers() if name.endswith(("shares", "backoffs")))


class NgramStream:
    """The last n - 1 characters are kept."""

    def __init__(self, model: Ngram, lines: int) -> None:
        self.model = model
        width = max(1, len(model.levels) - 1)
        self.last = torch.zeros(lines, width, dtype=torch.int64, device=model.device)  # (B, n - 1)
        self.logits = model.log_p(self.last)

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        self.last = torch.cat([self.last[:, 1:], tokens[:, None]], dim=1)
        self.logits = self.model.log_p(self.last)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self.last, self.logits = self.last.index_select(0, rows), self.logits.index_select(0, rows)


def _discounts(counts: Tensor) -> tuple[float, float, float]:
    """What is taken from counts of 1, 2, and 3 or more, from how many counts are 1, 2, 3 and 4."""
    ones, twos, threes, fours = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (ones and twos and threes):
        return FALLBACK
    y = ones / (ones + 2 * twos)
    found = (1 - 2 * y * twos / ones, 2 - 3 * y * threes / twos, 3 - 4 * y * fours / threes)
    return found if all(0 < discount < times for times, discount in enumerate(found, start=1)) else FALLBACK
