"""The studies of which lines are shown, and of lines that are like examples."""

from functools import partial

import numpy as np
import pytest

from benchmarks.keepers import FILTERS, KEPT, RULES, Judge, Pool, products
from benchmarks.like import METHODS, World, made_languages
from wavemore.engine.line_source import Sample
from wavemore.engine.ranked import keepers, keepers_pool


@pytest.fixture(scope="module")
def pool() -> Pool:
    """80 words with made-up losses."""
    rng = np.random.default_rng(0)
    texts = sorted({"".join(rng.choice(list("abcdeio"), size=rng.integers(2, 6))) for _ in range(200)})
    nats = rng.uniform(1, 3, size=keepers_pool(KEPT))
    return Pool([str(text) for text in rng.permutation(texts)[: len(nats)]], nats, np.linspace(1, 3, 101).tolist())


def test_the_rule_of_the_study_is_that_of_sample(pool: Pool) -> None:
    group = np.arange(len(pool.texts))
    nats = (pool.nats * [len(text) + 1 for text in pool.texts]).tolist()
    samples = [Sample(text, total, new=True) for text, total in zip(pool.texts, nats, strict=True)]
    found = {pool.texts[number] for number in RULES["best by quotas"](pool, group)}
    assert found == {sample.text for sample in keepers(samples, KEPT)}


@pytest.mark.parametrize("rule", RULES)
def test_rules_choose_among_the_group(pool: Pool, rule: str) -> None:
    group = np.arange(40, 80)
    chosen = RULES[rule](pool, group).tolist()
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(group.tolist())
    assert len(chosen) == (40 if rule == "first" else KEPT) or rule in FILTERS


def test_real_items_are_as_varied_as_themselves() -> None:
    items = np.random.default_rng(1).permutation(products())[:900].tolist()
    judge = Judge(items[:300], items[300:])
    figures = judge.figures(judge.own, judge.own_groups)
    assert [figures[key] for key in ("apart", "begin", "end", "length")] == pytest.approx([1.0] * 4)
    assert figures["plausible"] == pytest.approx(0.95, abs=0.02)
    shuffled = Pool(["".join(sorted(item)) for item in items[:40]], np.zeros(40), ())
    assert judge.figures(judge.read(shuffled), np.arange(40).reshape(2, 20))["plausible"] < 0.1


@pytest.mark.slow
def test_every_method_makes_lines_of_the_kind_of_the_examples() -> None:
    kinds = {name: words[:200] for name, words in list(made_languages().items())[:2]}
    world = World("two languages", kinds, None)
    found = {name: world.measure(partial(make, world), 5, (0,)) for name, make in METHODS.items()}
    assert all(figures["lines"] == 50 for figures in found.values())
    assert found["chosen"]["near"] == 0
    assert max(found, key=lambda name: float(str(found[name]["fits"]))) == "chosen"
