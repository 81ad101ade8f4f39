"""What a study's file may say, and what it must not."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import UsageError
from wavemore.nn.config import TreeConfig
from wavemore.studies.file import KINDS, parameter_count, parse_study, read_study, settle, shipped, study_of
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load, load_text

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
def shakespeare(tmp_path_factory: pytest.TempPathFactory) -> TextStream:
    """A text of 65 characters, as many as tinyshakespeare has, and long enough for every model of a study."""
    folder = tmp_path_factory.mktemp("text")
    characters = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert len(characters) == 65
    (folder / "text.txt").write_text(characters * 4_000, encoding="utf-8")
    return load_text(folder / "text.txt", cache=folder)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.from_lines([first + second for first in "abcdefg" for second in ("na", "lino", "")])


def test_a_study_has_arms_with_the_same_tries() -> None:
    study = parse_study(GOOD, "good")
    assert [arm.name for arm in study.arms] == ["flat", "tree"]
    assert study.arms[0].settings == {"embedding": 4, "fuse": (4,), "hidden": 8}
    expected = [(rate, decay) for rate in (0.01, 0.1) for decay in (0.0, 0.5)]
    for arm in study.arms:
        assert [(one["learning_rate"], one["weight_decay"]) for one in arm.tries] == expected
    assert study.tune_seeds == (1_000,)
    assert study.base_of(study.arms[0]) is None
    assert study.base_of(study.arms[1]) == study.arms[0]


def test_arms_are_compared_within_their_group_or_with_the_one_before_or_a_named_one() -> None:
    text = GOOD + '[[arm]]\nname = "third"\ngroup = "other"\n[[arm]]\nname = "fourth"\ngroup = "other"\n'

    def bases(against: str) -> list[str | None]:
        study = parse_study(text.replace("seeds = [0, 1]", f'seeds = [0, 1]\nagainst = "{against}"'), "good")
        found = [study.base_of(arm) for arm in study.arms]
        return [base.name if base else None for base in found]

    assert bases("first") == [None, "flat", None, "third"]
    assert bases("previous") == [None, "flat", None, "third"]
    assert bases("fourth") == ["fourth", "fourth", "fourth", None]


def test_what_varies_makes_an_arm_a_combination() -> None:
    vary = '[vary]\nbatch_size = [32, 2048]\nnorm = ["batch", "none"]'
    study = parse_study(f'question = "?"\nseeds = [0]\ngroup_by = "batch_size"\n{vary}', "vary")
    assert [arm.name for arm in study.arms][:2] == ["batch size 32, norm batch", "batch size 32, norm none"]
    assert [arm.group for arm in study.arms] == ["batch size 32"] * 2 + ["batch size 2,048"] * 2
    assert study.arms[3].settings == {"batch_size": 2048, "norm": "none"}


def test_equal_parameters_means_the_largest_that_fits(corpus: Corpus) -> None:
    study = parse_study(GOOD, "good")
    chosen = settle(study.arms[1], study.arms[1].tries[2], corpus)
    vocabulary = len(corpus.vocabulary)

    def count(hidden: int) -> int:  # embedding, two levels of Linear and BatchNorm, the output
        return 4 * vocabulary + (8 * hidden + 2 * hidden) + (2 * hidden**2 + 2 * hidden) + (hidden + 1) * vocabulary

    assert count(chosen.tree.hidden) <= 400 < count(chosen.tree.hidden + 1)
    assert chosen.recipe.learning_rate == 0.1


def test_equal_time_means_the_steps_that_were_measured(corpus: Corpus) -> None:
    study = parse_study(GOOD.replace("[tune]", "seconds = 3\n[tune]"), "good")
    assert settle(study.arms[0], {}, corpus, steps=77).recipe.steps == 77


WRONG = [
    ("question = ", "this is no TOML"),
    (GOOD.replace('question = "Flat or tree?"', ""), "the key `question` is missing"),
    (GOOD.replace("Flat or tree?", " "), "question is empty"),
    (GOOD.replace("seeds = [0, 1]", "sedes = [0, 1]"), "`sedes`"),
    (GOOD.replace("seeds = [0, 1]", "seeds = []"), "seeds is a list of whole numbers"),
    (GOOD.replace("seeds = [0, 1]", "seeds = [1, 1]"), "names a seed twice"),
    (GOOD.replace("seeds = [0, 1]", "seeds = [-1]"), "0 or more"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = "all"'), "seeds"),
    (GOOD.replace("embedding = 4", "embeding = 4"), "there is no setting 'embeding'"),
    (GOOD.replace("embedding = 4", "seed = 4"), "seed is no setting of a study"),
    (GOOD.replace("embedding = 4", "teacher_share = 0.5"), "teacher_share is no setting of a study"),
    (GOOD.replace("embedding = 4", 'embedding = "four"'), "embedding is 'four'"),
    (GOOD.replace("[0.01, 0.1]", "[]"), "tune.learning_rate is empty"),
    (GOOD.replace('name = "flat"', ""), "arm 1 has no name"),
    (GOOD.replace('name = "flat"', 'name = "tree"'), "two arms have the name 'tree'"),
    (GOOD.replace('name = "flat"', 'name = "Tree!"'), "differ in signs only"),
    (GOOD.replace("hidden = 8", "hidden = 8\ntune = { weight_decay = [0.1] }"), "different tuning budgets: 2, 4"),
    (GOOD.replace("hidden = 8", "hidden = 8\npublished = { vale = 2.0 }"), "`vale`"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = [0, 1]\nagainst = "nobody"'), "against is 'nobody'"),
    (GOOD.replace("seeds = [0, 1]", 'seeds = [0, 1]\nmeasure = ["luck"]'), "there is no measure 'luck'"),
    (GOOD.split("[[arm]]")[0], "nothing varies"),
    (GOOD + "[vary]\nhidden = [1, 2]", "not both"),
    ('question = "?"\nseeds = [0]\n[vary]\ncontext = []', "vary.context is empty"),
    ('question = "?"\nseeds = [0]\n[vary]\ncontext = [2]', "two arms or more"),
    ('question = "?"\nseeds = [0]\ngroup_by = "norm"\n[vary]\ncontext = [2, 4]', "does not vary"),
    ('question = "?"\nseeds = [0]\n[vary]\nmodel = ["tree", "bush"]', "there is no model 'bush': choose of tree"),
    (
        'question = "?"\nseeds = [0]\n[vary]\nnorm = ["batch", "group"]',
        "there is no norm 'group': choose of",
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_no_study_is_said_in_a_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_study(text, "wrong")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_that_contradict_each_other_name_the_arm(corpus: Corpus) -> None:
    for extra, said in [
        ("hidden = 9", "instead of hidden"),
        ("epochs = 1\nseconds = 2", "instead of epochs"),
        ("seconds = 0", "must be above 0"),
        ("context = 8", "not --context 8"),
    ]:
        study = parse_study(GOOD.replace("parameters = 400", f"parameters = 400\n{extra}"), "wrong")
        with pytest.raises(UsageError, match=f"^arm 'tree': .*{said}"):
            settle(study.arms[1], {}, corpus)
    vary = 'question = "?"\nseeds = [0]\n[fixed]\nmodel = "wavenet"\nparameters = 999\n[vary]\nskip_channels = [4, 8]'
    with pytest.raises(UsageError, match="parameters stands instead of skip_channels"):
        settle(parse_study(vary, "wrong").arms[0], {}, corpus)
    study = parse_study(GOOD.replace("parameters = 400", "parameters = 4"), "wrong")
    with pytest.raises(UsageError, match="no model has as few as 4 parameters"):
        settle(study.arms[1], {}, corpus)


@given(
    st.dictionaries(
        st.sampled_from(["question", "seeds", "against", "fixed", "tune", "vary", "arm", "measure", "data", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*KINDS, "name", "group", "tune", "published", "x"]), inner, max_size=3
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_any_table_is_a_study_or_a_line(table: dict[str, object]) -> None:
    with contextlib.suppress(UsageError):
        assert len(study_of(table, "any").arms) > 1


@given(st.text())
def test_any_text_is_a_study_or_a_line(text: str) -> None:
    with pytest.raises(UsageError):
        parse_study(text, "any")


def test_the_studies_that_are_shipped_can_be_run(shakespeare: TextStream) -> None:
    lists = {"architectures", "context", "duplicates", "fusion", "lecture", "norm", "optimizer"}
    assert set(shipped()) == lists | {"architectures-text"}
    names = load("names")
    for name in shipped():
        study = read_study(name)
        corpus = names if name in lists else shakespeare
        assert study.file.text == ("lines" if name in lists else "stream")
        assert study.file.expected, "say what is expected before it is run"
        assert len(study.file.seeds) >= 3
        assert not set(study.file.seeds) & set(study.tune_seeds), "tuned on other seeds than are shown"
        for arm in study.arms:
            for tried in arm.tries:
                settle(arm, tried, corpus)


@pytest.mark.parametrize("name", ["architectures", "architectures-text"])
def test_architectures_are_about_equal_in_parameters_and_equal_in_time(name: str, shakespeare: TextStream) -> None:
    study = read_study(name)
    corpus = load("names") if study.file.text == "lines" else shakespeare
    for arm in study.arms:
        chosen = settle(arm, arm.tries[0], corpus, steps=77)
        if chosen.model == "ngram":
            assert len({settle(arm, tried, corpus).settings for tried in arm.tries}) == len(arm.tries)
            continue
        count = parameter_count(chosen.model, len(corpus.vocabulary), chosen.settings)
        named = int(arm.name.split(", ")[1].removesuffix(" parameters").replace(",", ""))
        assert count == pytest.approx(named, rel=0.06), arm.name
        assert chosen.recipe.steps == 77
    for group in {arm.group for arm in study.arms}:
        arms = [arm for arm in study.arms if arm.group == group]
        models = [settle(arm, arm.tries[0], corpus, steps=77).model for arm in arms]
        assert sorted(models) == ["gru", "lstm", "ngram", "transformer", "tree", "wavenet"]
        assert {arm.settings["seconds"] for arm in arms if arm.settings["model"] != "ngram"} == {
            arms[0].settings["seconds"]
        }


TEXT = """
question = "Counts or a tree?"
seeds = [0, 1]
text = "stream"
[fixed]
evaluations = 2
steps = 10
[tune]
learning_rate = [0.01, 0.1]
[[arm]]
name = "tree"
model = "tree"
stretch = 64
batch_size = 128
[[arm]]
name = "counts"
model = "ngram"
tune = { n = [2, 3] }
"""


def test_counting_leaves_out_what_is_of_trainings(shakespeare: TextStream) -> None:
    study = parse_study(TEXT, "text")
    tree, counts = study.arms
    assert counts.settings == {"model": "ngram"}
    assert counts.tries == ({"n": 2}, {"n": 3})
    assert [one["learning_rate"] for one in tree.tries] == [0.01, 0.1]
    assert settle(tree, tree.tries[0], shakespeare).recipe.stretch == 64
    wrong = parse_study(TEXT.replace('model = "ngram"', 'model = "ngram"\nsteps = 4'), "text")
    with pytest.raises(UsageError, match="arm 'counts': --steps is for models that are trained"):
        settle(wrong.arms[1], {}, shakespeare)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace('text = "stream"', 'text = "book"'), "'book'"),
        (TEXT.replace('text = "stream"', "split_share = 0.5"), "split_share is of a continuous text"),
        (TEXT.replace('text = "stream"', 'text = "stream"\nsplit = "lecture"'), "is split by split_share alone"),
        (
            TEXT.replace('text = "stream"', 'text = "stream"\nsplit_share = 1.5'),
            "split_share is 1.5; it must be above 0",
        ),
        (TEXT.replace('text = "stream"', 'text = "stream"\nmeasure = ["memory"]'), "a continuous text has none"),
    ],
)
def test_a_text_and_a_list_have_keys_of_their_own(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_study(text, "text")
    assert said in str(error.value)


def test_the_arms_of_a_group_are_equal_in_what_is_fixed() -> None:
    names = load("names")
    study = read_study("fusion")
    for arm in study.arms:
        budget = {key: arm.settings[key] for key in ("parameters", "seconds", "epochs") if key in arm.settings}
        assert all(
            budget == {key: other.settings[key] for key in budget} for other in study.arms if other.group == arm.group
        )
        tree: TreeConfig = settle(arm, arm.tries[0], names).tree
        assert tree.context == 8


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match="there is no study 'nothing': give a TOML file, or one of architectures, architectures-text, context",
    ):
        read_study("nothing")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml: it is no UTF-8 text"):
        read_study(str(tmp_path / "bytes.toml"))
    (tmp_path / "wrong.toml").write_text("seeds = 1")
    with pytest.raises(UsageError, match=r"wrong\.toml: "):
        read_study(str(tmp_path / "wrong.toml"))


def test_arms_may_be_other_models() -> None:
    names = load("names")
    study = parse_study(
        'question = "?"\nseeds = [0]\n[fixed]\nparameters = 20000\nseconds = 3\n[vary]\n'
        'model = ["tree", "wavenet", "gru", "transformer", "bow", "bigram", "ngram"]',
        "models",
    )
    for arm in study.arms:
        chosen = settle(arm, arm.tries[0], names, steps=77)
        assert arm.name == f"model {chosen.model}"
        if chosen.model == "ngram":
            assert chosen.recipe.steps == 1
            continue
        assert chosen.recipe.steps == 77
        count = parameter_count(chosen.model, len(names.vocabulary), chosen.settings)
        assert count <= 20_000
        if chosen.settings.width:
            wider = chosen.settings.widened(chosen.settings.width + 1)
            assert parameter_count(chosen.model, len(names.vocabulary), wider) > 20_000
