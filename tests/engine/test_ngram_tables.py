import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavemore.engine.ngram_tables import NgramTables
from wavemore.errors import UsageError
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.datasets import load_corpus
from wavemore.text.parts import windows
from wavemore.text.vocabulary import BOUNDARY

fuses = st.sampled_from([(1,), (2,), (3,), (8,), (2, 2), (2, 2, 2), (4, 2), (2, 3), (3, 1, 2), (2, 2, 2, 2)])
flat_tokens = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda ids: np.array(ids, np.uint8))


def expanded(plan: UniquePlan) -> NDArray[np.int64]:
    """Return the contexts of a plan, (B, T): every row replaced by its children, down to the leaves."""
    rows = plan.inverse[:, None]
    for children in plan.children[::-1]:
        rows = children.T[rows].flatten(1)
    contexts: NDArray[np.int64] = plan.leaves[rows].numpy()
    return contexts


def check(plan: UniquePlan, contexts: NDArray[Any], fuse: tuple[int, ...]) -> None:
    assert expanded(plan).tolist() == contexts.tolist()
    rows = plan.leaves.numpy()[:, None]  # (U_l, span): the ids of each row
    for level, n in enumerate((*fuse, 1)):
        if level > 0:
            rows = rows[plan.children[level - 1].T.numpy()].reshape(len(plan.counts[level]), -1)
        ends = np.cumsum(plan.parts[level] if level < len(fuse) else [len(rows)])
        assert ends[-1] == len(rows)
        for child, part in enumerate(np.split(np.arange(len(rows)), ends[:-1])):
            spans = contexts.reshape(len(contexts), -1, n, rows.shape[1])[:, :, child].reshape(-1, rows.shape[1])
            grams, counts = np.unique(spans, axis=0, return_counts=True)
            order = part[np.lexsort(rows[part].T[::-1])]
            assert rows[order].tolist() == grams.tolist()  # as each child, each distinct n-gram once, and no other
            assert plan.counts[level][order].tolist() == counts.tolist()
            if level < len(fuse):
                assert np.isin(plan.children[level][child], part).all()
    assert {tensor.dtype for tensor in (plan.leaves, plan.inverse, *plan.children)} == {torch.int64}
    assert {counts.dtype for counts in plan.counts} == {torch.float32}


@given(flat_tokens, fuses, st.data())
def test_a_plan_holds_the_distinct_ngrams_of_its_windows(
    tokens: NDArray[np.uint8], fuse: tuple[int, ...], data: st.DataObject
) -> None:
    tables = NgramTables(tokens, fuse)
    everywhere = np.arange(len(tokens))
    some = np.array(data.draw(st.lists(st.integers(0, len(tokens) - 1), min_size=1)))
    for positions in (everywhere, some, everywhere):  # again, as a batch leaves its work arrays filled
        contexts = windows(tokens, positions, tables.context)
        check(tables.batch(positions), contexts, fuse)
        check(NgramTables.of_windows(contexts, fuse).batch(np.arange(len(positions))), contexts, fuse)


@given(flat_tokens, fuses)
def test_tables_number_the_ngrams_of_all_targets(tokens: NDArray[np.uint8], fuse: tuple[int, ...]) -> None:
    tables = NgramTables(tokens, fuse)
    contexts = windows(tokens, np.arange(len(tokens)), tables.context)
    assert tables.rows[-1] == len(np.unique(contexts, axis=0)) == len(tables.children[-1])
    assert tables.top.dtype == np.int32
    rows = tables.top[:, None]
    for children in tables.children[::-1]:
        assert children.dtype == np.int32
        rows = children[rows].reshape(len(rows), -1)
    assert rows.tolist() == contexts.tolist()


@pytest.mark.parametrize("fuse", [(8,), (16,), (4, 4)])
def test_keys_do_not_overflow_with_large_vocabularies(fuse: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 1_000_000, 3_000).astype(np.uint32)  # 1e6 ** 16 is far beyond 64 bits
    tokens[rng.integers(0, len(tokens), 300)] = BOUNDARY
    tokens[1000:2000] = tokens[:1000]
    positions = np.arange(len(tokens))
    contexts = windows(tokens, positions, math.prod(fuse))
    check(NgramTables(tokens, fuse).batch(positions), contexts, fuse)
    check(NgramTables.of_windows(contexts, fuse).batch(positions), contexts, fuse)


def test_a_batch_of_names_needs_far_fewer_rows_than_windows() -> None:
    corpus = load_corpus("names")
    tables = NgramTables(corpus.train.tokens, (2, 2, 2))
    positions = np.random.default_rng(0).integers(0, corpus.train.num_targets, 1024)
    plan = tables.batch(positions)
    contexts = windows(corpus.train.tokens, positions, 8)
    check(plan, contexts, (2, 2, 2))
    assert [int(counts.sum()) for counts in plan.counts] == [8192, 4096, 2048, 1024]
    bigrams, four_grams, eight_grams = (children.shape[1] for children in plan.children)
    assert bigrams < 600
    assert four_grams < 1_000
    assert eight_grams < 800


@pytest.mark.parametrize("fuse", [(), (0,), (2, -1)])
def test_an_impossible_fuse_is_refused(fuse: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"`fuse` is .*; it must be one or more sizes of at least 1"):
        NgramTables(np.array([1, 0], np.uint8), fuse)


def test_a_part_without_tokens_is_refused() -> None:
    with pytest.raises(UsageError, match="`tokens` is empty"):
        NgramTables(np.array([], np.uint8), (2,))


def test_a_batch_of_the_lectures_names_has_few_distinct_rows(shared_data: Path) -> None:
    """The numbers that docs/one-tree.md gives: about 460 + 810 + 680 rows instead of 4,096 + 2,048 + 1,024."""
    corpus = load_corpus(shared_data / "names.txt", split_method="lecture")
    tables = NgramTables(corpus.train.tokens, (2, 2, 2))
    random = np.random.default_rng(0)
    plans = [tables.batch(random.choice(corpus.train.num_targets, 1_024, replace=False)) for _ in range(20)]
    rows = np.mean([[children.shape[1] for children in plan.children] for plan in plans], axis=0)
    assert rows == pytest.approx([460, 810, 680], rel=0.05)


def test_a_plan_is_made_in_the_dtype_and_on_the_device_of_the_model() -> None:
    tables = NgramTables(np.array([1, 2, 1, 2, 0], np.uint8), (2, 2))
    plan = tables.batch(np.array([1, 4]), device="meta", dtype=torch.float64)
    assert {counts.dtype for counts in plan.counts} == {torch.float64}
    assert {tensor.device.type for tensor in (plan.leaves, *plan.children, *plan.counts, plan.inverse)} == {"meta"}
