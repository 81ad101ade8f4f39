from dataclasses import replace

import msgspec
import pytest

from wavemore.engine.training_plan import TimeBudget
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.runs.config import RunConfig, TeacherConfig
from wavemore.runs.describe import describe_data, describe_model, describe_split
from wavemore.runs.identity import changed_settings, data_differences, data_key, recipe_key, training_digest


def with_seed(config: RunConfig, seed: int) -> RunConfig:
    return replace(config, recipe=replace(config.recipe, seed=seed))


def test_seeds_of_a_recipe_differ_in_their_training_alone(config: RunConfig) -> None:
    other = with_seed(config, 5)
    assert recipe_key(other) == recipe_key(config)
    assert changed_settings(config, other) == ()
    assert training_digest(other) != training_digest(config)


def test_notes_device_and_date_decide_nothing(config: RunConfig) -> None:
    other = replace(config, note="x", experiment="y", device="cuda", threads=4, created="", command=())
    assert training_digest(other) == training_digest(config)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"sha256": "0" * 64}, r"data names (........) and names (00000000)"),
        ({"encoding": "latin-1"}, "encoding utf-8 and latin-1"),
        ({"split_method": "lecture"}, "split distinct, seed 0 and lecture"),
        ({"split_seed": 4}, "split distinct, seed 0 and distinct, seed 4"),
        ({"train_fraction": 0.8}, "split distinct, seed 0 and the first 80 % train"),
    ],
)
def test_differences_of_data(config: RunConfig, changes: dict[str, object], difference: str) -> None:
    data = replace(config.data, **changes)  # type: ignore[arg-type]
    assert data_key(data) != data_key(config.data)
    assert data_differences(config.data, data) == [difference.replace("........", config.data.sha256[:8])]
    assert data_differences(data, data) == []


def test_the_seed_of_the_lecture_split_does_not_matter(config: RunConfig) -> None:
    a, b = (replace(config.data, split_method="lecture", split_seed=seed) for seed in (0, 1))
    assert data_differences(a, b) == []


def test_changed_settings_are_named(config: RunConfig) -> None:
    tree = replace(config, model_config=replace(config.model_config, fuse=(4,), hidden=16))
    other = replace(tree, recipe=replace(config.recipe, batch_size=16))
    assert changed_settings(config, other) == ("fuse 2x2 → 4", "hidden 8 → 16", "batch size 8 → 16")
    wavenet = replace(config, model="wavenet", model_config=WaveNetConfig())
    label = WaveNetConfig().label
    assert changed_settings(config, wavenet) == ("model tree → wavenet", f"size 2x2 4/8 → {label}")
    teachers = tuple(TeacherConfig(run, "", "tree", 1.0) for run in "ab")
    assert changed_settings(config, replace(config, teachers=teachers)) == ("teachers none → 2 x tree",)


def test_descriptions(config: RunConfig) -> None:
    assert describe_model(config) == "tree 2x2 4/8 muon"
    assert describe_data(config) == "names"
    seeded = replace(config.data, split_seed=3)
    assert (describe_data(replace(config, data=seeded)), describe_split(seeded)) == (
        "names split 3",
        "distinct, seed 3",
    )
    text = replace(config.data, train_fraction=0.75)
    assert (describe_data(replace(config, data=text)), describe_split(text)) == (
        "names text 75 %",
        "the first 75 % train",
    )


def test_a_default_that_a_file_lacks_changes_no_digest(config: RunConfig) -> None:
    fields = msgspec.to_builtins(config.data.cleaning)
    fields.pop("long_lines")
    read = msgspec.convert(fields, type(config.data.cleaning))
    assert read == config.data.cleaning
    assert training_digest(replace(config, data=replace(config.data, cleaning=read))) == training_digest(config)


def test_runs_of_the_same_time_are_one_recipe_however_many_steps_fit(config: RunConfig) -> None:
    timed = replace(config, budget=TimeBudget(5.0, 1e4, 2.0, chosen={"steps": config.recipe.steps}))
    recipe = config.recipe.with_steps(config.recipe.steps - 1, done=2)
    other = replace(timed, recipe=replace(recipe, seed=7), budget=TimeBudget(5.0, 1.1e4, 1.0, chosen={}))
    assert recipe_key(other) == recipe_key(timed)
    assert changed_settings(timed, other) == ()
    longer = replace(other, budget=TimeBudget(15.0, 1.1e4, 1.0, chosen={}))
    assert recipe_key(longer) != recipe_key(timed)
    assert changed_settings(timed, longer) == ("minutes 5 → 15",)
    assert recipe_key(timed) != recipe_key(config)
