"""The verdicts of a tuning are those of `compare`, and its time is planned."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from wavemore.comparison.compare import compare
from wavemore.errors import RunError, UsageError
from wavemore.runs.find import find_group
from wavemore.studies.tuning.clock import Clock
from wavemore.studies.tuning.pruning import Curve, is_hopeless
from wavemore.studies.tuning.record import answer, curse_text
from wavemore.studies.tuning.request import Request, begin_search
from wavemore.studies.tuning.result import Finalist, _curse, judge_finalists
from wavemore.studies.tuning.space import Limits
from wavemore.studies.tuning.trials import Facts, Tried, has_trials


def tried(number: int, nats: float | None = 2.0, **facts: Any) -> Tried:
    return Tried(number, "complete", {}, {}, nats, Facts(**facts), {})


def finalist(name: str) -> Finalist:
    runs = tuple(find_group(name))
    return Finalist(tried(1), name, runs[0].config, (), runs, ())


@pytest.mark.usefixtures("experiments")
def test_finalists_are_judged_as_compare_does() -> None:
    expected = compare("small", "wide").overall
    outcome = judge_finalists(finalist("small"), finalist("wide"))
    assert outcome.p == pytest.approx(expected.p)
    assert outcome.difference == pytest.approx(expected.difference)
    assert outcome.better == expected.better == "b"


def repeated(number: int, *nats: float) -> Finalist:
    config = find_group("small")[0].config
    return Finalist(tried(number), "x", config, (), (), tuple({"val_nats": each} for each in nats))


@pytest.mark.usefixtures("experiments")
def test_how_much_too_good_the_best_of_the_repeats_looks_is_said_only_if_known() -> None:
    for finalists, of_repeats, text in (
        ([repeated(2, 1.9, 2.1), repeated(1, 2.1, 2.3)], 0.56 * 0.1, "the best of 2 on fresh seeds, which can make it"),
        ([repeated(2, 1.9), repeated(1, 2.1, 2.3)], None, "look too good: two repeats of each would show by how much."),
        ([repeated(2, 1.9, 2.1)], None, "so the search did not make it look too good."),
    ):
        curse = _curse(finalists, finalists)
        assert curse is not None
        assert curse["of_repeats"] == (of_repeats and pytest.approx(of_repeats))
        [sentence] = curse_text({"curse": curse, "finalists": finalists})
        assert text in sentence
        assert ("can make it" in sentence) == (len(finalists) > 1)


def test_one_trial_alone_is_not_said_to_be_better_than_others() -> None:
    winner = {"trial": 1, "description": "tree", "runs": [{"seed": 1, "val_nats": 2.0}]}
    record: dict[str, Any] = {
        "finalists": [winner | {"parameters": 9, "train_seconds": 1.0}],
        "comparisons": [],
        "curse": {"trial": 1, "search": 1.9, "fresh": 2.0, "of_repeats": None},
        "trials": [{"val_nats": 1.9}, {"val_nats": None}],
    }
    assert answer(record)[1:] == ["No other trial was trained to its end."]
    record["trials"].append({"val_nats": 2.4})
    assert [sentence.partition(" ")[0] for sentence in answer(record)] == ["Lowest", "Nothing", "Winner's"]


def test_a_trial_begins_only_if_the_repeats_fit_after_it() -> None:
    request = Request(minutes=10, jobs=2, max_seconds=10.0)
    for elapsed, fits in ((0, True), (400, True), (470, True), (490, False), (700, False)):
        clock = Clock(request, started=monotonic() - elapsed)
        clock.begin([tried(1, wall_seconds=15.0)], request.limits)
        assert clock.has_time_for_a_trial(5) == fits
    clock = Clock(request, started=monotonic())
    clock.begin([tried(1, wall_seconds=15.0, elapsed=500.0)], request.limits)
    assert not clock.has_time_for_a_trial(5), "the time before an interruption counts"
    assert clock.left == pytest.approx(100, abs=5)
    assert Clock(Request(trials=3), monotonic()).has_time_for_a_trial(2)
    assert not Clock(Request(trials=3), monotonic()).has_time_for_a_trial(3)
    short = Request(minutes=1, max_seconds=10.0)
    with pytest.raises(UsageError, match=r"`minutes` is 1, too short .* at least \d[.\d]*, or a smaller"):
        Clock(short, monotonic()).begin([], short.limits)
    Clock(short, monotonic()).begin([tried(1, wall_seconds=2.0)], short.limits)  # it was long enough for a trial


def test_the_repeats_are_expected_to_take_as_long_as_their_trials() -> None:
    request = Request(minutes=10, jobs=2, repeats=2, max_seconds=50.0)
    trials = [
        tried(1, 2.3, wall_seconds=10.0, settings={"hidden": 1}),
        *(tried(number, 2.2, wall_seconds=60.0, settings={"hidden": number}) for number in (2, 3, 4)),
        *(tried(number, 2.1, wall_seconds=20.0, settings={"hidden": number}) for number in (5, 6, 7)),
    ]
    for elapsed, fits in ((450, True), (465, False)):  # (3 * 20 + 10) * 2 / 2 seconds, a tenth more, and the end
        clock = Clock(request, started=monotonic() - elapsed)
        clock.begin(trials, request.limits)
        assert [each.number for each in clock.finalists()] == [5, 6, 7, 1]
        assert clock.expected() == 60
        assert clock.has_time_for_a_trial(7) == fits


def test_fewer_trials_are_repeated_if_time_is_short() -> None:
    trials = [tried(n, 2.5 - n / 10, wall_seconds=15.0, settings={"hidden": n}) for n in range(1, 6)]
    for minutes, finalists in ((20, [5, 4, 3, 1]), (4, [5, 4, 3, 1]), (3.2, [5, 4, 1]), (2, [5, 1])):
        request = Request(minutes=minutes, jobs=2, max_seconds=10.0)
        clock = Clock(request, monotonic())
        clock.begin(trials, request.limits)
        assert [each.number for each in clock.finalists()] == finalists
    clock = Clock(Request(trials=3), monotonic())
    clock.begin([tried(1, None, failed=True, settings={"hidden": 1}), *trials[1:]], Limits())
    assert [each.number for each in clock.finalists()] == [5, 4, 3], "defaults that failed are not repeated"


def test_more_trials_or_minutes_go_on_with_a_search_that_ended() -> None:
    for before, request, more in (
        ((50, None), Request(trials=50), False),
        ((50, None), Request(trials=60), True),
        ((None, 5.0), Request(minutes=5), False),
        ((None, 5.0), Request(minutes=6, trials=2), True),
        ((50, None), Request(minutes=5), True),
    ):
        assert Clock(request, monotonic()).asks_for_more(*before) == more


def test_the_time_of_a_training_follows_from_the_minutes() -> None:
    assert Request(minutes=20, jobs=2).limits.max_seconds == 60
    assert Request(minutes=20, max_seconds=15).limits.max_seconds == 15
    assert Request(trials=5).limits.max_seconds is None
    assert Request(minutes=20, jobs=64).limits.max_seconds == 120


@pytest.mark.parametrize("jobs", [1, 2, 4, 8, 64])
@pytest.mark.parametrize("repeats", [1, 3, 100])
def test_the_time_of_a_training_fits_into_any_minutes_and_so_do_those_that_are_advised(jobs: int, repeats: int) -> None:
    def begin(minutes: float) -> None:
        request = Request(minutes=minutes, jobs=jobs, repeats=repeats)
        Clock(request, monotonic()).begin([], request.limits)

    begin(20)
    with pytest.raises(UsageError, match=r"give at least [.\d]+$") as refused:
        begin(0.01)
    advised = float(str(refused.value).rpartition(" ")[2])
    begin(advised)
    with pytest.raises(UsageError):
        begin(0.8 * advised)


def test_a_search_in_which_no_trial_has_begun_binds_nobody(tmp_path: Path, experiments: Path) -> None:
    data = find_group("small")[0].config.data
    folder = tmp_path / "tune"
    folder.mkdir()
    begin_search(Request(minutes=0.01), data, folder, ())
    assert begin_search(Request(minutes=20, jobs=2), data, folder, (), is_new=not has_trials(folder)).seconds == 60
    assert begin_search(Request(minutes=40, jobs=2), data, folder, ()).seconds == 60


def test_a_trial_that_can_still_become_the_best_goes_on() -> None:
    slow = [Curve("tree", {3: 2.5, 5: 2.2}, result) for result in (2.00, 2.02, 2.04)]
    fast = [Curve("lstm", {3: 2.1, 5: 2.05}, result) for result in (2.03, 2.04, 2.06)]
    curves = [*slow, *fast]
    assert not is_hopeless("tree", {3: 2.5}, curves), "its kind falls late"
    assert is_hopeless("lstm", {3: 2.5}, curves)
    assert not is_hopeless("lstm", {3: 2.09}, curves)
    assert not is_hopeless("gru", {3: 9.0}, curves), "nothing is known of its kind"
    assert not is_hopeless("tree", {4: 9.0}, curves), "nor of this part of a training"


def test_a_folder_of_another_tuning_is_refused(tmp_path: Path, experiments: Path) -> None:
    data = find_group("small")[0].config.data
    folder = tmp_path / "tune"
    folder.mkdir()
    begin_search(Request(trials=3, models=("tree", "lstm")), data, folder, ("wavemore", "tune"))
    begin_search(Request(trials=9, models=("lstm", "tree")), data, folder, ("wavemore", "tune", "again"))
    with pytest.raises(RunError, match=r"is another tuning \(`model` lstm,tree there, auto here"):
        begin_search(Request(trials=3, max_seconds=2.0), data, folder, ())
