import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import wavemore as wm
from wavemore.comparison.compare import compare, compare_models
from wavemore.comparison.result import Comparison
from wavemore.engine.batchers import line_batcher
from wavemore.engine.evaluate import evaluate, token_nats
from wavemore.errors import RunError, UsageError
from wavemore.runs.run import Run


@pytest.fixture
def result(experiments: Path) -> Comparison:
    return compare("small", "wide")


def runs(name: str) -> list[Run]:
    return [Run(Path("runs") / f"{name}-{seed}") for seed in range(3)]


def test_the_difference_is_that_of_the_mean_losses(result: Comparison) -> None:
    val = runs("small")[0].corpus().val.as_lines(runs("small")[0].vocabulary())
    a, b = ([evaluate(run.model(), val).nats for run in runs(name)] for name in ("small", "wide"))
    assert result.overall.a.mean == pytest.approx(np.mean(a))
    assert result.difference == pytest.approx(np.mean(b) - np.mean(a))
    assert result.overall.interval is not None
    assert result.overall.interval.low < result.difference < result.overall.interval.high < 0
    assert result.overall.num_units == len(val.lines)
    assert result.better == "b"
    assert result.verdict.startswith(f"B is better by {-result.difference:.4f} nats per character (95 % interval 0.")
    assert result.verdict.endswith(", 3 seeds each)")
    assert result.changed_settings == ("hidden 8 → 48",)
    assert (result.a.name, result.a.seeds) == ("small", (0, 1, 2))
    assert result.b.parameters == runs("wide")[0].model().parameter_count()
    assert result.leak_free is None  # the split is of distinct lines


def test_the_other_way_round_it_is_the_opposite(result: Comparison) -> None:
    back = compare(runs("wide"), runs("small"))
    assert back.better == "a"
    assert back.difference == -result.difference
    assert result.overall.interval is not None
    assert back.overall.interval is not None
    assert (back.overall.interval.low, back.overall.interval.high) == pytest.approx(
        (-result.overall.interval.high, -result.overall.interval.low)
    )
    assert [line.text for line in back.losses] == [line.text for line in result.wins]


def test_a_side_is_runs_a_run_an_experiment_or_a_folder(result: Comparison, experiments: Path) -> None:
    assert compare(runs("small"), runs("wide")).to_dict()["overall"] == result.to_dict()["overall"]
    Path("study/wide").mkdir(parents=True)
    for seed in range(3):
        shutil.move(f"runs/wide-{seed}", f"study/wide/{seed}")
    assert compare("small", "study").difference == result.difference
    one = compare(Run(Path("runs/small-1")), "study/wide/2")
    assert one.overall.seeds is None
    assert one.better is None
    assert one.verdict.startswith("no significant difference: one seed each cannot separate the recipe from chance")


def test_the_slices_of_a_group_add_up_to_the_whole(result: Comparison) -> None:
    results = [*result.kinds, *result.positions]
    groups = {each.group for each in results}
    assert groups == {"length", "pairs", "position"}
    for group in groups:
        members = [each for each in results if each.group == group]
        targets = sum(each.num_targets for each in members)
        assert targets == result.overall.num_targets
        assert sum(s.difference * s.num_targets for s in members) / targets == pytest.approx(result.difference)
        assert all(s.difference == pytest.approx(s.b - s.a) for s in members)
    assert all((each.interval is None) == (each.lines < 20) for each in results)


def test_lines_of_gains_and_losses_are_the_extremes(result: Comparison) -> None:
    val = runs("small")[0].corpus().val.as_lines(runs("small")[0].vocabulary())
    starts = np.cumsum(val.lines.lengths + 1) - (val.lines.lengths + 1)
    a, b = (
        np.mean(
            [
                np.add.reduceat(token_nats(model, line_batcher(val.tokens, model)), starts)
                for model in (run.model() for run in runs(name))
            ],
            axis=0,
        )
        for name in ("small", "wide")
    )
    order = np.argsort(b - a)
    assert [line.text for line in result.wins] == [val.lines[place] for place in order[:5]]
    assert result.wins[0].difference == pytest.approx((b - a).min())
    assert all(line.difference > 0 for line in result.losses)


def test_a_seed_counts_once(experiments: Path) -> None:
    shutil.copytree("runs/small-0", "runs/small-3")
    result = compare("small", "wide")
    assert result.a.seeds == (0, 1, 2)
    assert result.a.left_out == ("runs/small-3: duplicate of seed 0",)


def test_unfinished_runs_are_left_out_and_named(experiments: Path) -> None:
    Path("runs/wide-1/summary.json").unlink()
    result = compare("small", "wide")
    assert result.b.seeds == (0, 2)
    assert "3 and 2 seeds" in result.verdict
    assert result.b.left_out == ("runs/wide-1: stopped at step 60 of 60",)
    assert "left out: runs/wide-1" in str(result)
    with pytest.raises(RunError, match=r"runs/wide-1 is unfinished \(stopped at step 60 of 60\): finish its training"):
        compare("small", "runs/wide-1")


def test_sides_that_cannot_be_compared_are_one_line_errors(experiments: Path) -> None:
    for a, b, words in [
        ("small", "small", "runs/small-0 is on both sides"),
        ("small", "runs/small-1", "runs/small-1 is on both sides"),
        ("small", "runs", r"runs holds runs of several recipes \(hidden 8 → 48\)"),
    ]:
        with pytest.raises(UsageError, match=words) as error:
            compare(a, b)
        assert "\n" not in str(error.value)
    with pytest.raises(RunError, match="there is no run 'huge'; `wavemore log` lists"):
        compare("small", "huge")
    with pytest.raises(UsageError, match="`split` is 'train'; it must be val or test"):
        compare("small", "wide", "train")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="each side needs at least one run"):
        compare([], "wide")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"split_method": "distinct"', '"split_method": "lecture"', "split distinct, seed 0 and lecture"),
        ('"split_seed": 0', '"split_seed": 4', "split distinct, seed 0 and distinct, seed 4"),
        ('"encoding": "utf-8"', '"encoding": "latin-1"', "encoding utf-8 and latin-1"),
        ('"sha256": "', '"sha256": "0000', r"data names \(\w{8}\) and names \(0000\w{4}\)"),
    ],
)
def test_other_data_or_another_split_is_refused(experiments: Path, before: str, after: str, words: str) -> None:
    config = Path("runs/wide-2/config.json")
    config.write_text(config.read_text().replace(before, after))
    with pytest.raises(UsageError, match=f"small and runs/wide-2 cannot be compared: {words}; train both"):
        compare("small", "runs/wide-2")
    with pytest.raises(UsageError, match=rf"wide holds runs of several recipes \({words}"):
        compare("small", "wide")


def test_damaged_runs_are_one_line_errors(experiments: Path) -> None:
    Path("runs/wide-0/model.safetensors").write_text("no tensors")
    with pytest.raises(RunError, match=r"wide-0/model.safetensors is damaged"):
        compare("small", "wide")
    Path("runs/wide-0/summary.json").write_text("[")
    assert compare("small", "wide").b.seeds == (1, 2)
    Path("runs/wide-0/config.json").write_text("[")
    with pytest.raises(RunError, match=r"config.json is damaged"):
        compare("small", "runs/wide-0")


def test_models_of_other_contexts_in_memory(experiments: Path) -> None:
    corpus = wm.LineCorpus.from_lines(list(wm.load_corpus("names").train.lines)[:400] * 2, split_method="lecture")
    models = {}
    for context in (1, 4):
        for seed in range(2):
            chosen = wm.plan(corpus, context=context, steps=120, hidden=32, seed=seed)
            model = wm.build("tree", len(corpus.vocabulary), chosen.model_config, seed)
            for _ in wm.fit(model, corpus, chosen.recipe):
                pass
            models[context, seed] = model
    a, b = ([models[context, seed] for seed in range(2)] for context in (1, 4))
    result = compare_models(a, b, corpus)
    assert result.difference < -0.1
    assert result.leak_free is not None
    assert result.leak_free.num_targets < result.overall.num_targets
    assert {each.name for each in result.kinds} >= {"also in train", "not in train"}
    assert len({line.text for line in result.wins}) == 5  # a line that occurs twice is listed once
    assert compare_models(a, b, corpus, "test").difference != result.difference
    with pytest.raises(UsageError, match="each side needs at least one model"):
        compare_models([], b, corpus)


def test_its_record_is_plain_values_for_json(result: Comparison) -> None:
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["better"] == "b"
    assert record["verdict"] == result.verdict
    assert record["overall"]["interval"]["high"] < 0
    assert record["overall"]["p"] < 0.05
    assert record["wins"][0]["difference"] == result.wins[0].difference


def test_its_html_is_balanced_and_escaped(result: Comparison) -> None:
    class Balanced(HTMLParser):
        depth = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.depth += 1

        def handle_endtag(self, tag: str) -> None:
            self.depth -= 1

    html = result._repr_html_()
    page = Balanced()
    page.feed(html)
    assert page.depth == 0
    assert result.verdict.replace("'", "&#x27;") in html
    assert "#" not in html.replace("&#x27;", "")  # no colour of its own
    Run(Path("runs/small-0")).relabel(experiment="<b>x</b>")
    page_of_markup = compare("<b>x</b>", "wide")._repr_html_()
    assert "<b>x" not in page_of_markup
    assert "&lt;b&gt;x" in page_of_markup


def test_its_text_is_four_lines(result: Comparison) -> None:
    lines = str(result).splitlines()
    assert lines[0].startswith("A  small: tree 2x2 6/8 muon, ")
    assert lines[1].startswith("B  wide: tree 2x2 6/48 muon, ")
    assert lines[-1] == f"{result.verdict}."
    assert len(lines) == 4
