import csv
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest

from wavemore.comparison.experiments import Experiment, list_experiments, to_csv, to_markdown, to_record
from wavemore.runs.find import find_runs
from wavemore.runs.record import Summary
from wavemore.runs.run import Run


def by_name(sort: str = "date") -> dict[str, Experiment]:
    return {row.name: row for row in list_experiments(find_runs(), sort)}  # type: ignore[arg-type]


def summaries(name: str) -> list[Summary]:
    rows = [Run(Path(f"runs/{name}-{seed}")).summary() for seed in range(3)]
    return [summary for summary in rows if summary is not None]


def test_one_row_per_experiment_with_mean_and_deviation(experiments: Path) -> None:
    rows = by_name()
    assert list(rows) == ["small", "wide"]
    small, wide = rows.values()
    vals = [summary.val_nats for summary in summaries("small")]
    assert small.seeds == (0, 1, 2)
    assert small.val is not None
    assert (small.val.mean, small.val.std) == pytest.approx((fmean(vals), stdev(vals)))
    assert small.model == "tree 2x2 6/8 muon"
    assert small.data == "names"
    assert (small.delta, small.changed, small.status) == (None, (), "")
    assert wide.delta is not None
    assert wide.delta == pytest.approx(fmean(s.val_nats for s in summaries("wide")) - fmean(vals))
    assert wide.significant
    assert wide.changed == ("hidden 8 → 48",)


def test_runs_without_an_experiment_are_seeds_if_all_other_settings_are_equal(experiments: Path) -> None:
    for run in find_runs():
        run.relabel(experiment="")
    assert [(row.name, len(row.seeds)) for row in list_experiments(find_runs())] == [
        ("tree 2x2 6/8 muon", 3),
        ("tree 2x2 6/48 muon", 3),
    ]
    shutil.rmtree("runs/wide-1")
    shutil.rmtree("runs/wide-2")
    alone = list_experiments(find_runs())[1]
    assert alone.name == "runs/wide-0"
    assert alone.val is not None
    assert (alone.val.std, alone.significant) == (None, False)
    assert str(alone.val) == f"{alone.val.mean:.4f}"


def test_recipes_of_one_name_are_not_mixed(experiments: Path) -> None:
    Run(Path("runs/wide-0")).relabel(experiment="small")
    rows = [row for row in list_experiments(find_runs()) if row.name == "small"]
    assert [row.seeds for row in rows] == [(0, 1, 2), (0,)]
    assert {row.status for row in rows} == {"2 recipes have this name: give each its own"}


def test_rows_on_other_data_have_no_delta(experiments: Path) -> None:
    for seed in range(3):
        config = Path(f"runs/wide-{seed}/config.json")
        config.write_text(config.read_text().replace('"split_method": "distinct"', '"split_method": "lecture"'))
    wide = by_name()["wide"]
    assert wide.data == "names lecture split"
    assert (wide.delta, wide.changed) == (None, ())
    for row in list_experiments(find_runs()):
        assert row.status == ""


def test_runs_in_no_mean_are_named(experiments: Path) -> None:
    Path("runs/small-1/summary.json").unlink()
    Path("runs/small-2/config.json").write_text("[")
    shutil.copytree("runs/small-0", "runs/small-3")
    rows = by_name()
    small = rows["small"]
    assert small.seeds == (0,)
    assert set(small.status.split("; ")) == {
        "without runs/small-1: stopped at step 60 of 60",
        "without runs/small-3: duplicate of seed 0",
    }
    assert small.val is not None
    assert small.val.mean == summaries("small")[0].val_nats
    damaged = rows["runs/small-2"]
    assert "config.json is damaged" in damaged.status
    assert (damaged.val, damaged.config, damaged.delta) == (None, None, None)
    (only,) = list_experiments([Run(Path("runs/small-1"))])
    assert only.status == "stopped at step 60 of 60"


@pytest.mark.parametrize("sort", ["val", "leak-free", "parameters", "seconds"])
def test_rows_are_sorted_and_the_delta_is_to_the_row_above(experiments: Path, sort: str) -> None:
    Path("runs/broken").mkdir()
    Path("runs/broken/config.json").write_text("[")
    rows = list(by_name(sort).values())
    figures = {"val": "val", "leak-free": "leak_free", "parameters": "parameters", "seconds": "seconds"}
    values = [getattr(row, figures[sort]) for row in rows[:2]]
    numbers = [value if isinstance(value, int) else value.mean for value in values]
    assert numbers == sorted(numbers)
    assert rows[2].name == "runs/broken"  # rows without a figure come last
    one, other = (row.val for row in rows[:2])
    assert one is not None
    assert other is not None
    assert rows[0].delta is None
    assert rows[1].delta == pytest.approx(other.mean - one.mean)


def test_csv_holds_raw_numbers(experiments: Path) -> None:
    Run(Path("runs/small-0")).relabel(note='a "note", and more')
    rows = list_experiments(find_runs())
    small, wide = csv.DictReader(to_csv(rows).splitlines())
    assert float(small["val_nats"]) == to_record(rows[0])["val_nats"]
    assert (small["note"], small["seeds"], small["delta"]) == ('a "note", and more', "0; 1; 2", "")
    assert float(wide["delta"]) == rows[1].delta
    assert wide["runs"] == "runs/wide-0; runs/wide-1; runs/wide-2"


def test_markdown_is_one_table_whatever_a_note_says(experiments: Path) -> None:
    Run(Path("runs/small-0")).relabel(note="a|b\n| c | <i>")
    head, rule, small, wide = to_markdown(list_experiments(find_runs())).splitlines()
    assert head.count("|") == rule.count("|") == wide.count("|")
    assert small.replace(r"\|", "").count("|") == head.count("|")
    assert r"a\|b \| c \| \<i\>" in small
    assert " ± " in small
    assert "| 3 |" in wide
