"""Study files: what they mean, and errors of one line for what is wrong."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import UsageError
from wavemore.studies.budget import parameter_count, plan_trial, with_time
from wavemore.studies.file import SETTING_TYPES, convert_study, parse_study, read_study, shipped_studies
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

GOOD = """
question = "Flat or tree?"
seeds = [0, 1]
[fixed]
embedding = 4
[tune]
learning_rate = [0.01, 0.1]
weight_decay = [0, 0.5]
[[arm]]
name = "flat"
fuse = [4]
hidden = 8
[[arm]]
name = "tree"
fuse = [2, 2]
parameters = 400
"""


@pytest.fixture(scope="module")
def shakespeare(tmp_path_factory: pytest.TempPathFactory) -> TextCorpus:
    """A text with 65 characters, as many as tinyshakespeare has, long enough for every model of a study."""
    folder = tmp_path_factory.mktemp("text")
    characters = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert len(characters) == 65
    (folder / "text.txt").write_text(characters * 4_000, encoding="utf-8")
    return load_corpus(folder / "text.txt", format="text", cache=folder)


@pytest.fixture(scope="module")
def names() -> LineCorpus:
    return load_corpus("names")


@pytest.fixture(scope="module")
def corpus() -> LineCorpus:
    return LineCorpus.from_lines([first + second for first in "abcdefg" for second in ("na", "lino", "")])


def test_all_arms_have_the_same_number_of_trials() -> None:
    study = parse_study(GOOD, "good")
    assert [arm.name for arm in study.arms] == ["flat", "tree"]
    assert study.arms[0].settings == {"embedding": 4, "fuse": (4,), "hidden": 8}
    expected = [(rate, decay) for rate in (0.01, 0.1) for decay in (0.0, 0.5)]
    for arm in study.arms:
        assert [(trial["learning_rate"], trial["weight_decay"]) for trial in arm.trials] == expected
    assert study.tune_seeds == (1_000,)
    assert study.baseline_of(study.arms[0]) is None
    assert study.baseline_of(study.arms[1]) == study.arms[0]


def test_the_baseline_is_the_first_of_the_group_the_previous_or_a_named_arm() -> None:
    text = GOOD + '[[arm]]\nname = "third"\ngroup = "other"\n[[arm]]\nname = "fourth"\ngroup = "other"\n'

    def baselines(baseline: str) -> list[str | None]:
        study = parse_study(text.replace("seeds = [0, 1]", f'seeds = [0, 1]\nbaseline = "{baseline}"'), "good")
        arms = [study.baseline_of(arm) for arm in study.arms]
        return [arm.name if arm else None for arm in arms]

    assert baselines("first") == [None, "flat", None, "third"]
    assert baselines("previous") == [None, "flat", None, "third"]
    assert baselines("fourth") == ["fourth", "fourth", "fourth", None]


def test_vary_makes_an_arm_of_each_combination() -> None:
    vary = '[vary]\nbatch_size = [32, 2048]\nnorm = ["batch", "none"]'
    study = parse_study(f'question = "?"\nseeds = [0]\ngroup_by = "batch_size"\n{vary}', "vary")
    assert [arm.name for arm in study.arms][:2] == ["batch size 32, norm batch", "batch size 32, norm none"]
    assert [arm.group for arm in study.arms] == ["batch size 32"] * 2 + ["batch size 2,048"] * 2
    assert study.arms[3].settings == {"batch_size": 2048, "norm": "none"}


def test_other_seeds() -> None:
    study = parse_study(GOOD, "good")
    assert study.with_seeds((7, 8)).file.seeds == [7, 8]
    with pytest.raises(UsageError, match="`seeds`: Expected `int` >= 0"):
        study.with_seeds((-1,))


def test_equal_parameters_means_the_widest_model_that_fits(corpus: LineCorpus) -> None:
    arm = parse_study(GOOD, "good").arms[1]
    planned = plan_trial(arm, arm.trials[2], corpus)
    size = len(corpus.vocabulary)

    def count(hidden: int) -> int:  # embedding, two levels of Linear and BatchNorm, the output
        return 4 * size + (8 * hidden + 2 * hidden) + (2 * hidden**2 + 2 * hidden) + (hidden + 1) * size

    assert count(planned.model_config.width) <= 400 < count(planned.model_config.width + 1)
    assert planned.recipe.learning_rate == 0.1


def test_equal_time_means_the_steps_that_fit_into_it(corpus: LineCorpus) -> None:
    planned = plan_trial(parse_study(GOOD.replace("[tune]", "seconds = 3\n[tune]"), "good").arms[0], {}, corpus)
    assert with_time(planned, seconds=3.0, step_ms=40.0).recipe.steps == 75
    assert with_time(planned, seconds=0.001, step_ms=40.0).recipe.steps == 1


WRONG = [
    ("question = ", "not valid TOML"),
    (GOOD.replace('question = "Flat or tree?"', ""), "there must be a key `question`"),
    (GOOD.replace("Flat or tree?", " "), "(in question)"),
    (GOOD.replace("seeds = [0, 1]", "sedes = [0, 1]"), "`sedes`"),
    (GOOD.replace("seeds = [0, 1]", "seeds = []"), "(in seeds)"),
    (GOOD.replace("seeds = [0, 1]", "seeds = [1, 1]"), "seeds has the same seed twice"),
    (GOOD.replace("seeds = [0, 1]", "seeds = [-1]"), "Expected `int` >= 0"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = "all"'), "(in seeds)"),
    (GOOD.replace("[tune]", "[tune]\nseeds = [true]"), "tune.seeds: Expected `int`"),
    (GOOD.replace("embedding = 4", "embeding = 4"), "there is no setting 'embeding'"),
    (GOOD.replace("embedding = 4", "seed = 4"), "seed is not a setting of an arm"),
    (GOOD.replace("embedding = 4", "distill_weight = 0.5"), "distill_weight is not a setting of an arm"),
    (GOOD.replace("embedding = 4", 'embedding = "four"'), "embedding is 'four'"),
    (GOOD.replace("[0.01, 0.1]", "[]"), "tune.learning_rate is empty"),
    (GOOD.replace('name = "flat"', ""), "arm 1 has no name"),
    (GOOD.replace('name = "flat"', 'name = "tree"'), "two arms have the name 'tree'"),
    (GOOD.replace('name = "flat"', 'name = "Tree!"'), "two arms have the name 'Tree!', or nearly"),
    (GOOD.replace("hidden = 8", "hidden = 8\ntune = { weight_decay = [0.1] }"), "different tuning budgets: 2, 4"),
    (GOOD.replace("hidden = 8", "hidden = 8\npublished = { vale = 2.0 }"), "`vale`"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = [0, 1]\nbaseline = "nobody"'), "baseline is 'nobody'"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = [0, 1]\nmeasure = ["luck"]'), "'luck' (in measure"),
    (GOOD.split("[[arm]]")[0], "nothing varies"),
    (GOOD + "[vary]\nhidden = [1, 2]", "not both"),
    ('question = "?"\nseeds = [0]\n[vary]\ncontext = []', "vary.context is empty"),
    ('question = "?"\nseeds = [0]\n[vary]\ncontext = [2]', "two or more arms"),
    ('question = "?"\nseeds = [0]\ngroup_by = "norm"\n[vary]\ncontext = [2, 4]', "does not vary"),
    ('question = "?"\nseeds = [0]\n[vary]\nmodel = ["tree", "bush"]', "model is 'bush'; it must be one of tree"),
    ('question = "?"\nseeds = [0]\n[vary]\nnorm = ["batch", "group"]', "norm is 'group'; it must be one of batch"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_an_invalid_study_is_an_error_of_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_study(text, "wrong")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_that_contradict_each_other_name_the_arm(corpus: LineCorpus) -> None:
    for extra, message in [
        ("hidden = 9", "parameters decides hidden"),
        ("epochs = 1\nseconds = 2", "give only one of"),
        ("seconds = 0", "must be above 0"),
        ("context = 8", "context"),
    ]:
        study = parse_study(GOOD.replace("parameters = 400", f"parameters = 400\n{extra}"), "wrong")
        with pytest.raises(UsageError, match=f"^arm 'tree': .*{message}"):
            plan_trial(study.arms[1], {}, corpus)
    vary = 'question = "?"\nseeds = [0]\n[fixed]\nmodel = "wavenet"\nparameters = 999\n[vary]\nskip_channels = [4, 8]'
    with pytest.raises(UsageError, match="parameters decides skip_channels"):
        plan_trial(parse_study(vary, "wrong").arms[0], {}, corpus)
    study = parse_study(GOOD.replace("parameters = 400", "parameters = 4"), "wrong")
    with pytest.raises(UsageError, match="even the smallest model with these settings has more than 4 parameters"):
        plan_trial(study.arms[1], {}, corpus)


@given(
    st.dictionaries(
        st.sampled_from(["question", "seeds", "baseline", "fixed", "tune", "vary", "arm", "measure", "data", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*SETTING_TYPES, "name", "group", "tune", "published", "x"]), inner, max_size=3
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_any_table_is_a_study_or_a_usage_error(table: dict[str, object]) -> None:
    with contextlib.suppress(UsageError):
        assert len(convert_study(table, "any").arms) > 1


@given(st.text())
def test_any_text_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_study(text, "any")


def test_the_shipped_studies_can_be_run(names: LineCorpus, shakespeare: TextCorpus) -> None:
    lists = {"architectures", "context", "duplicates", "fusion", "lecture", "norm", "optimizer"}
    assert set(shipped_studies()) == lists | {"architectures-text"}
    for name in shipped_studies():
        study = read_study(name)
        corpus = names if name in lists else shakespeare
        assert study.file.format == corpus.format
        assert study.file.expected, "every study states what was expected before it was run"
        assert len(study.file.seeds) >= 3
        assert not set(study.file.seeds) & set(study.tune_seeds), "tuned on seeds of their own"
        for arm in study.arms:
            for trial in arm.trials:
                plan_trial(arm, trial, corpus)


@pytest.mark.parametrize("name", ["architectures", "architectures-text"])
def test_architectures_have_about_equal_parameters_and_equal_time(
    name: str, names: LineCorpus, shakespeare: TextCorpus
) -> None:
    study = read_study(name)
    corpus = names if study.file.format == "lines" else shakespeare
    models: dict[str, list[str]] = {}
    for arm in study.arms:
        planned = plan_trial(arm, arm.trials[0], corpus)
        models.setdefault(arm.group, []).append(planned.model)
        if planned.model == "ngram":
            assert len({plan_trial(arm, trial, corpus).model_config for trial in arm.trials}) == len(arm.trials)
            continue
        count = parameter_count(planned.model, len(corpus.vocabulary), planned.model_config)
        stated = int(arm.name.split(", ")[1].removesuffix(" parameters").replace(",", ""))
        assert count == pytest.approx(stated, rel=0.06), arm.name
        assert arm.settings["seconds"] == study.arms[0].settings["seconds"]
    for group in models.values():
        assert sorted(group) == ["gru", "lstm", "ngram", "transformer", "tree", "wavenet"]


TEXT = """
question = "Counts or a tree?"
seeds = [0, 1]
format = "text"
[fixed]
num_evals = 2
steps = 10
[tune]
learning_rate = [0.01, 0.1]
[[arm]]
name = "tree"
model = "tree"
block_size = 64
batch_size = 128
[[arm]]
name = "counts"
model = "ngram"
tune = { order = [2, 3] }
"""


def test_an_ngram_model_ignores_shared_settings_of_the_training(shakespeare: TextCorpus) -> None:
    tree, counts = parse_study(TEXT, "text").arms
    assert counts.settings == {"model": "ngram"}
    assert counts.trials == ({"order": 2}, {"order": 3})
    assert [trial["learning_rate"] for trial in tree.trials] == [0.01, 0.1]
    assert plan_trial(tree, tree.trials[0], shakespeare).recipe.block_size == 64
    wrong = parse_study(TEXT.replace('model = "ngram"', 'model = "ngram"\nsteps = 4'), "text")
    with pytest.raises(UsageError, match="arm 'counts': `steps`"):
        plan_trial(wrong.arms[1], {}, shakespeare)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('format = "book"', "'book'"),
        ("train_fraction = 0.5", "train_fraction is only for a continuous text"),
        ('format = "text"\nsplit_method = "lecture"', "is split by train_fraction only"),
        ('format = "text"\ntrain_fraction = 1.5', "Expected `float` < 1.0 (in train_fraction)"),
        ('format = "text"\nmeasure = ["memorisation"]', "measure is only for lines"),
    ],
)
def test_keys_that_do_not_suit_the_format(line: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_study(TEXT.replace('format = "text"', line), "text")
    assert message in str(error.value)


def test_the_arms_of_a_group_have_the_same_budget(names: LineCorpus) -> None:
    study = read_study("fusion")
    for arm in study.arms:
        budget = {key: arm.settings[key] for key in ("parameters", "seconds", "epochs") if key in arm.settings}
        for other in study.arms:
            assert other.group != arm.group or budget == {key: other.settings[key] for key in budget}
        assert plan_trial(arm, arm.trials[0], names).model_config.receptive_field == 8


def test_a_file_that_is_missing_or_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no study 'nothing': give a TOML file, or one of architectures, "):
        read_study("nothing")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml: it is not UTF-8 text"):
        read_study(str(tmp_path / "bytes.toml"))
    (tmp_path / "wrong.toml").write_text("seeds = 1")
    with pytest.raises(UsageError, match=r"wrong\.toml: "):
        read_study(str(tmp_path / "wrong.toml"))


def test_arms_with_different_models(names: LineCorpus) -> None:
    study = parse_study(
        'question = "?"\nseeds = [0]\n[fixed]\nparameters = 20000\nseconds = 3\n[vary]\n'
        'model = ["tree", "wavenet", "gru", "transformer", "bow", "bigram", "ngram"]',
        "models",
    )
    for arm in study.arms:
        planned = plan_trial(arm, arm.trials[0], names)
        assert arm.name == f"model {planned.model}"
        if planned.model == "ngram":
            assert planned.recipe.steps == 1
            continue
        config, size = planned.model_config, len(names.vocabulary)
        assert parameter_count(planned.model, size, config) <= 20_000
        if config.width:
            assert parameter_count(planned.model, size, config.with_width(config.width + 1)) > 20_000
