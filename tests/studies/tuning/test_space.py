"""Every choice of the space is a training that keeps the limits; the first one is the default training."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemore.engine.plan import plan
from wavemore.errors import UsageError
from wavemore.nn.models import LABELLED, MODELS, build_without_memory, parameter_count
from wavemore.studies.tuning.command import train_command
from wavemore.studies.tuning.journal import optuna
from wavemore.studies.tuning.ranges import Value
from wavemore.studies.tuning.space import TIME_SHARE, Limits, Space
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus

LINES = [f"{first}{middle}{last}" for first in ("an", "bo", "él") for middle in ("na", "li", "") for last in "aeiou"]
LIST = LineCorpus.from_lines(LINES * 4)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("to be or not to be, that is the question\n" * 60, encoding="utf-8")
    short = file.with_name("short.txt")
    short.write_text("to be or not to be, that is the question\n" * 500, encoding="utf-8")
    labelled = LineCorpus.from_lines(LINES * 4, labels=["de", "fi", "nl"] * (4 * len(LINES) // 3))
    return {
        "list": LIST,
        "text": load_corpus(file, format="text"),
        "short": load_corpus(short, format="text"),
        "labelled": labelled,
    }


@pytest.fixture(scope="module", params=["list", "text", "labelled"])
def corpus(corpora: dict[str, Corpus], request: pytest.FixtureRequest) -> Corpus:
    return corpora[request.param]


class Drawn:
    """A trial whose values hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.data.draw(st.sampled_from(list(choices)), label=name)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self.data.draw(st.floats(low, high), label=name)


@settings(max_examples=40)
@given(data=st.data())
def test_a_choice_keeps_the_limits(corpora: dict[str, Corpus], data: st.DataObject) -> None:
    check_choice(corpora, data)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(data=st.data())
def test_every_choice_keeps_the_limits(corpora: dict[str, Corpus], data: st.DataObject) -> None:
    check_choice(corpora, data)


def check_choice(corpora: dict[str, Corpus], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["list", "text", "short", "labelled"]), label="data")
    corpus, num_labels = corpora[name], len(corpora[name].vocabulary.labels)
    models = LABELLED if num_labels else [name for name in MODELS if name != "ngram"]
    model = data.draw(st.sampled_from(models), label="model")
    most = data.draw(st.none() | st.sampled_from([3_000, 20_000]), label="most")
    seconds = data.draw(st.none() | st.sampled_from([0.5, 10.0]), label="seconds")
    step_seconds = data.draw(st.sampled_from([1e-4, 0.01]), label="time of a step")
    space = Space(corpus, (model,), Limits(most, seconds))
    choice = space.suggest(Drawn(data))
    planned, chosen = space.planned(choice, step_seconds)
    assert planned.model == model
    if most is not None:
        built = build_without_memory(model, len(corpus.vocabulary), planned.model_config, num_labels)
        assert built.parameter_count() <= most
    if seconds is not None:
        assert planned.recipe.steps * step_seconds <= max(TIME_SHARE * seconds, step_seconds) + 1e-9
    assert plan(corpus, model=model, **chosen) == planned, "the settings say all"


def test_the_first_point_is_the_default_training(corpus: Corpus) -> None:
    for limits in (Limits(), Limits(10_000_000, 1e6)):
        space = Space(corpus, (), limits)
        trial = optuna.trial.FixedTrial(space.starts(lambda planned: 0.001)[0])
        planned, _ = space.planned(space.suggest(trial), 0.001)
        assert planned == plan(corpus)


@settings(max_examples=10)
@given(most=st.none() | st.integers(3_000, 10**6), seconds=st.none() | st.floats(0.1, 1e4))
def test_the_first_points_are_in_the_space(corpus: Corpus, most: int | None, seconds: float | None) -> None:
    space = Space(corpus, (), Limits(most, seconds))
    for point in space.starts(lambda planned: 0.01):
        choice = space.suggest(InRange(point))
        planned, _ = space.planned(choice, 0.01)
        count = parameter_count(planned.model, len(corpus.vocabulary), planned.model_config)
        assert most is None or count <= most


@pytest.mark.parametrize("model", [name for name in MODELS if name != "ngram"])
@pytest.mark.parametrize("size", [1_500, 5_000, 22_000, 80_000])
def test_the_first_points_are_in_the_space_for_data_of_any_size(model: str, size: int, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("".join(f"line {number * 7919 % 1000}\n" for number in range(size // 9)), "utf-8")
    for data_format in ("lines", "text"):
        space = Space(load_corpus(tmp_path / "data", format=data_format), (model,))
        for point in space.starts(lambda planned: 0.01):
            space.planned(space.suggest(InRange(point)), 0.01)


def test_a_time_shorter_than_a_step_leaves_one_step() -> None:
    space = Space(LIST, ("tree", "bow"), Limits(max_seconds=1e-3))
    for point in space.starts(lambda planned: 0.5):
        planned, _ = space.planned(space.suggest(InRange(point)), 0.5)
        assert planned.recipe.steps == 1


class InRange:
    """A trial with given values, which must be in the ranges."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        assert self.values[name] in choices
        return self.values[name]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        value = self.values[name]
        assert isinstance(value, int)
        assert low <= value <= high, name
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = self.values[name]
        assert isinstance(value, float)
        assert low <= value <= high, name
        return value


def test_counts_are_searched_too() -> None:
    space = Space(LIST, ("ngram",))
    [point] = space.starts(lambda planned: 0.0)
    planned, chosen = space.planned(space.suggest(InRange(point)))
    assert (planned, chosen) == (plan(LIST, model="ngram"), {"order": 5})
    command = train_command(["list.txt"], planned, chosen, 3)
    assert " ".join(command) == "wavemore train list.txt --model ngram --order 5 --seed 3 --threads 1"


@pytest.mark.parametrize(
    ("models", "limits", "message"),
    [
        (("lstm",), Limits(max_parameters=5), "even the smallest lstm for this data has [0-9]+ parameters: raise"),
        ((), Limits(max_parameters=5), "even the smallest [a-z]+ for this data has [0-9]+ parameters: raise"),
        (("ngram",), Limits(max_parameters=5), "leave out `max_parameters`"),
        (("bigram",), Limits(max_parameters=5), "a bigram for this data has [0-9]+ parameters: raise"),
        (("nothing",), Limits(), "nothing"),
    ],
)
def test_a_space_that_contradicts_itself(models: tuple[str, ...], limits: Limits, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Space(LIST, models, limits)


@pytest.mark.parametrize(
    ("parameters", "seconds", "message"),
    [
        (0, None, "`max_parameters` is 0; it must be at least 1"),
        (None, 0.0, "`max_seconds` is 0; it must be above 0"),
        (None, float("nan"), "`max_seconds` is nan"),
    ],
)
def test_limits_out_of_range(parameters: int | None, seconds: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limits(parameters, seconds)
