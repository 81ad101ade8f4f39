"""A training that is planned for a time."""

from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from wavemore.engine import memory, speed, time_plan
from wavemore.engine.batcher import Batcher
from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.speed import Speed, probe
from wavemore.engine.time_plan import ALONE, MOST_TEACHERS, STUDENT, TEACHER, TEACHERS_SHARE
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import build, parameter_count
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import Part
from wavemore.text.text_corpus import TextCorpus


@pytest.fixture
def _known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is always equally fast."""
    monkeypatch.setattr(
        time_plan, "probe", lambda planned, corpus, seconds, device: Speed(50_000.0, 150_000.0, 1_000.0)
    )


@pytest.mark.usefixtures("_known_speed")
@pytest.mark.parametrize("kind", ["list", "text"])
def test_the_plan_fills_the_time_and_is_the_same_without_it(kind: str, tmp_path: Path) -> None:
    data: Corpus = load_corpus("names")
    if kind == "text":
        words = data.train.as_lines(data.vocabulary).lines
        (tmp_path / "text.txt").write_text(" ".join(words), encoding="utf-8")
        data = load_corpus(tmp_path / "text.txt", format="text")
    planned = plan(data, minutes=0.2)
    budget = planned.budget
    assert budget is not None
    assert planned.model == ("tree" if kind == "list" else "lstm")
    epochs = planned.recipe.steps * planned.recipe.batch_size / data.train.num_targets
    assert epochs < ALONE[data.format].epochs + 0.1
    seconds = planned.recipe.steps * planned.recipe.batch_size / budget.chars_per_second
    assert 4 < seconds < 12
    chosen: dict[str, Any] = dict(budget.chosen)
    same = plan(data, **chosen)
    assert (same.model, same.model_config, same.recipe) == (planned.model, planned.model_config, planned.recipe)


@pytest.mark.usefixtures("_known_speed")
def test_more_time_gives_a_wider_model_and_what_is_given_is_kept(corpus: LineCorpus) -> None:
    names = load_corpus("names")
    short, long = plan(names, minutes=0.3), plan(names, minutes=1_000)
    assert long.model_config.width > short.model_config.width
    own = plan(corpus, minutes=0.2, model="gru", hidden=24, learning_rate=0.03, num_evals=3)
    assert own.model == "gru"
    assert own.model_config.width == 24
    assert own.recipe.learning_rate == 0.03
    assert own.recipe.num_evals == 3
    assert own.budget is not None
    assert set(own.budget.chosen) == {"steps", "num_evals", "distill_weight"}


@pytest.mark.parametrize("drawing", [100.0, 1_000.0])
def test_time_is_left_for_the_samples(monkeypatch: pytest.MonkeyPatch, drawing: float) -> None:
    corpus = LineCorpus.from_lines(["ab" * 500 + "c" * number for number in range(100)])
    steps = {}
    for drawn in (drawing, 1e9):
        measured = Speed(training=1e4, evaluation=1e6, drawing=drawn)
        monkeypatch.setattr(time_plan, "probe", lambda planned, corpus, seconds, device, measured=measured: measured)
        planned = plan(corpus, minutes=0.5, model="gru", hidden=8)
        steps[drawn] = planned.recipe.steps * planned.recipe.batch_size / 1e4
    assert steps[1e9] - steps[drawing] == pytest.approx(1_050 / drawing, rel=0.1, abs=0.2)


def same_arithmetic(planned: Any, corpus: Corpus, seconds: float, device: str) -> Speed:
    """Measure a machine that multiplies equally fast for models of any size."""
    return Speed(2e10 / parameter_count(planned.model, len(corpus.vocabulary), planned.model_config), 1e6, 1e3)


def test_a_model_is_wide_enough_to_use_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_plan, "probe", same_arithmetic)
    names = load_corpus("names")
    for minutes in (0.66, 0.7, 0.98, 1.02):
        planned = plan(names, minutes=minutes, model="lstm")
        assert planned.budget is not None
        used = planned.recipe.steps * planned.recipe.batch_size / planned.budget.chars_per_second
        assert used > 0.9 * 60 * minutes, minutes


@pytest.mark.usefixtures("_known_speed")
def test_a_long_training_on_a_text_has_two_layers_and_long_blocks(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(" ".join(load_corpus("names").train.lines) * 5, encoding="utf-8")
    data = load_corpus(tmp_path / "text.txt", format="text", cache=tmp_path)
    short, long, own = plan(data, minutes=1), plan(data, minutes=6), plan(data, minutes=6, layers=1)
    assert (short.recipe.batch_size, short.recipe.block_size) == (4_096, 32)
    assert (long.recipe.batch_size, long.recipe.block_size) == (8_192, 64)
    shapes = [(planned.model_config.label, getattr(planned.model_config, "dropout", None)) for planned in (long, own)]
    assert shapes[0][0].startswith("2 x 64/")
    assert (shapes[0][1], shapes[1][1]) == (0.1, 0.0)
    assert not shapes[1][0].startswith("2 x")
    assert long.budget is not None
    chosen: dict[str, Any] = dict(long.budget.chosen)
    same = plan(data, **chosen)
    assert (same.model_config, same.recipe) == (long.model_config, long.recipe)


def test_a_short_training_has_smaller_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(" ".join(load_corpus("names").train.lines) * 5, encoding="utf-8")
    data = load_corpus(tmp_path / "text.txt", format="text", cache=tmp_path)
    batches = {}
    for training in (3_000.0, 12_000.0, 30_000.0):
        measured = Speed(training=training, evaluation=1e6, drawing=1e4)
        monkeypatch.setattr(time_plan, "probe", lambda planned, corpus, seconds, device, measured=measured: measured)
        short, own = plan(data, minutes=0.5), plan(data, minutes=0.5, batch_size=4_096)
        assert (short.model, own.recipe.batch_size) == ("lstm", 4_096)
        assert short.recipe.steps >= min(200, own.recipe.steps * 16)
        batches[training] = short.recipe.batch_size
        for block_size in (100, 3_000):
            assert plan(data, minutes=0.5, block_size=block_size).recipe.batch_size % block_size == 0
        assert short.budget is not None
        chosen: dict[str, Any] = dict(short.budget.chosen)
        assert plan(data, **chosen).recipe == short.recipe
    assert batches == {3_000.0: 256, 12_000.0: 512, 30_000.0: 4_096}


@pytest.mark.usefixtures("_known_speed")
def test_a_small_list_is_not_read_for_ever(corpus: LineCorpus, text: TextCorpus) -> None:
    for data in (corpus, text):
        recipe = plan(data, minutes=60).recipe
        assert recipe.steps * recipe.batch_size == pytest.approx(
            STUDENT[data.format].epochs * data.train.num_targets, abs=recipe.batch_size
        )


@pytest.mark.usefixtures("_known_speed")
def test_the_time_that_is_over_counts() -> None:
    names = load_corpus("names")
    whole, rest = (plan(names, minutes=0.4, elapsed=elapsed, hidden=64, model="lstm") for elapsed in (0.0, 12.0))
    assert 0.3 < rest.recipe.steps / whole.recipe.steps < 0.55


@pytest.mark.usefixtures("_known_speed")
def test_time_that_one_model_does_not_need_goes_to_teachers() -> None:
    names = load_corpus("names")
    alone, planned = plan(names, minutes=1, model="lstm"), plan(names, minutes=8, seed=7)
    assert not alone.teachers
    assert len(planned.teachers) >= 3
    other = plan(names, minutes=8, seed=8)  # the next seed of an experiment has other teachers
    seeds = [teacher.recipe.seed for each in (planned, other) for teacher in each.teachers]
    assert len(set(seeds)) == len(seeds)
    assert len({teacher.model_config for teacher in planned.teachers}) == 1
    assert planned.recipe.distill_weight > 0
    assert planned.teachers[0].recipe.distill_weight == 0
    assert planned.model_config.width >= planned.teachers[0].model_config.width
    budgets = [teacher.budget.minutes for teacher in planned.teachers if teacher.budget]
    assert 3 < sum(budgets) < 6


@pytest.mark.usefixtures("_known_speed")
def test_there_are_no_teachers_without_memory_for_their_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    names = load_corpus("names")
    size = 4 * names.train.num_targets * len(names.vocabulary)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 2 * size)
    assert plan(names, minutes=8, hidden=32).teachers
    monkeypatch.setattr(memory, "memory_bytes", lambda: 2 * size - 1)
    assert not plan(names, minutes=8, hidden=32).teachers


@pytest.mark.usefixtures("_known_speed")
def test_teachers_may_use_their_share_of_the_time_and_no_more_than_they_need() -> None:
    names = load_corpus("names")
    planned = plan(names, minutes=60)
    budgets = [teacher.budget for teacher in planned.teachers if teacher.budget]
    assert len(budgets) == MOST_TEACHERS
    assert sum(budget.minutes for budget in budgets) == pytest.approx(TEACHERS_SHARE * 60, rel=0.05)
    assert {teacher.recipe.steps for teacher in planned.teachers} == {budget.most_steps for budget in budgets}


@pytest.mark.parametrize(
    ("flag", "model"), [({"heads": 2}, "transformer"), ({"dilations": (1, 2)}, "wavenet"), ({"layers": 2}, "lstm")]
)
@pytest.mark.usefixtures("_known_speed")
def test_a_setting_chooses_its_model_as_it_does_without_a_time(
    flag: dict[str, Any], model: str, tmp_path: Path
) -> None:
    (tmp_path / "words.csv").write_text("word,kind\n" + "".join(f"{a}{b}o,{b}\n" for a in "bdklmnrst" for b in "aeiou"))
    labelled = load_corpus(tmp_path / "words.csv", column="word", label_column="kind")
    assert plan(labelled, minutes=1, **flag).model == plan(labelled, **flag).model == model


def test_the_speed_of_an_evaluation_is_that_of_typical_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [*(f"ab{number}" for number in range(3_000)), *(f"{number}" * 300 for number in range(100, 400))]
    corpus, evaluated = LineCorpus.from_lines(lines), list[Part]()

    def spied(part: Part, model: Model) -> Batcher:
        evaluated.append(part)
        return evaluation_batcher(part, model)

    monkeypatch.setattr(speed, "evaluation_batcher", spied)
    probe(plan(corpus, model="gru", hidden=8, steps=1), corpus, 0.4)
    [part] = evaluated
    lengths = [each.as_lines(corpus.vocabulary).lines.lengths for each in (part, corpus.val)]
    shares = [each[each > 100].sum() / each.sum() for each in lengths]
    assert shares[0] == pytest.approx(shares[1], rel=0.3)


def test_teachers_are_narrower_than_a_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_plan, "probe", same_arithmetic)
    names = load_corpus("names")
    most = TEACHER["lines"].parameters * names.train.num_targets
    alone, planned = plan(names, minutes=2, model="lstm"), plan(names, minutes=5, model="lstm")
    sizes = [parameter_count("lstm", len(names.vocabulary), each.model_config) for each in (alone, *planned.teachers)]
    assert not alone.teachers
    assert len(planned.teachers) >= 2
    assert sizes[0] > most >= sizes[1]


@pytest.mark.usefixtures("_known_speed")
@pytest.mark.parametrize("model", ["bigram", "bow", "wavenet", "transformer"])
def test_models_without_a_free_width_have_teachers_too(model: str, corpus: LineCorpus) -> None:
    planned = plan(corpus, minutes=30, model=model)
    assert planned.teachers
    assert {teacher.model_config for teacher in planned.teachers} == {planned.model_config}


def test_the_probe_leaves_no_trace(corpus: LineCorpus) -> None:
    planned = plan(corpus, model="lstm", hidden=16, steps=3)
    models = [build("lstm", len(corpus.vocabulary), planned.model_config, seed=0) for _ in range(2)]
    losses = []
    for model in models:
        *_, last = fit(model, corpus, planned.recipe)
        losses.append(last.val_nats)
        start = perf_counter()
        assert min(probe(planned, corpus, 0.05)) > 0
        assert perf_counter() - start < 20
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minutes": 0}, "`minutes` is 0; it must be above 0"),
        ({"minutes": float("nan")}, "`minutes` is nan"),
        ({"minutes": 1e9}, "at most 144,000"),
        ({"minutes": 1e-4}, r"`minutes` is 0.0001, which is too short for 10 steps .*: give at least 0\.\d"),
        ({"minutes": 1, "steps": 5}, "and so does `steps`"),
        ({"minutes": 1, "epochs": 5}, "and so does `epochs`"),
        ({"minutes": 1, "preset": "lecture"}, "`preset` lecture has a length of its own"),
        ({"minutes": 1, "model": "ngram"}, "an ngram is counted in one pass"),
        ({"minutes": 1, "distill_weight": 0.5}, "`minutes` chooses the teachers.*`distill_weight`"),
    ],
)
def test_contradictions_and_times_out_of_range(corpus: LineCorpus, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(corpus, **settings)
