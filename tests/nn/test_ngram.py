"""The smoothed probabilities, against the formulas of the paper computed one by one."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from wavemore.nn.ngram import DEFAULT_DISCOUNTS, Ngram, NgramConfig

WORDS = ["abracadabra", "abacus", "barbara", "cab", "drab", "a", "scar", "crab", "arc", "scab", "brass", "cascade"] * 2
CHARACTERS = sorted(set("".join(WORDS)))
V = len(CHARACTERS) + 1


def ids_of(word: str) -> list[int]:
    return [CHARACTERS.index(character) + 1 for character in word]


def tokens_of(words: list[str]) -> torch.Tensor:
    return torch.tensor([number for word in words for number in [*ids_of(word), 0]])


class Reference:
    """Interpolated modified Kneser-Ney by dictionaries, one probability at a time."""

    def __init__(self, words: list[str], order: int) -> None:
        occurrences: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        for word in words:
            line = [0, *ids_of(word), 0]
            for place in range(1, len(line)):
                for k in range(min(order, place + 1)):
                    occurrences[k][tuple(line[place - k : place + 1])] += 1
        self.counts = []
        for k in range(order):
            if k == order - 1:
                self.counts.append(dict(occurrences[k]))
                continue
            before = Counter(gram[1:] for gram in occurrences[k + 1])
            self.counts.append(
                {gram: count if k > 0 and gram[0] == 0 else before[gram] for gram, count in occurrences[k].items()}
            )

    def discounts(self, k: int) -> tuple[float, ...]:
        n1, n2, n3, n4 = (sum(count == times for count in self.counts[k].values()) for times in (1, 2, 3, 4))
        if not (n1 and n2 and n3):
            return DEFAULT_DISCOUNTS
        y = n1 / (n1 + 2 * n2)
        discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return discounts if all(0 < d < i + 1 for i, d in enumerate(discounts)) else DEFAULT_DISCOUNTS

    def p(self, context: tuple[int, ...], character: int) -> float:
        lower = self.p(context[1:], character) if context else 1 / V
        k = len(context)
        followers = {gram[-1]: count for gram, count in self.counts[k].items() if gram[:-1] == context}
        if not followers:
            return lower
        d = self.discounts(k)
        discounts = {w: d[min(count, 3) - 1] for w, count in followers.items()}
        total = sum(followers.values())
        share = followers.get(character, 0) - discounts.get(character, 0)
        return share / total + sum(discounts.values()) / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formulas(order: int) -> None:
    model, reference = Ngram(V, NgramConfig(order=order)), Reference(WORDS, order)
    model.count(tokens_of(WORDS))
    for word in ("abra", "cccc", "scad", ""):
        line = [0, *ids_of(word)]
        p = model(torch.tensor([line])).exp()[0]
        for place in range(len(line)):
            context = tuple(line[max(0, place + 2 - order) : place + 1]) if order > 1 else ()
            expected = [reference.p(context, character) for character in range(V)]
            torch.testing.assert_close(p[place], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("order", [1, 2, 4, 9])
@pytest.mark.parametrize("words", [WORDS, ["a"], ["ab", "ab"], [""], ["aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]])
def test_probabilities_sum_to_one_and_none_is_zero(order: int, words: list[str]) -> None:
    model = Ngram(V, NgramConfig(order=order))
    model.count(tokens_of(words))
    p = model(torch.randint(V, (20, 12))).exp()
    torch.testing.assert_close(p.sum(2), torch.ones(20, 12, dtype=torch.float64), rtol=0, atol=1e-12)
    assert p.min() > 0


def test_before_counting_all_characters_are_equally_likely() -> None:
    p = Ngram(V, NgramConfig())(torch.tensor([[0, 1, 2]])).exp()
    torch.testing.assert_close(p, torch.full((1, 3, V), 1 / V, dtype=torch.float64))


def test_counting_again_replaces_the_counts() -> None:
    once, twice = Ngram(V, NgramConfig(order=3)), Ngram(V, NgramConfig(order=3))
    once.count(tokens_of(WORDS))
    twice.count(tokens_of(["sss"]))
    twice.count(tokens_of(WORDS))
    for (name, one), (_, other) in zip(once.named_buffers(), twice.named_buffers(), strict=True):
        assert torch.equal(one, other), name


def test_longer_contexts_predict_the_counted_text_better() -> None:
    line = torch.tensor([[0, *ids_of("abracadabra")]])
    nats = []
    for order in (1, 2, 3, 4):
        model = Ngram(V, NgramConfig(order=order))
        model.count(tokens_of(WORDS))
        log_p = model(line[:, :-1])[0]
        nats.append(float(-log_p.gather(1, line[0, 1:, None]).mean()))
    assert all(before > after for before, after in pairwise(nats))
