"""Trials are the same after an interruption, and their storage is read like any other file of a stranger."""

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemore.errors import RunError
from wavemore.studies.tuning.importance import importance
from wavemore.studies.tuning.journal import Journal, open_study, optuna
from wavemore.studies.tuning.space import Space
from wavemore.studies.tuning.trials import Trials, has_trials, with_facts
from wavemore.text.line_corpus import LineCorpus

LIST = LineCorpus.from_lines([f"{a}{b}{c}" for a in "abcde" for b in "aeiou" for c in "lmnop"])
SPACE = Space(LIST, ("tree", "lstm"))


def trials_in(folder: Path) -> Trials:
    folder.mkdir(exist_ok=True)
    return Trials(SPACE, folder, seed=3, step_seconds=lambda planned: 0.001)


def loss(number: int, evaluation: int) -> float:
    return 2 + (number * 7 % 5) / 10 + 1 / evaluation


def train(trials: Trials, number: int, until: int = 10) -> None:
    """What a tuner does with a trial, but for the training."""
    for evaluation in range(1, until):
        if trials.report(number, evaluation, loss(number, evaluation)):
            trials.prune(number, with_facts(trials.all()[number - 1].facts, why="hopeless"))
            return
    if until == 10:
        trials.finish(number, loss(number, 10), with_facts(trials.all()[number - 1].facts, parameters=9))


def test_an_interrupted_search_has_the_same_trials(tmp_path: Path) -> None:
    whole = trials_in(tmp_path / "whole")
    for _ in range(16):
        train(whole, whole.ask().number)
    for number in range(1, 17):
        cut = trials_in(tmp_path / "cut")  # as after a kill
        assert cut.ask().number == number
        train(cut, number, until=5)
        cut = trials_in(tmp_path / "cut")
        for running in [tried for tried in cut.all() if tried.state == "running"]:
            train(cut, running.number)
    assert trials_in(tmp_path / "cut").all() == whole.all()
    states = [tried.state for tried in whole.all()]
    assert states.count("pruned") >= 2
    assert {tried.facts.model for tried in whole.all()} == {"tree", "lstm"}


def test_a_torn_line_is_left_out_and_replaced(tmp_path: Path) -> None:
    trials = trials_in(tmp_path)
    assert not has_trials(tmp_path)
    train(trials, trials.ask().number)
    assert has_trials(tmp_path)
    path = tmp_path / "journal.jsonl"
    content = path.read_bytes()
    path.write_bytes(content + b'{"op_code": 4, "worker')
    again = trials_in(tmp_path)
    assert again.all() == trials.all()
    again.ask()
    assert path.read_bytes().startswith(content)
    assert len(trials_in(tmp_path)) == 2
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    assert len(optuna.load_study(study_name="wavemore", storage=storage).trials) == 2, "Optuna reads it too"


def test_what_belongs_together_is_written_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    study = open_study(journal)
    before = journal.path.read_bytes()

    def interrupted() -> None:
        with journal.at_once():
            study.ask()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert journal.path.read_bytes() == before


LOGS = st.lists(
    st.fixed_dictionaries(
        {"op_code": st.integers(-1, 11), "worker_id": st.text(max_size=3)},
        optional={
            "study_id": st.integers(-1, 2),
            "trial_id": st.integers(-1, 2),
            "study_name": st.sampled_from(["wavemore", "x"]),
            "directions": st.lists(st.integers(0, 3), max_size=2),
            "datetime_start": st.none() | st.text(max_size=5) | st.just("2026-01-01T00:00:00"),
            "datetime_complete": st.just("2026-01-01T00:00:00"),
            "param_name": st.text(max_size=4),
            "param_value_internal": st.none() | st.floats() | st.integers(),
            "distribution": st.text(max_size=9)
            | st.just('{"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "log": false}}'),
            "state": st.integers(-1, 5),
            "value": st.none() | st.floats(),
            "values": st.none() | st.lists(st.floats(), max_size=2),
            "step": st.integers() | st.text(max_size=2),
            "intermediate_value": st.floats() | st.text(max_size=2),
            "user_attr": st.dictionaries(st.sampled_from(["facts", "search"]), st.integers() | st.just({"model": 3})),
        },
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(logs=LOGS, garbage=st.binary(max_size=30))
def test_a_storage_of_a_stranger_is_read_or_refused(
    logs: list[dict[str, object]], garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("strange")
    begin = {"op_code": 0, "worker_id": "w", "study_name": "wavemore", "directions": [1]}
    lines = "".join(json.dumps(log) + "\n" for log in [begin, *logs]).encode()
    (folder / "journal.jsonl").write_bytes(lines + garbage)
    with suppress(RunError):
        trials = trials_in(folder)
        trials.ended_search()
        trials.curves()
    assert [path.name for path in folder.iterdir()] == ["journal.jsonl"]


def test_a_storage_of_another_search_is_refused(tmp_path: Path) -> None:
    trials_in(tmp_path).ask()
    trials = Trials(Space(LIST, ("tree", "gru")), tmp_path, seed=3, step_seconds=lambda planned: 0.001)
    before = (tmp_path / "journal.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"journal.jsonl is of another search, .*: choose another `folder`"):
        trials.ask()
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_database_in_its_place_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table trials (number)")
    before = path.read_bytes()
    assert b"\n" not in before, "it looks like one line that was cut short"
    with pytest.raises(RunError, match=r"journal.jsonl is damaged or was changed .*: choose another `folder`"):
        trials_in(tmp_path)
    assert path.read_bytes() == before


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}\n", encoding="utf-8")
    (tmp_path / "journal.jsonl").symlink_to("other")
    with pytest.raises(RunError, match="symbolic link"):
        trials_in(tmp_path)
    assert (tmp_path / "other").read_text(encoding="utf-8") == "{}\n"


def test_importance_needs_some_trials_and_adds_up_to_one(tmp_path: Path) -> None:
    trials = trials_in(tmp_path)
    for _ in range(30):
        tried = trials.ask()
        rate = tried.values.get("tree.learning_rate", 0.5)
        trials.finish(tried.number, 2 + abs(rate - 0.03), tried.facts)
    values = importance("tree", trials.all())
    assert sum(values.values()) == pytest.approx(1)
    assert next(iter(values)) == "learning_rate"
    assert importance("tree", trials.all()[:5]) == {}
