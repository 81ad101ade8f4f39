"""The default settings for lists and texts, and requested settings that contradict each other."""

from pathlib import Path
from typing import Any

import pytest

from wavemore.engine.defaults import MOST_WORK, suggested_temperature
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan, uses_threads
from wavemore.engine.recipe import LECTURE, MAX_BATCH, Recipe
from wavemore.engine.training_plan import Plan
from wavemore.errors import UsageError
from wavemore.nn.models import MODELS, build, parameter_count
from wavemore.nn.recurrent import RecurrentConfig
from wavemore.nn.tree import TreeConfig
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

TEN = ["anna", "bob", "carla", "dan", "emma", "frida", "gus", "hal", "ida", "jim"]


def tree_of(planned: Plan) -> TreeConfig:
    assert isinstance(planned.model_config, TreeConfig)
    return planned.model_config


def test_the_lecture_preset_is_the_lectures_recipe_and_model() -> None:
    planned = plan(LineCorpus.from_lines(TEN), "lecture")
    assert planned == Plan("tree", TreeConfig(fuse=(2, 2, 2), embedding=24, hidden=128), LECTURE)


def test_the_lecture_with_other_settings() -> None:
    planned = plan(LineCorpus.from_lines(TEN), "lecture", fuse=(3,), embedding=10, hidden=200, steps=50)
    assert planned.model_config == TreeConfig(fuse=(3,), embedding=10, hidden=200)
    assert planned.recipe == Recipe(**vars(LECTURE) | {"steps": 50})


@pytest.mark.parametrize(
    ("context", "fuse"), [(1, (1,)), (2, (2,)), (4, (2, 2)), (8, (2, 2, 2)), (64, (2, 2, 2, 2, 2, 2))]
)
def test_a_context_is_fused_in_pairs(corpus: LineCorpus, context: int, fuse: tuple[int, ...]) -> None:
    assert tree_of(plan(corpus, context=context)).fuse == fuse


def test_given_fusions_are_used(corpus: LineCorpus) -> None:
    assert tree_of(plan(corpus, fuse=(2, 3))).fuse == (2, 3)
    assert tree_of(plan(corpus, fuse=(4, 3), context=12)).fuse == (4, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": 8, "fuse": (2, 3)}, r"`context` is 8, but `fuse` covers 2 x 3 = 6 characters"),
        ({"context": 6}, r"`context` is 6, not a power of 2: set `fuse` too, for example to 6"),
        ({"context": 0}, r"`context` is 0,"),
        ({"context": -8}, r"`context` is -8,"),
        ({"fuse": (2, 0)}, r"`fuse` is 2 0;"),
        ({"fuse": ()}, r"`fuse` is empty"),
        ({"epochs": 2, "steps": 10}, r"`epochs` and `steps` both set the length"),
        ({"epochs": 0}, r"`epochs` is 0;"),
        ({"epochs": -1.5}, r"`epochs` is -1\.5;"),
        ({"epochs": float("nan")}, r"`epochs` is nan;"),
        ({"epochs": float("inf")}, r"`epochs` is inf;"),
        ({"epochs": 1e308}, r"`epochs` is 1e\+308;"),
        ({"hidden": 0}, r"`hidden` is 0;"),
        ({"batch_size": 0}, r"`batch_size` is 0;"),
        ({"hiden": 64}, r"no setting `hiden`; choose from a"),
        ({"block_size": 64}, r"`block_size` is for continuous text, and the data is a list"),
    ],
)
@pytest.mark.parametrize("preset", ["auto", "lecture"])
def test_impossible_settings_are_refused(
    corpus: LineCorpus, preset: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        plan(corpus, preset, **settings)
    assert len(str(error.value).splitlines()) == 1


def test_given_settings_replace_the_defaults(corpus: LineCorpus) -> None:
    planned = plan(corpus, hidden=33, norm="rms", batch_size=17, optimizer="adamw", steps=5, seed=4)
    tree, recipe, default = tree_of(planned), planned.recipe, plan(corpus, model="tree")
    assert (tree.hidden, tree.norm) == (33, "rms")
    assert (recipe.batch_size, recipe.optimizer, recipe.steps, recipe.seed) == (17, "adamw", 5, 4)
    assert tree.embedding == tree_of(default).embedding
    assert recipe.learning_rate == default.recipe.learning_rate


@pytest.mark.parametrize("preset", ["auto", "lecture"])
@pytest.mark.parametrize("epochs", [0.001, 1, 2.5])
def test_epochs_become_steps_of_the_batch_size_in_use(corpus: LineCorpus, preset: Any, epochs: float) -> None:
    recipe = plan(corpus, preset, epochs=epochs, batch_size=10).recipe
    targets = epochs * corpus.train.num_targets
    assert targets <= recipe.steps * 10 < targets + 10


def test_long_lines_get_a_model_that_sees_them_whole() -> None:
    short, long = (LineCorpus.from_lines([f"{i:x}" * count for i in range(20_000)]) for count in (1, 9))
    assert plan(short).model == "tree"
    assert plan(long).model == "lstm"
    assert plan(long, fuse=(2, 2)).model == "tree"
    assert tree_of(plan(long, model="tree")).receptive_field > tree_of(plan(short)).receptive_field


def test_a_short_list_gets_an_lstm_and_a_temperature_below_1() -> None:
    temperatures = []
    for count in (60, 150, 600, 3_000, 20_000):
        corpus = LineCorpus.from_lines([f"{i:x}" for i in range(count)])
        assert plan(corpus).model == ("tree" if count == 20_000 else "lstm")
        temperatures.append(suggested_temperature(corpus))
    assert temperatures == [0.5, 0.6, 0.7, 0.8, 1.0]
    assert plan(corpus, model="lstm").model_config.width > plan(LineCorpus.from_lines(TEN)).model_config.width


def test_the_rates_of_an_lstm_follow_the_length_of_its_training() -> None:
    corpus = load_corpus("names")
    short, long = (plan(corpus, model="lstm", steps=steps).recipe for steps in (300, 16_000))
    assert short.learning_rate == 0.08
    assert long.learning_rate == pytest.approx(short.learning_rate / 4)
    assert short.adamw_learning_rate > long.adamw_learning_rate
    assert short.learning_rate * short.weight_decay * 300 == pytest.approx(6, rel=0.05)
    assert plan(corpus, model="lstm", steps=300, weight_decay=0.3, learning_rate=0.01).recipe.weight_decay == 0.3


def test_a_training_without_a_time_is_short_however_large_the_data() -> None:
    corpus = LineCorpus.from_lines([f"{i:x}" * 5 for i in range(300_000)])
    planned = plan(corpus)
    assert planned.model == "lstm"
    work = parameter_count("lstm", len(corpus.vocabulary), planned.model_config) * planned.recipe.steps
    assert 0.99 * MOST_WORK < work * planned.recipe.batch_size < 1.01 * MOST_WORK
    assert plan(corpus, epochs=20).recipe.steps > 4 * planned.recipe.steps


@pytest.mark.parametrize("count", [10, 60, 1_000])
def test_small_lists_get_small_batches(count: int) -> None:
    corpus = LineCorpus.from_lines([f"{TEN[i % 10]}{i}" for i in range(count)])
    recipe = plan(corpus).recipe
    assert 2 <= recipe.batch_size <= max(8, corpus.train.num_targets / 12)
    assert recipe.steps >= 10


def test_the_bundled_names_get_the_lectures_model_and_large_batches() -> None:
    planned = plan(load_corpus("names"))
    tree = tree_of(planned)
    assert (tree.fuse, tree.embedding, tree.hidden) == ((2, 2, 2), 24, 128)
    assert planned.recipe.batch_size == 2_048


def test_the_weights_of_a_tree_decay_faster_on_small_lists() -> None:
    def decay_per_epoch(corpus: Corpus) -> float:
        recipe = plan(corpus, model="tree").recipe
        return recipe.learning_rate * recipe.weight_decay * corpus.train.num_targets / recipe.batch_size

    small = LineCorpus.from_lines([f"{TEN[i % 10]}{i}" for i in range(200)])
    assert decay_per_epoch(small) > 2 * decay_per_epoch(load_corpus("names"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_plan(corpus: LineCorpus, model: str) -> None:
    planned = plan(corpus, model=model)
    assert planned.model == model
    assert type(planned.model_config) is MODELS[model].config
    assert planned.recipe.execution == "unique"


def test_settings_belong_to_a_model(corpus: LineCorpus) -> None:
    planned = plan(corpus, model="wavenet", dilations=(1, 3), cycles=2, learning_rate=0.01)
    assert planned.model_config == WaveNetConfig(dilations=(1, 3), cycles=2)
    assert planned.model_config.receptive_field == 9
    assert planned.recipe.learning_rate == 0.01
    with pytest.raises(UsageError, match="`cycles` is a setting of wavenet; the settings of gru are: `dropout`"):
        plan(corpus, model="gru", cycles=2)
    with pytest.raises(UsageError, match="`execution` is for the models tree and mlp"):
        plan(corpus, model="gru", execution="windows")
    with pytest.raises(UsageError, match="`model` is 'bush'; it must be one of tree, wavenet"):
        plan(corpus, model="bush")


def test_an_ngram_counts_more_than_a_batch_may_have(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("abc\n" * 400_000)
    corpus = load_corpus(tmp_path / "long.txt", format="text", cache=tmp_path)
    planned = plan(corpus, model="ngram", order=2)
    assert planned.recipe.batch_size == MAX_BATCH < corpus.train.num_targets
    model = build("ngram", len(corpus.vocabulary), planned.model_config, planned.recipe.seed)
    [record] = fit(model, corpus, planned.recipe)
    assert record.epoch == 1
    assert record.val_nats is not None
    assert record.val_nats < 0.01


def test_an_ngram_has_no_settings_of_a_training(corpus: LineCorpus) -> None:
    assert plan(corpus, model="ngram", order=3, seed=1).recipe.seed == 1
    with pytest.raises(UsageError, match="`steps` is for models that are trained"):
        plan(corpus, model="ngram", steps=3)
    with pytest.raises(UsageError, match="it cannot have teachers"):
        plan(corpus, model="ngram", distill_weight=0.5)
    with pytest.raises(UsageError, match=r"`preset` lecture is .* an ngram is counted"):
        plan(corpus, "lecture", model="ngram")


def test_the_lectures_recipe_for_another_model(corpus: LineCorpus) -> None:
    planned = plan(corpus, "lecture", model="gru", steps=3)
    assert (planned.recipe.optimizer, planned.recipe.steps) == ("sgd", 3)


@pytest.mark.parametrize("lines", [TEN, list("abcdefghij")])
def test_ten_lines_can_be_trained_on(lines: list[str]) -> None:
    corpus = LineCorpus.from_lines(lines)
    planned = plan(corpus, hidden=16)
    model = build(planned.model, len(corpus.vocabulary), planned.model_config, planned.recipe.seed)
    records = list(fit(model, corpus, planned.recipe))
    assert len(records) == planned.recipe.steps
    assert records[-1].epoch >= 5
    assert records[-1].train_nats < records[0].train_nats


def test_the_default_model_is_a_tree_for_a_long_list_and_an_lstm_for_a_text(text: TextCorpus) -> None:
    assert plan(text).model == "lstm"
    assert plan(text, channels=8).model == "wavenet"
    assert plan(text, dropout=0.1, learning_rate=0.01, hidden=8).model == "lstm"
    assert plan(text, fuse=(2, 2)).model == "tree"
    assert plan(text, context=8).model == "tree"
    assert plan(load_corpus("names"), dropout=0.1).model == "tree"
    with pytest.raises(UsageError, match="`fuse` is a setting of tree; the settings of wavenet are"):
        plan(text, fuse=(2, 2), channels=8)


def test_the_default_wavenet_sees_at_most_an_eighth_of_a_text(tmp_path: Path) -> None:
    fields = []
    for characters in (500, 1_000, 10_000):
        path = tmp_path / f"{characters}.txt"
        path.write_text("to be or not to be, " * (characters // 20), encoding="utf-8")
        corpus = load_corpus(path, format="text", train_fraction=0.6, cache=tmp_path)
        fields.append(plan(corpus, model="wavenet").model_config.receptive_field)
    assert fields == [31, 63, 127]
    assert plan(corpus, dilations=(1, 2, 4)).model_config.receptive_field == 8  # given dilations are not repeated


def test_settings_that_do_not_fit_a_text_are_refused(text: TextCorpus) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        (
            {"model": "wavenet", "dilations": (2**14,)},
            r"sees 16,385 characters, and the text has only [0-9,]+ to train",
        ),
        ({"block_size": 10**6, "batch_size": 10**6}, "`block_size` is 1,000,000, more than"),
        ({"block_size": 0}, "`block_size` is 0"),
        ({"execution": "unique"}, "`execution` is for lists"),
        ({"preset": "lecture"}, "`preset` lecture is for lists"),
    ]
    for settings, message in refused:
        with pytest.raises(UsageError, match=message):
            plan(text, **settings)


def test_only_large_steps_use_threads(corpus: LineCorpus, text: TextCorpus) -> None:
    assert not uses_threads(plan(corpus), "lines")
    assert uses_threads(plan(corpus, hidden=256), "lines")
    for model in MODELS:
        small = model in ("bigram", "bow", "ngram")
        assert uses_threads(plan(text, model=model), "text") == (not small)


def test_a_training_that_begins_with_another_one_is_slow_and_has_its_model() -> None:
    corpus = LineCorpus.from_lines([f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "lmnrst"])
    tree = TreeConfig((2, 2), hidden=16)
    chosen = plan(corpus, model="tree", carried=tree)
    assert chosen.model_config == tree
    scratch = plan(corpus, model="tree")
    assert chosen.recipe.learning_rate < scratch.recipe.learning_rate / 10
    assert chosen.recipe.steps < scratch.recipe.steps
    assert chosen.recipe.learning_rate * chosen.recipe.weight_decay * chosen.recipe.steps == pytest.approx(
        2.5, rel=0.02
    )
    longer = plan(corpus, model="tree", carried=tree, epochs=20, learning_rate=0.01).recipe
    assert longer.learning_rate * longer.weight_decay * longer.steps == pytest.approx(2.5, rel=0.02)
    lstm = plan(corpus, model="lstm", carried=RecurrentConfig(hidden=8))
    assert lstm.recipe.weight_decay == 0
    assert plan(corpus, model="tree", carried=tree, fuse=(2, 2), context=4) == chosen
    with pytest.raises(UsageError, match="`hidden` is 8, and 16 in the run to begin with, whose weights fit no other"):
        plan(corpus, model="tree", carried=tree, hidden=8)
    with pytest.raises(UsageError, match="`minutes` chooses the size of the model"):
        plan(corpus, model="tree", carried=tree, minutes=1)
