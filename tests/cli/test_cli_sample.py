import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import Levenshtein


def test_lines_are_printed_and_nothing_else(wavemore: Any, run: Path) -> None:
    result = wavemore("sample", "-n", "30", "--seed", "3")
    assert (result.code, result.err) == (0, "wavemore: used runs/done, the latest run\n")
    assert len(result.out.splitlines()) == 30
    assert wavemore("sample", "done", "--seed", "3").err == ""
    assert wavemore("sample", "done", "-n", "30", "--seed", "3").out == result.out
    assert wavemore("sample", "runs/done", "-n", "30", "--seed", "4").out != result.out
    assert wavemore("sample", "-n", "0").out == ""


def test_the_seed_that_was_drawn_is_printed(wavemore: Any, run: Path) -> None:
    result = wavemore("sample", "done", "-n", "5")
    words = result.err.split()
    assert words[:2] == ["wavemore:", "--seed"]
    assert wavemore("sample", "done", "-n", "5", "--seed", words[2]) == replace(result, err="")
    assert wavemore("sample", "done", "--temperature", "0", "--max-length", "99").err == ""


def test_a_wish_may_be_the_word_auto(wavemore: Any, run: Path) -> None:
    result = wavemore("sample", "done", "-n", "1", "--prefix", "auto")
    assert "auto" in result.err + result.out


def test_longer_lines_than_those_of_the_data(wavemore: Any, run: Path) -> None:
    lines = wavemore("sample", "-n", "5", "--min-length", "9").out.splitlines()
    assert len(lines) == 5
    assert all(9 <= len(line) <= 15 for line in lines)  # the longest line of the data has 6


def test_filters(wavemore: Any, run: Path) -> None:
    known = set((Path(json.loads((run / "config.json").read_text())["data"]["source"])).read_text().splitlines())
    words = ["--prefix", "an", "--new", "--distinct", "--min-length", "3", "--max-length", "5", "--temperature", "1.5"]
    lines = wavemore("sample", "-n", "20", *words).out.splitlines()
    assert len(lines) == len(set(lines)) == 20
    assert all(line.startswith("an") and 3 <= len(line) <= 5 and line not in known for line in lines)


def test_json_says_the_same_as_score(wavemore: Any, run: Path) -> None:
    sampled = json.loads(wavemore("sample", "-n", "25", "--seed", "1", "--json", "--temperature", "1.3").out)
    assert all(list(sample) == ["text", "nats", "nats_per_char", "percentile_rank", "new"] for sample in sampled)
    scored = json.loads(wavemore("score", "--json", "--", *(sample["text"] for sample in sampled)).out)
    for sample, score in zip(sampled, scored, strict=True):
        assert sample["text"] == score["text"]
        assert sample["nats"] == pytest.approx(score["nats"], abs=1e-4)
        assert sample["percentile_rank"] == pytest.approx(score["percentile_rank"], abs=1e-3)
        assert sample["nats_per_char"] == pytest.approx(score["nats_per_char"], abs=1e-4)
    assert json.loads(wavemore("sample", "-n", "0", "--json").out) == []


def test_filters_that_too_few_lines_pass(wavemore: Any, run: Path) -> None:
    result = wavemore("sample", "-n", "50", "--max-length", "1", "--distinct")
    assert result.code == 1
    assert len(result.out.splitlines()) < 50
    assert (
        f"wavemore: found only {len(result.out.splitlines())} of 50 lines: further draws gave none that meets"
        in result.err
    )
    assert json.loads(wavemore("sample", "-n", "50", "--max-length", "1", "--distinct", "--json").out) is not None


WISHES = ["--suffix", "a", "--contains", "n", "--without", "o", "u", "--match", ".{3,}", "--max-length", "8"]


def test_wishes_are_met_together(wavemore: Any, run: Path) -> None:
    result = wavemore("sample", "done", *WISHES, "--seed", "1", "--distinct")
    lines = result.out.splitlines()
    assert (result.code, len(set(lines))) == (0, 20)
    for line in lines:
        assert line.endswith("a")
        assert "n" in line
        assert not set(line) & {"o", "u"}
        assert 3 <= len(line) <= 8


def test_a_wish_that_no_line_meets_is_named(fails: Callable[..., str], run: Path) -> None:
    assert "no line of at most 9 characters meets --suffix 'a' and --without 'a'" in fails(
        2, "sample", "done", "--suffix", "a", "--without", "a", "--max-length", "9"
    )
    assert "--match is not a regular expression" in fails(2, "sample", "done", "--match", "(a")
    assert "--suffix: unknown character 'ß'" in fails(1, "sample", "done", "--suffix", "ß")
    assert "it must be at least 5 (--min-length)" in fails(
        2, "sample", "done", "--min-length", "5", "--max-length", "4"
    )


def test_lines_far_from_all_known_ones_and_the_nearest(wavemore: Any, run: Path) -> None:
    known = (Path(json.loads((run / "config.json").read_text())["data"]["source"])).read_text().splitlines()
    result = wavemore("sample", "done", "--min-distance", "2", "--nearest", "-n", "15", "--seed", "2")
    rows = [row.split("\t") for row in result.out.splitlines()]
    assert (result.code, len(rows)) == (0, 15)
    for text, nearest, distance in rows:
        distances = {line: Levenshtein.distance(text, line) for line in known}
        assert min(distances.values()) == distances[nearest] == int(distance) >= 2
    texts = [row[0] for row in rows]
    assert min(Levenshtein.distance(a, b) for a in texts for b in texts if a is not b) >= 2


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl"])
def test_lines_are_written_to_a_file(wavemore: Any, run: Path, ending: str) -> None:
    printed = wavemore("sample", "done", "-n", "7", "--seed", "1").out.splitlines()
    result = wavemore("sample", "done", "-n", "7", "--seed", "1", "--nearest", "-o", f"out.{ending}")
    assert result.out == f"out.{ending}: 7 lines\n"
    content = Path(f"out.{ending}").read_text(encoding="utf-8").splitlines()
    if ending == "txt":
        assert content == printed
    elif ending == "csv":
        assert content[0] == "text,nats,nats_per_char,percentile_rank,new,nearest,distance"
        assert [row.split(",")[0] for row in content[1:]] == printed
    else:
        assert [json.loads(row)["text"] for row in content] == printed


def test_a_file_that_cannot_be_written_is_refused_first(fails: Callable[..., str], run: Path) -> None:
    assert "out.xlsx must end in .txt, .csv or .jsonl" in fails(2, "sample", "done", "-o", "out.xlsx")
    assert "there is no folder nowhere" in fails(2, "sample", "done", "-o", "nowhere/out.csv")
    assert "use one of them" in fails(2, "sample", "done", "-o", "out.csv", "--json")


def test_several_runs_draw_together(wavemore: Any, run: Path) -> None:
    names = json.loads((run / "config.json").read_text())["data"]["source"]
    steps = ["--steps", "30", "--hidden", "16", "--num-evals", "1", "--seed", "5"]
    assert wavemore("train", names, *steps, "--run", "runs/other").code == 0
    alone = wavemore("sample", "done", "--seed", "1").out
    together = wavemore("sample", "done", "--ensemble", "other", "--seed", "1")
    assert (together.code, len(together.out.splitlines())) == (0, 20)
    assert together.out != alone
    assert wavemore("sample", "done", "--ensemble", "done", "--seed", "1").out == alone


def test_by_default_lines_are_new_distinct_and_good_ones(wavemore: Any, run: Path) -> None:
    known = (Path(json.loads((run / "config.json").read_text())["data"]["source"])).read_text().splitlines()
    kept = json.loads(wavemore("sample", "done", "-n", "60", "--seed", "1", "--json").out)
    raw = json.loads(wavemore("sample", "done", "-n", "60", "--seed", "1", "--json", "--raw").out)
    texts = [sample["text"] for sample in kept]
    assert len(set(texts)) == len(set(texts) - set(known)) == 60
    mean = {name: sum(s["nats_per_char"] for s in samples) / 60 for name, samples in (("kept", kept), ("raw", raw))}
    assert mean["kept"] < mean["raw"]
    result = wavemore("sample", "done", "-n", "3000", "--seed", "1", "--raw")
    memorised = sum(line in set(known) for line in result.out.splitlines())
    assert memorised > 0
    assert f"wavemore: {memorised:,} of these 3,000 are in the data" in result.err


def test_lines_are_ranked(wavemore: Any, run: Path) -> None:
    nats = {}
    for rank in ("best", "typical", "surprising"):
        samples = json.loads(wavemore("sample", "done", "--rank", rank, "--seed", "1", "--json").out)
        nats[rank] = [sample["nats_per_char"] for sample in samples]
        assert len(nats[rank]) == 20
    assert nats["best"] == sorted(nats["best"])
    assert max(nats["best"]) < min(nats["typical"]) <= max(nats["typical"]) < min(nats["surprising"])


def test_more_like_these(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    like = ["annann", "nanann", "annan"]
    close = wavemore("sample", "done", "--seed", "1", "--like", *like, "--suffix", "n").out.splitlines()
    others = wavemore("sample", "done", "--seed", "1", "--suffix", "n").out.splitlines()
    assert len(close) == len(others) == 20
    assert all(line.endswith("n") and line not in like for line in close)
    assert sum(map(set("an").issuperset, close)) > sum(map(set("an").issuperset, others))
    assert "unknown character 'ß'" in fails(1, "sample", "done", "--like", "ß")
    assert "use one of them" in fails(2, "sample", "done", "--like", "anna", "--rank", "best")


def test_ten_thousand_distinct_new_lines(wavemore: Any) -> None:
    wavemore("train", "--steps", "30", "--hidden", "32", "--num-evals", "1")
    lines = wavemore("sample", "-n", "10000", "--new", "--distinct").out.splitlines()
    assert len(set(lines)) == len(lines) == 10_000


def test_there_is_no_run(fails: Callable[..., str], folder: Path) -> None:
    for command in ("sample", "evaluate", "score", "log"):
        assert "there is no run yet: `wavemore train` makes one" in fails(1, command)
    for command in ("sample", "evaluate", "log"):
        assert "there is no run 'nothing'; `wavemore log` lists the runs" in fails(1, command, "nothing")
    assert "there is no run 'runs/nothing'" in fails(1, "score", "runs/nothing", "anna")
    (folder / "empty").mkdir()
    for command in ("sample", "evaluate"):
        assert "empty holds no run" in fails(1, command, "empty")


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    ("config.json", lambda path: path.write_text(""), "damaged or was changed"),
    ("config.json", lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged or was changed"),
    ("config.json", lambda path: path.write_text(path.read_text().replace('"format": 1', '"format": 9')), "format 9"),
    ("config.json", lambda path: path.write_text(path.read_text().replace('"hidden": 8', '"hidden": -1')), "hidden"),
    (
        "config.json",
        lambda path: path.write_text(path.read_text().replace('"hidden": 8', '"hidden": 20000')),
        "does not fit",
    ),
    ("config.json", lambda path: path.write_text(path.read_text().replace('"hidden": 8', '"hidden": "x"')), "hidden"),
    ("config.json", lambda path: path.unlink(), "runs/done is incomplete (it has no config.json)"),
    ("vocabulary.json", lambda path: path.unlink(), "is missing"),
    ("vocabulary.json", lambda path: path.write_text("[]"), "vocabulary"),
    ("vocabulary.json", lambda path: path.write_text('{"characters": "ab"}'), "does not fit"),
    ("model.safetensors", lambda path: path.write_text("no tensors"), "damaged or was changed"),
    ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:500]), "damaged or was changed"),
    (
        "model.safetensors",
        lambda path: path.unlink(),
        "was stopped before its first evaluation, so it has no model yet",
    ),
]


@pytest.mark.parametrize(("file", "damage", "message"), DAMAGE)
def test_a_damaged_run(
    fails: Callable[..., str], wavemore: Any, run: Path, file: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(run / file)
    for words in (["sample", "runs/done"], ["evaluate", "runs/done"], ["score", "runs/done", "anna"]):
        assert message in fails(1, *words)
    listed = wavemore("log", "runs")
    assert listed.code == 0 or file == "config.json"
