import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import wavemore as wm
from wavemore.comparison.compare import compare, compare_models
from wavemore.comparison.result import Comparison
from wavemore.comparison.statistics import welch
from wavemore.engine.batches import batches_of
from wavemore.engine.evaluate import evaluate, token_nats
from wavemore.errors import RunError, UsageError
from wavemore.runs.find import find_group
from wavemore.runs.run import Run


@pytest.fixture
def found(experiments: Path) -> Comparison:
    return compare("small", "wide")


def runs(name: str) -> list[Run]:
    return [Run(Path("runs") / f"{name}-{seed}") for seed in range(3)]


def test_the_difference_is_that_of_the_mean_losses(found: Comparison) -> None:
    val = runs("small")[0].corpus().val
    a, b = ([evaluate(run.model(), val).nats for run in runs(name)] for name in ("small", "wide"))
    assert found.overall.a.mean == pytest.approx(np.mean(a))
    assert found.difference == pytest.approx(np.mean(b) - np.mean(a))
    assert found.seeds is not None
    assert (found.seeds.low, found.seeds.high) == pytest.approx((welch(a, b).low, welch(a, b).high))  # type: ignore[union-attr]
    assert found.lines is not None
    assert found.lines.low < found.difference < found.lines.high < 0
    assert found.better == "b"
    assert found.verdict.startswith(f"B is better by {-found.difference:.4f} nats a character (95 % interval 0.")
    assert found.verdict.endswith(", 3 seeds each)")
    assert found.changed == ("hidden 8 → 48",)
    assert (found.a.name, found.a.seeds, found.b.parameters) == ("small", (0, 1, 2), found.b.parameters)
    assert found.leak_free is None  # the split is of distinct lines


def test_the_other_way_round_it_is_the_opposite(found: Comparison) -> None:
    back = compare(runs("wide"), runs("small"))
    assert back.better == "a"
    assert back.difference == -found.difference
    assert found.lines is not None
    assert back.lines is not None
    assert (back.lines.low, back.lines.high) == pytest.approx((-found.lines.high, -found.lines.low))
    assert [line.text for line in back.losses] == [line.text for line in found.wins]


def test_a_side_is_runs_a_run_an_experiment_or_a_folder(found: Comparison, experiments: Path) -> None:
    assert compare(runs("small"), runs("wide")).to_dict()["overall"] == found.to_dict()["overall"]
    Path("study/wide").mkdir(parents=True)
    for seed in range(3):
        shutil.move(f"runs/wide-{seed}", f"study/wide/{seed}")
    assert compare("small", "study").difference == found.difference
    one = compare(Run(Path("runs/small-1")), "study/wide/2")
    assert one.seeds is None
    assert one.better is None
    assert one.verdict.startswith("not shown: one seed each does not tell luck from recipe")


def test_kinds_and_positions_add_up_to_the_whole(found: Comparison) -> None:
    groups = {seen.group for seen in found.seen}
    assert groups == {"length", "pairs", "position"}
    for group in groups:
        members = [seen for seen in found.seen if seen.group == group]
        targets = sum(seen.targets for seen in members)
        assert targets == found.overall.targets
        assert sum(s.difference * s.targets for s in members) / targets == pytest.approx(found.difference)
        assert all(s.difference == pytest.approx(s.b - s.a) for s in members)
    assert all((seen.interval is None) == (seen.lines < 20) for seen in found.seen)


def test_lines_of_gains_and_losses_are_the_extremes(found: Comparison) -> None:
    val = runs("small")[0].corpus().val
    starts = np.cumsum(val.lines.lengths + 1) - (val.lines.lengths + 1)
    a, b = (
        np.mean(
            [
                np.add.reduceat(token_nats(model, batches_of(val.tokens, model)), starts)
                for model in (run.model() for run in runs(name))
            ],
            axis=0,
        )
        for name in ("small", "wide")
    )
    order = np.argsort(b - a)
    assert [line.text for line in found.wins] == [val.lines[place] for place in order[:5]]
    assert found.wins[0].difference == pytest.approx((b - a).min())
    assert all(line.difference > 0 for line in found.losses)


def test_a_seed_counts_once(experiments: Path) -> None:
    shutil.copytree("runs/small-0", "runs/small-3")
    found = compare("small", "wide")
    assert found.a.seeds == (0, 1, 2)
    assert found.a.left_out == ("runs/small-3: seed 0 again",)


def test_what_has_not_ended_is_left_out_and_named(experiments: Path) -> None:
    Path("runs/wide-1/summary.json").unlink()
    found = compare("small", "wide")
    assert found.b.seeds == (0, 2)
    assert "3 and 2 seeds" in found.verdict
    assert found.b.left_out == ("runs/wide-1: stopped at step 60 of 60, or still running",)
    assert "left out: runs/wide-1" in str(found)
    with pytest.raises(RunError, match=r"runs/wide-1 was stopped at step 60 of 60.*train --resume --run runs/wide-1$"):
        compare("small", "runs/wide-1")


def test_what_cannot_be_compared_is_said_in_a_line(experiments: Path) -> None:
    for a, b, words in [
        ("small", "small", "runs/small-0 is on both sides"),
        ("small", "runs/small-1", "runs/small-1 is on both sides"),
        ("small", "runs", r"runs holds runs of several recipes \(hidden 8 → 48\)"),
    ]:
        with pytest.raises(UsageError, match=words) as said:
            compare(a, b)
        assert "\n" not in str(said.value)
    with pytest.raises(RunError, match="there is no run 'huge'; `wavemore log` lists"):
        compare("small", "huge")
    with pytest.raises(UsageError, match="part is 'train'; it must be val or test"):
        compare("small", "wide", "train")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="each side needs a run or more"):
        compare([], "wide")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"split": "distinct"', '"split": "lecture"', "split distinct and lecture"),
        ('"split_seed": 0', '"split_seed": 4', "split seed 0 and 4"),
        ('"encoding": "utf-8"', '"encoding": "latin-1"', "encoding utf-8 and latin-1"),
        ('"sha256": "', '"sha256": "0000', r"data names \(\w{8}\) and names \(0000\w{4}\)"),
    ],
)
def test_other_data_or_another_split_is_refused(experiments: Path, before: str, after: str, words: str) -> None:
    config = Path("runs/wide-0/config.json")
    config.write_text(config.read_text().replace(before, after))
    with pytest.raises(UsageError, match=f"small and runs/wide-0 cannot be compared: {words}; train both"):
        compare("small", "runs/wide-0")
    with pytest.raises(UsageError, match=rf"wide holds runs of several recipes \({words}"):
        compare("small", "wide")


def test_damage_is_said_in_a_line(experiments: Path) -> None:
    Path("runs/wide-0/model.safetensors").write_text("no tensors")
    with pytest.raises(RunError, match=r"wide-0/model.safetensors is damaged"):
        compare("small", "wide")
    Path("runs/wide-0/summary.json").write_text("[")
    assert compare("small", "wide").b.seeds == (1, 2)
    Path("runs/wide-0/config.json").write_text("[")
    with pytest.raises(RunError, match=r"config.json is damaged"):
        compare("small", "runs/wide-0")


def test_models_of_other_contexts_in_memory(experiments: Path) -> None:
    corpus = wm.Corpus.from_lines(list(wm.load("names").train.lines)[:400] * 2, split="lecture")
    models = {}
    for context in (1, 4):
        for seed in range(2):
            chosen = wm.plan(corpus, settings={"context": context, "steps": 120, "hidden": 32, "seed": seed})
            model = wm.build("tree", len(corpus.vocabulary), chosen.tree, seed)
            for _ in wm.fit(model, corpus, chosen.recipe):
                pass
            models[context, seed] = model
    a, b = ([models[context, seed] for seed in range(2)] for context in (1, 4))
    found = compare_models(a, b, corpus)
    assert found.difference < -0.1
    assert found.leak_free is not None
    assert found.leak_free.targets < found.overall.targets
    assert {seen.what for seen in found.kinds} >= {"stands in train too", "not in train"}
    assert len({line.text for line in found.wins}) == 5  # a line that stands there twice is shown once
    assert compare_models(a, b, corpus, "test").difference != found.difference
    with pytest.raises(UsageError, match="each side needs a model or more"):
        compare_models([], b, corpus)


def test_it_is_plain_values_for_json(found: Comparison) -> None:
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["better"] == "b"
    assert record["verdict"] == found.verdict
    assert record["overall"]["lines"]["high"] < 0
    assert record["overall"]["seeds"]["p"] < 0.05
    assert record["wins"][0]["difference"] == found.wins[0].difference


def test_a_notebook_shows_it_on_any_page(found: Comparison) -> None:
    class Balanced(HTMLParser):
        depth = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.depth += tag != "br"

        def handle_endtag(self, tag: str) -> None:
            self.depth -= 1

    html = found._repr_html_()
    page = Balanced()
    page.feed(html)
    assert page.depth == 0
    assert found.verdict.replace("'", "&#x27;") in html
    assert "color" not in html
    assert "#" not in html.replace("&#x27;", "")
    Run(Path("runs/small-0")).relabel(experiment="<b>x</b>")
    page_of_markup = compare("<b>x</b>", "wide")._repr_html_()
    assert "<b>x" not in page_of_markup
    assert "&lt;b&gt;x" in page_of_markup


def test_it_says_itself_in_a_few_lines(found: Comparison) -> None:
    lines = str(found).splitlines()
    assert lines[0].startswith("A  small: tree 2x2 6/8 muon, ")
    assert lines[1].startswith("B  wide: tree 2x2 6/48 muon, ")
    assert lines[-1] == f"{found.verdict}."
    assert len(lines) == 4


def test_a_name_means_a_path_then_an_experiment_then_a_run(experiments: Path) -> None:
    assert [run.path.name for run in find_group("small")] == ["small-0", "small-1", "small-2"]
    assert find_group("runs/small-1")[0].path == find_group("small-1")[0].path == Path("runs/small-1")
    assert len(find_group("runs")) == 6
    assert len(find_group("latest")) == 1
    Run(Path("runs/small-1")).relabel(experiment="wide-0")
    assert find_group("wide-0")[0].path == Path("runs/small-1")
    assert find_group("runs/wide-0")[0].path == Path("runs/wide-0")
    for name in ("", "nothing", "x" * 5_000, "."):
        if name == ".":
            assert len(find_group(name)) == 6
        else:
            with pytest.raises(RunError, match="there is no run"):
                find_group(name)
