"""How a model is run on the targets of a part: in windows, in whole lines, in blocks of a text."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from wavemore.engine import batchers
from wavemore.engine.batcher import nats_of
from wavemore.engine.batchers import (
    LineBatcher,
    WindowBatcher,
    evaluation_batcher,
    line_batcher,
    training_batcher,
)
from wavemore.engine.evaluate import token_nats
from wavemore.engine.recipe import Recipe
from wavemore.engine.text_batchers import BlockBatcher
from wavemore.nn.bigram import BigramConfig
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import TextPart

NAMES = list(MODELS)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "exact"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_both_executions_give_the_same_logits(
    corpus: LineCorpus, lively: Callable[..., Tree], training: bool, dtype: torch.dtype, exact: float
) -> None:
    model = lively(TreeConfig(fuse=(2, 3), embedding=4, hidden=8)).to(dtype).train(training)
    positions = np.random.default_rng(0).integers(corpus.train.num_targets, size=64)
    unique, windows = (
        WindowBatcher(corpus.train.tokens, model, execution).logits(positions) for execution in ("unique", "windows")
    )
    assert unique.shape == (64, len(corpus.vocabulary))
    torch.testing.assert_close(unique, windows, rtol=0, atol=exact)


def test_targets_are_the_characters_at_the_positions(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    positions = np.array([3, 0, 3, 1])
    targets = WindowBatcher(corpus.val.tokens, lively(), "windows").targets(positions)
    assert targets.dtype == torch.int64
    assert targets.tolist() == corpus.val.tokens[positions].tolist()


@pytest.mark.parametrize("execution", ["unique", "windows"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_chunks_of_windows_are_all_positions_once(
    corpus: LineCorpus, lively: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch, execution: Any, size: int
) -> None:
    monkeypatch.setattr(batchers, "CHUNK", size)
    chunks = list(WindowBatcher(corpus.train.tokens, lively(), execution).chunks())
    assert max(map(len, chunks)) <= size
    assert sorted(np.concatenate(chunks).tolist()) == list(range(corpus.train.num_targets))


@pytest.mark.parametrize("fuse", [(2,), (2, 2, 2), (3, 2)])
def test_a_large_part_is_run_without_tables_of_all_of_it(
    corpus: LineCorpus, lively: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch, fuse: tuple[int, ...]
) -> None:
    model, tokens = lively(TreeConfig(fuse=fuse, embedding=4, hidden=8)).double(), corpus.train.tokens
    whole = WindowBatcher(tokens, model, "unique")
    monkeypatch.setattr(batchers, "TABLE_TARGETS", 400)
    batcher = WindowBatcher(tokens, model, "unique")
    assert batcher.tables is None
    positions = np.random.default_rng(0).integers(len(tokens), size=64)
    torch.testing.assert_close(batcher.logits(positions), whole.logits(positions), rtol=0, atol=1e-12)
    monkeypatch.setattr(batchers, "CHUNK", 30)
    chunks = list(batcher.chunks())
    assert max(map(len, chunks)) <= 30
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(tokens)))
    np.testing.assert_allclose(token_nats(model, batcher), token_nats(model, whole), rtol=1e-9)
    torch.testing.assert_close(batcher.logits(positions), whole.logits(positions), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("length", "streams"), [(900, 1), (5_001, 3), (20_000, 8)])
def test_streams_of_a_text_predict_as_one_pass_does(
    name: str, length: int, streams: int, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = small_model(name, 7), tokens_of(length, 7)
    inputs, targets = np.append(0, tokens[:-1]), torch.from_numpy(tokens.astype(np.int64))
    with torch.inference_mode():
        one_pass = nats_of(model.eval()(torch.from_numpy(inputs)[None].long())[0], targets).numpy()
    monkeypatch.setattr("wavemore.engine.text_batchers.LEAD_IN", 200)
    monkeypatch.setattr("wavemore.engine.text_batchers.MAX_STREAMS", 8)
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", 1_000)
    batcher = evaluation_batcher(TextPart(tokens), model)
    pieces = list(batcher.chunks())
    assert sorted(np.concatenate(pieces).tolist()) == list(range(length))
    assert max(np.count_nonzero(np.diff(piece) != 1) for piece in pieces) == streams - 1
    np.testing.assert_allclose(token_nats(model, batcher), one_pass, atol=1e-5)
    work = [batcher.work(len(piece)) for piece in batcher.chunks()]
    assert sum(work) >= length  # every stream but the first reads 200 characters before its targets
    assert max(work) <= min(work[:-1], default=1_000) + streams  # though the first pieces have few targets


def test_equal_contexts_come_together(corpus: LineCorpus, lively: Callable[..., Tree]) -> None:
    batcher = WindowBatcher(corpus.train.tokens, lively(), "unique")
    [order] = batcher.chunks()
    contexts = batcher.plan(order).inverse
    changes = int((contexts[1:] != contexts[:-1]).sum())
    assert changes == len(set(contexts.tolist())) - 1 < len(order) - 1


@pytest.mark.parametrize("chunk", [1, 30, 10_000])
def test_the_chunks_of_lines_are_all_positions_once_in_whole_lines(
    corpus: LineCorpus, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", chunk)
    batcher = LineBatcher(corpus.train.tokens, build("bigram", len(corpus.vocabulary), BigramConfig(), seed=0))
    chunks = list(batcher.chunks())
    assert sorted(np.concatenate(chunks).tolist()) == list(range(corpus.train.num_targets))
    assert all(corpus.train.tokens[positions[-1]] == 0 for positions in chunks)
    if chunk == 30:
        assert max(map(len, chunks)) <= 30


@pytest.mark.parametrize("group", [1, 100, 10_000])  # the least number of targets of a group of similar lines
def test_the_logits_of_any_positions_are_those_of_their_lines(
    corpus: LineCorpus, lively: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(batchers, "MIN_GROUP", group)
    model = lively().eval()
    positions = np.random.default_rng(0).integers(corpus.train.num_targets, size=40)
    lines = LineBatcher(corpus.train.tokens, model).logits(positions)
    windows = WindowBatcher(corpus.train.tokens, model, "windows").logits(positions)
    torch.testing.assert_close(lines, windows, rtol=0, atol=1e-12)


def test_lines_that_share_their_beginnings_have_the_logits_of_padded_ones(
    corpus: LineCorpus, small_model: Callable[..., Model]
) -> None:
    model = small_model("lstm", len(corpus.vocabulary))
    batcher = LineBatcher(corpus.train.tokens, model)
    positions = np.random.default_rng(0).integers(corpus.train.num_targets, size=300)
    shared = batcher.logits(positions)
    model.register_forward_hook(lambda *_: None)  # so that it is called, with padded lines
    torch.testing.assert_close(shared, batcher.logits(positions), rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [40, 300, 10_000])
def test_an_evaluation_that_shares_beginnings_has_the_losses_of_whole_lines(
    corpus: LineCorpus, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", chunk)
    model, losses = small_model("lstm", len(corpus.vocabulary)), []
    for least in (1, 10_000):  # lines at once that share
        monkeypatch.setattr(batchers, "MIN_SHARING", least)
        losses.append(token_nats(model, evaluation_batcher(corpus.train, model)))
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-12)


def tokens_of(count: int, size: int) -> Any:
    return np.random.default_rng(0).integers(size, size=count).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("count", "block_size", "chunk"), [(1, 8, 64), (7, 8, 64), (100, 8, 64), (103, 1, 1), (64, 8, 99)]
)
def test_every_target_of_a_text_is_predicted_once_from_all_that_the_model_sees(
    name: str,
    count: int,
    block_size: int,
    chunk: int,
    small_model: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batchers, "MIN_EVALUATION_BLOCK", block_size)
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", chunk)
    model, tokens = small_model(name, 7), tokens_of(count, 7)
    batcher = evaluation_batcher(TextPart(tokens), model)
    assert np.sort(np.concatenate(list(batcher.chunks()))).tolist() == list(range(count))
    # The whole text in one pass, with nothing before its first character.
    before = torch.from_numpy(np.concatenate(([0], tokens[:-1]))).long()[None]
    with torch.no_grad():
        log_p = model(before)[0].log_softmax(dim=1)
    expected = -log_p[torch.arange(count), torch.from_numpy(tokens).long()]
    assert np.allclose(token_nats(model, batcher), expected.numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_block_sees_its_left_context(name: str, small_model: Callable[..., Model]) -> None:
    model, tokens = small_model(name, 7), tokens_of(200, 7)
    context = (model.context or 50) - 1
    positions = (np.array([[0], [90], [180]]) + np.arange(20)).ravel()

    def logits(left_context: int) -> torch.Tensor:
        with torch.no_grad():
            batcher = BlockBatcher(tokens, model, block_size=20, left_context=left_context)
            return batcher.logits(positions).reshape(3, 20, 7)

    whole, wider, none = logits(context), logits(context + 7), logits(0)
    if model.context is not None:
        assert torch.allclose(whole, wider, rtol=0, atol=1e-10)
        assert torch.allclose(none[:, context:], whole[:, context:], rtol=0, atol=1e-10)
    if context:
        assert not torch.allclose(none[1, 0], whole[1, 0])
        assert not torch.allclose(none[1, 0], wider[1, 0])


def test_boundaries_come_before_the_text(small_model: Callable[..., Model]) -> None:
    tokens, starts = np.array([5, 6, 7, 8], np.uint8), np.array([0, 2])
    batcher = BlockBatcher(tokens, small_model("bigram", 9), block_size=2, left_context=3)
    assert batcher.rows(starts, 2).tolist() == [[0, 0, 0, 0, 5], [0, 0, 5, 6, 7]]
    batcher = BlockBatcher(tokens, small_model("tree", 9), block_size=2, left_context=0)  # it sees four characters
    assert batcher.rows(starts, 2).tolist() == [[0, 0, 5], [0, 6, 7]]


@pytest.mark.parametrize(("name", "left_context"), [("tree", 3), ("mlp", 2), ("wavenet", 0), ("lstm", 0)])
def test_in_training_trees_see_the_text_before_a_block(
    name: str, left_context: int, small_model: Callable[..., Model]
) -> None:
    batcher = training_batcher(TextPart(tokens_of(200, 7)), small_model(name, 7), Recipe(block_size=20))
    assert isinstance(batcher, BlockBatcher)
    assert (batcher.block_size, batcher.left_context) == (20, left_context)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chunk", [60, 4_000])
def test_long_lines_are_run_in_pieces_with_the_same_losses(
    name: str, chunk: int, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(name, 7)
    lengths = [3, 1_500, 2, 700, 5, 0]
    lines = [np.append(tokens_of(length, 7) % 6 + 1, 0).astype(np.uint8) for length in lengths]
    tokens = np.concatenate(lines)
    whole = [token_nats(model, LineBatcher(line, model)) for line in lines]
    monkeypatch.setattr(batchers, "LONG_LINE", 100)
    monkeypatch.setattr(batchers, "MIN_EVALUATION_BLOCK", 50)
    monkeypatch.setattr("wavemore.engine.batcher.LINE_CHUNK", chunk)
    batcher = line_batcher(tokens, model)
    pieces = list(batcher.chunks())
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(tokens)))
    assert name in ("tree", "mlp") or max(map(len, pieces)) <= max(chunk, 50)
    np.testing.assert_allclose(token_nats(model, batcher), np.concatenate(whole), rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_no_chunk_has_more_logits_or_activations_than_a_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemore.engine.batcher.MAX_CHUNK_VALUES", 2_000_000)
    rng = np.random.default_rng(0)
    for vocabulary_size, channels in ((6_000, 8), (12, 512)):
        config = MODELS[name].config()
        if config.width_settings:
            config = config.with_width(channels // 8 if name == "transformer" else channels)
        model = build(name, vocabulary_size, config, seed=0)
        tokens = rng.integers(1, vocabulary_size, 20_000).astype(np.uint16)
        tokens[rng.integers(20_000, size=2_000)] = 0
        tokens[-1] = 0
        most = 2_000_000 // max(vocabulary_size, 0 if name in ("bigram", "ngram") else channels)
        for batcher in (line_batcher(tokens, model), evaluation_batcher(TextPart(tokens), model)):
            block = batcher.block_size if isinstance(batcher, BlockBatcher) else 0
            assert block <= max(512, most)
            assert max(map(len, batcher.chunks())) <= max(block, most)


MEMORY = """
import resource, sys
import numpy as np
import wavemore as wm
from wavemore.engine.process import keep_freed_memory
from wavemore.engine.threads import set_threads

set_threads(1)
keep_freed_memory()
characters = [chr(0x4E00 + number) for number in range(6_000)]
random = np.random.default_rng(0)
lines = ["".join(line) for line in random.choice(characters, (3_000, 4))] + characters
corpus = wm.LineCorpus.from_lines(lines)
assert len(corpus.vocabulary) == 6_001
config = wm.plan(corpus, model=sys.argv[1], **({"norm": "layer"} if sys.argv[1] == "tree" else {})).model_config
model = wm.build(sys.argv[1], 6_001, config, seed=0)
if sys.argv[1] == "ngram":
    for _ in wm.fit(model, corpus, wm.plan(corpus, model="ngram").recipe):
        pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wm.evaluate(model, corpus.train)
list(wm.generate(model, corpus.vocabulary, 5, wm.Sampling(max_length=5), corpus.line_hashes))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tree", "wavenet", "lstm", "transformer", "ngram"])
def test_memory_is_bounded_with_a_large_vocabulary(name: str) -> None:
    """With 6,000 kinds of characters, the logits of the train part would take 500 MB, and their softmax as much."""
    if sys.platform != "linux":
        pytest.skip("the unit of ru_maxrss is that of Linux")
    process = subprocess.run([sys.executable, "-c", MEMORY, name], check=True, capture_output=True, text=True)
    assert int(process.stdout) < 600  # MB
