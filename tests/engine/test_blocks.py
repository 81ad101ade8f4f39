from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wavemore.engine import blocks as stretches
from wavemore.engine.blocks import StretchBatches, StretchPositions, batches_to_evaluate
from wavemore.engine.evaluate import evaluate, score_texts, token_nats
from wavemore.engine.fit import fit
from wavemore.engine.generate_text import write
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Order, Recipe
from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError, UnknownCharacterError, UsageError
from wavemore.nn.config import CONFIGS, TreeConfig
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram
from wavemore.text.continuous import StreamPart, TextStream, load_stream

SMALL: dict[str, dict[str, Any]] = {
    "tree": {"fuse": (2, 2), "embedding": 4, "hidden": 8, "norm": "layer"},
    "wavenet": {"channels": 8, "skip_channels": 8, "dilations": (1, 2, 4)},
    "mlp": {"context": 3, "embedding": 4, "hidden": 8, "norm": "layer"},
    "bigram": {},
    "rnn": {"embedding": 4, "hidden": 8},
    "gru": {"embedding": 4, "hidden": 8},
    "lstm": {"embedding": 4, "hidden": 8, "layers": 2},
    "bow": {"context": 4, "embedding": 4, "hidden": 8},
    "ngram": {"n": 4},
    "transformer": {"layers": 2, "heads": 2, "channels": 8, "context": 4},
}
NAMES = list(MODELS)


def small(name: str, size: int, **other: Any) -> Model:
    """A small model in float64, whose weights have something to say."""
    model = build(name, size, CONFIGS[name](**SMALL[name] | other), seed=0)
    with torch.no_grad():
        if isinstance(model, Ngram):
            model.count(torch.from_numpy(tokens_of(60, size)).long(), across_lines=True)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
    return model.double().eval()


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextStream:
    folder = tmp_path_factory.mktemp("text")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat.\n", "and\n\n", "ran"], size=2_000)
    (folder / "text.txt").write_text(" ".join(words), encoding="utf-8")
    return load_stream(folder / "text.txt", cache=folder)


def tokens_of(count: int, size: int) -> Any:
    return np.random.default_rng(0).integers(size, size=count).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("count", "shortest", "chunk"), [(1, 8, 64), (7, 8, 64), (100, 8, 64), (103, 1, 1), (64, 8, 99)]
)
def test_every_target_is_predicted_once_with_all_that_the_model_sees(
    name: str, count: int, shortest: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "SHORTEST", shortest)
    monkeypatch.setattr(stretches, "LINE_CHUNK", chunk)
    model, tokens = small(name, 7), tokens_of(count, 7)
    batches = batches_to_evaluate(StreamPart(tokens), model)
    assert np.sort(np.concatenate(list(batches.chunks()))).tolist() == list(range(count))
    # The whole text in one pass: nothing stands before its first character.
    before = torch.from_numpy(np.concatenate(([0], tokens[:-1]))).long()[None]
    with torch.no_grad():
        at_once = model.logits_at_every(before)[0].log_softmax(dim=1)
    expected = -at_once[torch.arange(count), torch.from_numpy(tokens).long()]
    assert np.allclose(token_nats(model, batches), expected.numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_positions_alone_are_those_of_the_whole(name: str) -> None:
    model, tokens = small(name, 7), torch.from_numpy(tokens_of(90, 7)).long().reshape(3, 30)
    with torch.no_grad():
        for count in (1, 15, 30):
            last = model.logits_at_last(tokens, count)
            assert torch.allclose(last, model.logits_at_every(tokens)[:, -count:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_lead_in_is_what_a_stretch_sees_before_it(name: str) -> None:
    model, tokens = small(name, 7), tokens_of(200, 7)
    seen = (model.context or 50) - 1
    rows = (np.array([[0], [90], [180]]) + np.arange(20)).ravel()
    with torch.no_grad():
        whole = StretchBatches(tokens, model, stretch=20, lead_in=seen).logits(rows).reshape(3, 20, 7)
        wider = StretchBatches(tokens, model, stretch=20, lead_in=seen + 7).logits(rows).reshape(3, 20, 7)
        none = StretchBatches(tokens, model, stretch=20, lead_in=0).logits(rows).reshape(3, 20, 7)
    if model.context is not None:
        assert torch.allclose(whole, wider, rtol=0, atol=1e-10)
        assert torch.allclose(none[:, seen:], whole[:, seen:], rtol=0, atol=1e-10)
    if seen:
        assert not torch.allclose(none[1, 0], whole[1, 0])
        assert not torch.allclose(none[1, 0], wider[1, 0])


def test_what_stands_before_the_text_is_boundary() -> None:
    tokens, starts = np.array([5, 6, 7, 8], np.uint8), np.array([0, 2])
    batches = StretchBatches(tokens, small("bigram", 9), stretch=2, lead_in=3)
    assert batches._before(starts, 2).tolist() == [[0, 0, 0, 0, 5], [0, 0, 5, 6, 7]]
    batches = StretchBatches(tokens, small("tree", 9), stretch=2, lead_in=0)  # it sees four characters
    assert batches._before(starts, 2).tolist() == [[0, 0, 5], [0, 6, 7]]


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_an_epoch_takes_each_stretch_once(targets: int, stretch: int, rows: int, seed: int) -> None:
    if stretch > targets:
        return
    positions = StretchPositions(targets, rows * stretch, "shuffle", seed, stretch)
    steps = -(-positions.stretches // rows)
    batches = np.concatenate([positions.at(step) for step in range(steps)]).reshape(-1, stretch)
    assert (np.diff(batches, axis=1) == 1).all()
    assert batches.min() >= 0
    assert batches.max() < targets
    first_epoch = batches[: positions.stretches]
    assert len(np.unique(first_epoch)) == first_epoch.size > targets - 2 * stretch - 1


@pytest.mark.parametrize("order", ["shuffle", "replacement"])
def test_a_step_depends_on_its_seed_and_number_alone(order: Order) -> None:
    def at(step: int, seed: int) -> Any:
        return StretchPositions(1_000, 30, order, seed, stretch=10).at(step).tolist()

    forwards = StretchPositions(1_000, 30, order, 3, stretch=10)
    assert [forwards.at(step).tolist() for step in range(80)] == [at(step, 3) for step in range(80)]
    assert at(5, 3) != at(5, 4)
    assert at(5, 3) != at(6, 3)


def test_replacement_reaches_the_whole_text() -> None:
    positions = StretchPositions(30, 20, "replacement", 0, stretch=10)
    seen = np.concatenate([positions.at(step) for step in range(300)])
    assert (seen.min(), seen.max()) == (0, 29)


def test_stretches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--stretch 200 is longer than the 100 characters"):
        StretchPositions(100, 200, "shuffle", 0, stretch=200)
    with pytest.raises(UsageError, match=r"--batch-size 100 .*--stretch 30: take 90"):
        StretchPositions(1_000, 100, "shuffle", 0, stretch=30)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_learns_a_text(name: str, text: TextStream) -> None:
    training = {"steps": 120, "batch_size": 320, "stretch": 40, "evaluations": 3}
    settings = {"model": name, **SMALL[name], **({} if name == "ngram" else training)}
    chosen = plan(text, settings=settings)
    model = build(name, len(text.vocabulary), chosen.settings, seed=0)
    first = evaluate(model, text.val).nats
    losses = [progress.val_nats for progress in fit(model, text, chosen.recipe) if progress.val_nats is not None]
    assert len(losses) == (1 if name == "ngram" else 3)
    found = evaluate(model, text.val)
    assert found.nats == pytest.approx(min(losses), abs=1e-5)
    assert found.nats < first - 0.4
    assert found.targets == text.val.targets


def test_counts_of_a_text_go_on_beyond_the_ends_of_lines(text: TextStream) -> None:
    chosen = plan(text, settings={"model": "ngram", "n": 4})
    model = build("ngram", len(text.vocabulary), chosen.settings, seed=0)
    list(fit(model, text, chosen.recipe))
    a, b = (model.logits_at_every(torch.tensor([[0, *text.vocabulary.encode_text(s)]]))[0, -1] for s in ("t\n", ".\n"))
    assert not torch.allclose(a, b)


def test_a_training_goes_on_to_the_same_bits(text: TextStream) -> None:
    chosen = plan(text, settings={**SMALL["tree"], "steps": 12, "batch_size": 64, "stretch": 32, "evaluations": 2})
    whole, resumed = (build("tree", len(text.vocabulary), chosen.tree, seed=0) for _ in range(2))
    records = list(fit(whole, text, chosen.recipe))
    stopped = fit(resumed, text, chosen.recipe)
    *_, last = islice(stopped, 5)
    checkpoint = last.checkpoint()
    again = build("tree", len(text.vocabulary), chosen.tree, seed=0)
    rest = list(fit(again, text, chosen.recipe, resume=checkpoint))
    assert [r.train_nats for r in rest[-3:]] == [r.train_nats for r in records[-3:]]
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), whole.parameters(), strict=True))


def test_only_the_beginning_of_a_long_val_part_is_looked_at_in_training(
    text: TextStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemore.engine.fit.VAL_CHARACTERS", 100)
    recipe = Recipe(steps=1, batch_size=32, stretch=32, execution="stretches", evaluations=1)
    model = build("bigram", len(text.vocabulary), CONFIGS["bigram"](), seed=0)
    [progress] = fit(model, text, recipe)
    assert progress.val_nats == pytest.approx(evaluate(model, StreamPart(text.val.tokens[:100])).nats, abs=1e-6)


def test_the_mean_of_several_models(text: TextStream) -> None:
    models = [small("tree", len(text.vocabulary)), small("bigram", len(text.vocabulary))]
    one, other = (np.exp(-token_nats(model, batches_to_evaluate(text.val, model))) for model in models)
    assert evaluate(models, text.val).nats == pytest.approx(-np.log((one + other) / 2).mean())


def test_a_tree_that_minds_the_position_cannot_be_run(text: TextStream) -> None:
    model = build("tree", len(text.vocabulary), TreeConfig(fuse=(2, 2), hidden=4, norm="batch-per-position"), seed=0)
    with pytest.raises(ModelError, match="windows"):
        next(fit(model, text, Recipe(steps=1, batch_size=32, stretch=32)))


def test_what_a_text_and_a_recipe_cannot_do_together(text: TextStream) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"model": "wavenet", "dilations": (2**14,)}, r"sees 16,385 characters, and the text has [0-9,]+ to train on"),
        ({"stretch": 10**6, "batch_size": 10**6}, "longer than"),
        ({"stretch": 0}, "stretch is 0"),
        ({"lead_in": -1}, "lead_in is -1"),
        ({"execution": "unique"}, "--execution unique is for lists"),
    ]
    for settings, words in refused:
        with pytest.raises(UsageError, match=words):
            plan(text, settings=settings)
    with pytest.raises(UsageError, match="leave --recipe out"):
        plan(text, "lecture")


def test_a_lead_in_is_never_more_than_the_model_sees(text: TextStream) -> None:
    assert plan(text, settings={"fuse": (2, 2)}).recipe.lead_in == 3
    assert plan(text, settings={"fuse": (2, 2), "lead_in": 1}).recipe.lead_in == 1
    assert plan(text, settings={"fuse": (2, 2), "lead_in": 100}).recipe.lead_in == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_written_with_the_nats_that_score_says(name: str, text: TextStream) -> None:
    model = small(name, len(text.vocabulary))
    for prefix in ("", "the cat\n"):
        written = write(model, text.vocabulary, 3, 40, Sampling(prefix=prefix, seed=5))
        assert [one.text[: len(prefix)] for one in written] == [prefix] * 3
        assert [len(one.text) for one in written] == [40 + len(prefix)] * 3
        scores = score_texts(model, text.vocabulary, [one.text for one in written])
        for one, scored in zip(written, scores, strict=True):
            assert sum(scored.char_nats[len(prefix) :]) == pytest.approx(one.nats, abs=1e-8)


def test_greedy_texts_are_the_same_and_a_seed_repeats_itself(text: TextStream) -> None:
    model = small("tree", len(text.vocabulary))
    one, other = write(model, text.vocabulary, 2, 30, Sampling(temperature=0))
    assert one == other
    again = [write(model, text.vocabulary, 2, 30, Sampling(seed=1)) for _ in range(2)]
    assert again[0][0] != again[0][1]
    assert again[0] == again[1] != write(model, text.vocabulary, 2, 30, Sampling(seed=2))


def test_what_cannot_be_written_is_refused(text: TextStream) -> None:
    model = small("bigram", len(text.vocabulary))
    assert write(model, text.vocabulary, 0, 5, Sampling()) == []
    with pytest.raises(UsageError, match="length is 0"):
        write(model, text.vocabulary, 1, 0, Sampling())
    with pytest.raises(UnknownCharacterError, match="'Q'"):
        write(model, text.vocabulary, 1, 5, Sampling(prefix="Q"))


def test_the_mode_of_the_model_is_put_back(text: TextStream) -> None:
    model = small("tree", len(text.vocabulary)).train()
    write(model, text.vocabulary, 1, 3, Sampling())
    evaluate(model, text.val)
    assert all(module.training for module in model.modules())
