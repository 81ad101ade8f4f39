"""The counts, against the formulae of the paper computed one by one; and what is never to be."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from wavemore.nn.config import NgramConfig
from wavemore.nn.ngram import FALLBACK, Ngram

TEXT = ["abracadabra", "abacus", "barbara", "cab", "drab", "a", "scar", "crab", "arc", "scab", "brass", "cascade"] * 2
CHARACTERS = sorted(set("".join(TEXT)))
V = len(CHARACTERS) + 1


def ids_of(word: str) -> list[int]:
    return [CHARACTERS.index(character) + 1 for character in word]


def tokens_of(words: list[str]) -> torch.Tensor:
    return torch.tensor([number for word in words for number in [*ids_of(word), 0]])


class Slow:
    """Interpolated modified Kneser-Ney by dictionaries, one probability at a time."""

    def __init__(self, words: list[str], n: int) -> None:
        self.n = n
        raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(n)]
        for word in words:
            line = [0, *ids_of(word), 0]
            for place in range(1, len(line)):
                for k in range(min(n, place + 1)):
                    raw[k][tuple(line[place - k : place + 1])] += 1
        self.counts = []
        for k in range(n):
            if k == n - 1:
                self.counts.append(dict(raw[k]))
                continue
            before = Counter(gram[1:] for gram in raw[k + 1])
            self.counts.append(
                {gram: count if k > 0 and gram[0] == 0 else before[gram] for gram, count in raw[k].items()}
            )

    def discounts(self, k: int) -> tuple[float, ...]:
        n1, n2, n3, n4 = (sum(count == times for count in self.counts[k].values()) for times in (1, 2, 3, 4))
        if not (n1 and n2 and n3):
            return FALLBACK
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 < d < i + 1 for i, d in enumerate(found)) else FALLBACK

    def p(self, context: tuple[int, ...], character: int) -> float:
        lower = self.p(context[1:], character) if context else 1 / V
        k = len(context)
        followers = {gram[-1]: count for gram, count in self.counts[k].items() if gram[:-1] == context}
        if not followers:
            return lower
        d = self.discounts(k)
        taken = {w: d[min(count, 3) - 1] for w, count in followers.items()}
        total = sum(followers.values())
        share = followers.get(character, 0) - taken.get(character, 0)
        return share / total + sum(taken.values()) / total * lower


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formulae(n: int) -> None:
    model, slow = Ngram(V, NgramConfig(n=n)), Slow(TEXT, n)
    model.count(tokens_of(TEXT))
    for word in ("abra", "cccc", "scad", ""):
        line = [0, *ids_of(word)]
        found = model.logits_at_every(torch.tensor([line])).exp()[0]
        for place in range(len(line)):
            context = tuple(line[max(0, place + 2 - n) : place + 1]) if n > 1 else ()
            expected = [slow.p(context, character) for character in range(V)]
            torch.testing.assert_close(found[place], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [1, 2, 4, 9])
@pytest.mark.parametrize("words", [TEXT, ["a"], ["ab", "ab"], [""], ["aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]])
def test_probabilities_sum_to_one_and_none_is_zero(n: int, words: list[str]) -> None:
    model = Ngram(V, NgramConfig(n=n))
    model.count(tokens_of(words))
    tokens = torch.randint(V, (20, 12))
    p = model.logits_at_every(tokens).exp()
    torch.testing.assert_close(p.sum(2), torch.ones(20, 12, dtype=torch.float64), rtol=0, atol=1e-12)
    assert p.min() > 0


def test_before_anything_is_counted_all_are_equally_likely() -> None:
    p = Ngram(V, NgramConfig()).logits_at_every(torch.tensor([[0, 1, 2]])).exp()
    torch.testing.assert_close(p, torch.full((1, 3, V), 1 / V, dtype=torch.float64))


def test_counting_again_forgets_what_was_counted() -> None:
    once, twice = Ngram(V, NgramConfig(n=3)), Ngram(V, NgramConfig(n=3))
    once.count(tokens_of(TEXT))
    twice.count(tokens_of(["zzz" if "z" in CHARACTERS else "sss"]))
    twice.count(tokens_of(TEXT))
    for (name, one), (_, other) in zip(once.named_buffers(), twice.named_buffers(), strict=True):
        assert torch.equal(one, other), name


def test_longer_contexts_know_the_text_better() -> None:
    tokens = tokens_of(TEXT)
    line = torch.tensor([[0, *ids_of("abracadabra")]])
    nats = []
    for n in (1, 2, 3, 4):
        model = Ngram(V, NgramConfig(n=n))
        model.count(tokens)
        log_p = model.logits_at_every(line[:, :-1])[0]
        nats.append(float(-log_p.gather(1, line[0, 1:, None]).mean()))
    assert all(before > after for before, after in pairwise(nats))
