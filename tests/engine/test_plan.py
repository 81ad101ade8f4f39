"""The settings that fit a list, and those that contradict each other."""

from pathlib import Path
from typing import Any

import pytest

from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.recipe import LECTURE, Recipe
from wavemore.errors import UsageError
from wavemore.nn.config import CONFIGS, TreeConfig, WaveNetConfig
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load, load_text

TEN = ["anna", "bob", "carla", "dan", "emma", "frida", "gus", "hal", "ida", "jim"]


def test_the_lecture_is_the_lectures() -> None:
    chosen = plan(Corpus.from_lines(TEN), "lecture")
    assert chosen.recipe == LECTURE
    assert chosen.tree == TreeConfig(fuse=(2, 2, 2), embedding=24, hidden=128)


def test_the_lecture_with_other_settings() -> None:
    chosen = plan(Corpus.from_lines(TEN), "lecture", {"fuse": (3,), "embedding": 10, "hidden": 200, "steps": 50})
    assert chosen.tree == TreeConfig(fuse=(3,), embedding=10, hidden=200)
    assert chosen.recipe == Recipe(**vars(LECTURE) | {"steps": 50})


@pytest.mark.parametrize(
    ("context", "fuse"), [(1, (1,)), (2, (2,)), (4, (2, 2)), (8, (2, 2, 2)), (64, (2, 2, 2, 2, 2, 2))]
)
def test_a_context_is_fused_in_pairs(corpus: Corpus, context: int, fuse: tuple[int, ...]) -> None:
    assert plan(corpus, settings={"context": context}).tree.fuse == fuse


def test_a_fuse_is_taken_as_it_is(corpus: Corpus) -> None:
    assert plan(corpus, settings={"fuse": (2, 3)}).tree.fuse == (2, 3)
    assert plan(corpus, settings={"fuse": (4, 3), "context": 12}).tree.fuse == (4, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": 8, "fuse": (2, 3)}, r"--fuse 2 3 sees 2 x 3 = 6 characters, not --context 8"),
        ({"context": 6}, r"--context 6 is no power of 2; .* --fuse 6"),
        ({"context": 0}, r"--context 0 "),
        ({"context": -8}, r"--context -8 "),
        ({"fuse": (2, 0)}, r"fuse takes sizes of 1 or more, not 2 0"),
        ({"fuse": ()}, r"fuse is empty"),
        ({"epochs": 2, "steps": 10}, r"--epochs and --steps"),
        ({"epochs": 0}, r"epochs is 0;"),
        ({"epochs": -1.5}, r"epochs is -1\.5;"),
        ({"epochs": float("nan")}, r"epochs is nan;"),
        ({"epochs": float("inf")}, r"epochs is inf;"),
        ({"epochs": 1e308}, r"epochs is 1e\+308;"),
        ({"hidden": 0}, r"not 24 and 0"),
        ({"batch_size": 0}, r"batch_size is 0;"),
        ({"hiden": 64}, r"no setting 'hiden': choose of activation, "),
    ],
)
@pytest.mark.parametrize("preset", ["auto", "lecture"])
def test_settings_that_cannot_be_are_refused(
    corpus: Corpus, preset: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        plan(corpus, preset, settings)
    assert len(str(caught.value).splitlines()) == 1


def test_settings_stand_in_the_place_of_the_rules(corpus: Corpus) -> None:
    settings = {"hidden": 33, "norm": "rms", "batch_size": 17, "optimizer": "adamw", "steps": 5, "seed": 4}
    chosen = plan(corpus, settings=settings)
    assert (chosen.tree.hidden, chosen.tree.norm) == (33, "rms")
    assert {name: getattr(chosen.recipe, name) for name in ("batch_size", "optimizer", "steps", "seed")} == {
        "batch_size": 17,
        "optimizer": "adamw",
        "steps": 5,
        "seed": 4,
    }
    usual = plan(corpus)
    assert chosen.tree.embedding == usual.tree.embedding
    assert chosen.recipe.learning_rate == usual.recipe.learning_rate


@pytest.mark.parametrize("preset", ["auto", "lecture"])
@pytest.mark.parametrize("epochs", [0.001, 1, 2.5])
def test_epochs_become_steps_of_the_batch_size_in_use(corpus: Corpus, preset: Any, epochs: float) -> None:
    recipe = plan(corpus, preset, {"epochs": epochs, "batch_size": 10}).recipe
    asked = epochs * corpus.train.targets
    assert asked <= recipe.steps * 10 < asked + 10


def test_settings_are_not_changed(corpus: Corpus) -> None:
    settings = {"context": 4, "epochs": 1}
    plan(corpus, settings=settings)
    assert settings == {"context": 4, "epochs": 1}


def test_long_lines_get_a_longer_context() -> None:
    short, long = (plan(Corpus.from_lines([f"{word * count}{i}" for i, word in enumerate(TEN)])) for count in (1, 9))
    assert long.tree.context > short.tree.context


@pytest.mark.parametrize("count", [10, 60, 1_000])
def test_small_lists_get_small_batches(count: int) -> None:
    corpus = Corpus.from_lines([f"{TEN[i % 10]}{i}" for i in range(count)])
    recipe = plan(corpus).recipe
    assert 2 <= recipe.batch_size <= max(8, corpus.train.targets / 12)
    assert recipe.steps >= 10


def test_the_bundled_names_get_the_lectures_size_and_large_batches() -> None:
    chosen = plan(load("names"))
    assert (chosen.tree.fuse, chosen.tree.embedding, chosen.tree.hidden) == ((2, 2, 2), 24, 128)
    assert chosen.recipe.batch_size == 2_048


def test_small_lists_forget_faster_than_large_ones() -> None:
    def forgotten_an_epoch(corpus: Corpus) -> float:
        recipe = plan(corpus).recipe
        return recipe.learning_rate * recipe.weight_decay * corpus.train.targets / recipe.batch_size

    small = Corpus.from_lines([f"{TEN[i % 10]}{i}" for i in range(200)])
    assert forgotten_an_epoch(small) > 2 * forgotten_an_epoch(load("names"))


@pytest.mark.parametrize("model", CONFIGS)
def test_every_model_has_a_plan(corpus: Corpus, model: str) -> None:
    chosen = plan(corpus, settings={"model": model})
    assert chosen.model == model
    assert type(chosen.settings) is CONFIGS[model]
    assert chosen.recipe.execution == ("unique" if model in ("tree", "mlp") else "lines")
    if model == "tree":
        assert chosen.tree == chosen.settings
    else:
        with pytest.raises(UsageError, match=f"the plan is for a {model}"):
            _ = chosen.tree


def test_settings_of_a_model_are_taken_and_those_of_others_are_not(corpus: Corpus) -> None:
    chosen = plan(corpus, settings={"model": "wavenet", "dilations": (1, 3), "cycles": 2, "learning_rate": 0.01})
    assert chosen.settings == WaveNetConfig(dilations=(1, 3), cycles=2)
    assert chosen.settings.receptive_field == 9
    assert chosen.recipe.learning_rate == 0.01
    with pytest.raises(UsageError, match="--cycles is for wavenet: the settings of model gru are --dropout"):
        plan(corpus, settings={"model": "gru", "cycles": 2})
    with pytest.raises(UsageError, match="no model 'bush': choose one of tree, wavenet"):
        plan(corpus, settings={"model": "bush"})


def test_the_lectures_training_of_another_model(corpus: Corpus) -> None:
    chosen = plan(corpus, "lecture", {"model": "gru", "steps": 3})
    assert (chosen.recipe.optimizer, chosen.recipe.steps, chosen.recipe.execution) == ("sgd", 3, "lines")


@pytest.mark.parametrize("lines", [TEN, list("abcdefghij")])
def test_a_plan_for_ten_lines_trains_on_them(lines: list[str]) -> None:
    corpus = Corpus.from_lines(lines)
    chosen = plan(corpus, settings={"hidden": 16})
    model = build("tree", len(corpus.vocabulary), chosen.tree, chosen.recipe.seed)
    records = list(fit(model, corpus, chosen.recipe))
    assert len(records) == chosen.recipe.steps
    assert records[-1].epoch >= 5
    assert records[-1].train_nats < records[0].train_nats


def test_what_nobody_has_named_is_a_tree_for_a_list_and_an_lstm_for_a_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 100, encoding="utf-8")
    text = load_text(tmp_path / "text.txt", cache=tmp_path)
    assert plan(text).model == "lstm"
    assert plan(text, settings={"channels": 8}).model == "wavenet"
    assert plan(text, settings={"dropout": 0.1, "learning_rate": 0.01, "hidden": 8}).model == "lstm"
    assert plan(text, settings={"fuse": (2, 2)}).model == "tree"
    assert plan(text, settings={"context": 8}).model == "tree"
    assert plan(load("names"), settings={"dropout": 0.1}).model == "tree"
    with pytest.raises(UsageError, match="--fuse is for tree: the settings of model wavenet"):
        plan(text, settings={"fuse": (2, 2), "channels": 8})


def test_a_short_text_gets_a_model_that_sees_an_eighth_of_it_at_most(tmp_path: Path) -> None:
    fields = []
    for characters in (300, 1_000, 10_000):
        path = tmp_path / f"{characters}.txt"
        path.write_text("to be or not to be, " * (characters // 20), encoding="utf-8")
        chosen = plan(load_text(path, share=0.6, cache=tmp_path), settings={"model": "wavenet"})
        fields.append(chosen.settings.receptive_field)
    assert fields == [15, 63, 127]
    chosen = plan(load_text(path, share=0.6, cache=tmp_path), settings={"dilations": (1, 2, 4)})
    assert chosen.settings.receptive_field == 8  # one cycle, as asked for
