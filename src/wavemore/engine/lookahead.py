"""Lookahead for wishes: how likely a line that has begun still meets them, by an n-gram of what the model predicts.

A model that draws one character at a time cannot know whether the line will end as wished. Here each of its
probabilities is multiplied by h, that of meeting the wishes from there on, as a small n-gram and the automaton of the
wishes give it (related: twisted particle filters, https://arxiv.org/abs/1501.07880, and GeLaTo,
https://arxiv.org/abs/2304.07438):

    q(x | line) = p(x | line) h(line, x) / Z(line),    Z(line) = sum over x of p(x | line) h(line, x)

All lines that are drawn from q meet the wishes. They are as likely as the model finds them after each has been accepted
in proportion to its weight, the product of Z / h over its characters, which is 1 wherever the n-gram is right.

Shapes: D beginnings, C contexts of the n-gram, S states of the automaton, V vocabulary, R contexts without the oldest
character.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from wavemore.errors import UsageError
from wavemore.text.automaton import Automaton

MAX_CONTEXTS = 20_000
"""Contexts of the n-gram."""
MAX_VALUES = 4_000_000
"""Numbers of all tables together, of 8 bytes each."""
MAX_PRODUCTS = 2_000_000_000
"""Multiplications for the tables, about a second."""
BACK_OFF = 0.5
"""Visits of a context that count as much as the shorter context does."""
MOST_END = 0.99
"""The largest probability of the end that the n-gram gives, so that a longer line is never impossible."""
UNIFORM = 1e-4
"""The probability that is spread over all characters, so that none is impossible."""


class NextCounts:
    """Sums of what a model predicts after each context of `k` characters, and how often lines end at each length."""

    def __init__(self, k: int, vocabulary_size: int, max_length: int) -> None:
        self.k, self.vocabulary_size = k, vocabulary_size
        self.sums = torch.zeros(vocabulary_size**k, vocabulary_size, dtype=torch.float64)  # (C, V)
        self.visits = torch.zeros(max_length + 1, len(self.sums), dtype=torch.float64)  # lines at each length
        self.ends = torch.zeros(max_length + 1, dtype=torch.float64)  # of these, as predicted

    def extend(self, contexts: Tensor, ids: Tensor) -> Tensor:
        """Return the contexts after one more character, (D,)."""
        return (contexts * self.vocabulary_size + ids) % len(self.sums)

    def add(self, position: int, contexts: Tensor, p: Tensor, lines: Tensor) -> None:
        """Add predictions (D, V) for contexts (D,) that so many lines have at this length."""
        p = p.double() * lines[:, None]
        self.sums.index_add_(0, contexts, p)
        self.visits[position].index_add_(0, contexts, lines.double())
        self.ends[position] += p[:, 0].sum()

    def probabilities(self) -> Tensor:
        """Return the n-gram: (C, V), with shorter contexts where one was rarely met."""
        levels = [self.sums]
        for _ in range(self.k):
            levels.append(levels[-1].view(self.vocabulary_size, -1, self.vocabulary_size).sum(dim=0))
        p = torch.full((1, self.vocabulary_size), 1 / self.vocabulary_size, dtype=torch.float64)
        for sums in reversed(levels):
            shorter = p.repeat(len(sums) // len(p), 1)
            p = (sums + BACK_OFF * shorter) / (sums.sum(dim=1, keepdim=True) + BACK_OFF)
        return (1 - UNIFORM) * p + UNIFORM / self.vocabulary_size

    def end_ratios(self, p: Tensor) -> Tensor:
        """Return how much more often lines end at each length than the n-gram (C, V) says: (T,)."""
        return (self.ends + 1) / (self.visits @ p[:, 0] + 1)


def context_length(automaton: Automaton, vocabulary_size: int, max_length: int) -> int:
    """Return the longest context whose tables are not too large. Raises `UsageError` if even none is too large."""
    for k in range(min(max_length, MAX_CONTEXTS.bit_length()), -1, -1):
        contexts = vocabulary_size**k
        values = contexts * max(len(automaton.next) * (max_length + 1), vocabulary_size)
        if contexts <= MAX_CONTEXTS and values <= MAX_VALUES and values * vocabulary_size <= MAX_PRODUCTS:
            return k
    raise UsageError(
        f"the wishes for lines of up to {max_length:,} characters need too much memory: lower `max_length`, or make "
        "the wishes simpler"
    )


class Lookahead:
    """The probability of meeting the wishes, h, after each number of characters: tables (S + 1, C), the last row 0."""

    def __init__(self, automaton: Automaton, counts: NextCounts, min_length: int, max_length: int) -> None:
        self.counts = counts
        self.following = torch.from_numpy(automaton.by_id).clone()  # (S, V)
        self.following[self.following < 0] = len(self.following)
        self.accepting = torch.from_numpy(automaton.accepting)
        self.min_length = min_length
        p = counts.probabilities()
        states, size = self.following.shape
        oldest, middle = (size, size ** (counts.k - 1)) if counts.k else (1, 1)
        characters, ratios = p.view(oldest, middle, size), counts.end_ratios(p)  # (oldest, R, V), (T,)
        h = torch.zeros(states + 1, len(counts.sums), dtype=torch.float64)
        self.tables = [h]
        for position in range(max_length, -1, -1):
            end = (ratios[position] * p[:, 0]).clamp(max=MOST_END)  # (C,)
            after = self._gather(self.tables[-1], middle)  # (S, R, V)
            h = torch.zeros_like(self.tables[0])
            h[:-1] = torch.einsum("orv,srv->sor", characters, after).reshape(states, -1) * (1 - end) / (1 - p[:, 0])
            if position >= min_length:
                h[:-1][self.accepting] += end
            self.tables.append(h)
        self.tables.reverse()  # by position; the last, after `max_length` + 1 characters, is 0

    def _gather(self, table: Tensor, middle: int) -> Tensor:
        """Return h after each character that may follow: (S + 1, C) -> (S, R, V)."""
        states, size = self.following.shape
        width = size if self.counts.k else 1
        h = table.view(states + 1, middle, width).expand(-1, -1, size)
        return h.gather(0, self.following[:, None, :].expand(-1, middle, -1))

    def after(self, position: int, contexts: Tensor, states: Tensor) -> Tensor:
        """Return h after each next character, the end of the line included: (D,), (D,) -> (D, V)."""
        table, size = self.tables[position + 1], self.counts.vocabulary_size
        following = self.counts.extend(contexts[:, None], torch.arange(size))  # (D, V)
        h = table.flatten()[self.following[states] * table.shape[1] + following]
        h[:, 0] = self.accepting[states] if position >= self.min_length else 0.0
        return h


class Steering:
    """The beginnings of a batch on their way through the lookahead, and the weight of each."""

    def __init__(self, lookahead: Lookahead, beginnings: int) -> None:
        self.lookahead, self.position = lookahead, 0
        self.contexts = self.states = torch.zeros(beginnings, dtype=torch.int64)
        start = lookahead.tables[0][0, 0].log()
        self.log_weights = -start.repeat(beginnings)  # (D,)
        self.h = self.log_z = self.log_weights[:, None]  # of the step, (D, V) and (D,)

    def steer(self, predict: Callable[[Tensor], Tensor]) -> Tensor:
        """Return q for the next character, times Z: (D, V); `predict` gives p of those that a mask (D, V) leaves.

        A beginning whose p is 0 for all of these ends, with a weight of 0.
        """
        self.h = self.lookahead.after(self.position, self.contexts, self.states)
        q = predict(self.h > 0).double() * self.h
        z = q.sum(dim=1)
        self.log_z = z.log()
        q[z == 0, 0] = 1.0
        return q

    def extend(self, rows: Tensor, ids: Tensor) -> None:
        """Continue with the beginnings in `rows`, (D,), each with one more character."""
        self.log_weights = self.log_weights[rows] + self.log_z[rows] - self.h[rows, ids].log()
        self.states = self.lookahead.following[self.states[rows], ids]
        self.contexts = self.lookahead.counts.extend(self.contexts[rows], ids)
        self.position += 1

    def log_weights_at_end(self, rows: Tensor) -> Tensor:
        """Return the logs of the weights of lines that end now, from their beginnings `rows`."""
        return self.log_weights[rows] + self.log_z[rows]
