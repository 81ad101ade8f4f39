"""`wavemore train --from RUN`: a training that begins with the weights of another run."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import wavemore as wm
from wavemore.nn.models import MODELS
from wavemore.runs.identity import training_digest
from wavemore.runs.layout import INITIAL
from wavemore.runs.run import Run

SHORT = ("--steps", "12", "--num-evals", "4", "--threads", "1")
LONG = ("--steps", "3000", "--batch-size", "16", "--num-evals", "30", "--threads", "1")
SIZES = {
    "tree": ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2"),
    "mlp": ("--hidden", "8", "--embedding", "4", "--context", "3"),
    "wavenet": ("--channels", "4", "--skip-channels", "4", "--dilations", "1", "2"),
    "transformer": ("--channels", "8", "--heads", "2", "--layers", "1"),
    "bigram": (),
} | dict.fromkeys(("lstm", "gru", "rnn", "bow"), ("--hidden", "8", "--embedding", "4"))
CITIES = [f"{first}{last}" for first in ("an", "bi", "el", "ö", "z-") for last in ("na", "li", "le", "o", "ün")]


@pytest.fixture
def cities(folder: Path) -> str:
    """A list of 25 lines with the characters -, b, z, ö and ü, which `names` does not have."""
    (folder / "cities.txt").write_text("\n".join(CITIES) + "\n", encoding="utf-8")
    return "cities.txt"


def content(path: str | Path, name: str = "model.safetensors") -> bytes:
    return (Path(path) / name).read_bytes()


def test_a_training_begins_with_another_run(run: Path, cities: str, wavemore: Any) -> None:
    result = wavemore("train", cities, "--from", "done", "--run", "mine", *SHORT)
    assert result.code == 0, result.err
    assert "from    carried over from " in result.out
    assert "runs/done: tree 2x2 4/8, 6 of 11 characters known, new: - b z ö ü\n" in result.out
    source, config = Run(run), Run(Path("mine")).config
    assert config.carried_from is not None
    assert Path(config.carried_from.run) == run.absolute()
    assert config.carried_from.new_characters == "-bzöü"
    assert config.model_config == source.config.model_config
    assert set(Run(Path("mine")).vocabulary().characters) == set("".join(CITIES)) | set(source.vocabulary().characters)
    assert "tree 2x2 4/8 muon from done" in wavemore("log").out + wavemore("log", "mine").out
    assert wavemore("report", "mine", "-o", "page.html").code == 0
    assert "started from" in Path("page.html").read_text(encoding="utf-8")
    for command in ("sample", "evaluate", "inspect"):
        assert wavemore(command, "mine").code == 0
    assert json.loads(wavemore("evaluate", "mine", "--json").out)["val_nats"] > 0
    assert wavemore("train", cities, "--run", "scratch", *SIZES["tree"], *SHORT).code == 0
    assert "from random weights → done" in wavemore("compare", "scratch", "mine").out


@pytest.mark.parametrize("model", SIZES)
def test_every_model_begins_with_its_weights(model: str, names: str, cities: str, wavemore: Any) -> None:
    assert wavemore("train", names, "--model", model, *SIZES[model], *SHORT, "--run", "source").code == 0
    assert wavemore("train", cities, "--from", "source", *SHORT, "--run", "mine").code == 0
    before, after = Run(Path("source")), Run(Path("mine"))
    old, new = before.model(), after.new_model().eval()
    characters = after.vocabulary().characters
    ids = torch.tensor([0, *(1 + characters.index(c) for c in before.vocabulary().characters)])
    lines = torch.tensor([[0, 1, 2, 3, 4, 5], [0, 3, 3, 2, 1, 0]])
    torch.testing.assert_close(new(ids[lines])[..., ids], old(lines))
    assert after.config.model == model
    assert set(SIZES) == set(MODELS) - {"ngram"}


def test_the_same_characters_give_the_same_losses_before_training(run: Path, names: str, wavemore: Any) -> None:
    assert wavemore("train", names, "--from", "done", "--run", "mine", *SHORT).code == 0
    old, new = Run(run).model(), Run(Path("mine")).new_model().eval()
    assert all(torch.equal(value, new.state_dict()[key]) for key, value in old.state_dict().items())


def test_a_text_begins_with_a_run_on_a_text(folder: Path, wavemore: Any, fails: Callable[..., str]) -> None:
    (folder / "one.txt").write_text("the cat sat on the mat, and the dog ran. " * 60, encoding="utf-8")
    (folder / "two.txt").write_text("über a big hat: that zebra! " * 80, encoding="utf-8")
    tiny = ("--format", "text", "--model", "lstm", *SIZES["lstm"], *SHORT)
    assert wavemore("train", "one.txt", *tiny, "--run", "one").code == 0
    text = ("--format", "text", *SHORT)
    assert wavemore("train", "two.txt", *text, "--from", "one", "--run", "two").code == 0
    assert wavemore("train", "two.txt", *text, "--model", "lstm", "--run", "plain").code == 0  # other ids, cached too
    assert wavemore("evaluate", "two").code == wavemore("evaluate", "plain").code == 0
    corpus, own = Run(Path("two")).corpus(), set((folder / "two.txt").read_text(encoding="utf-8"))
    assert corpus.extra_characters == "".join(sorted(set("the cat sat on the mat, and the dog ran. ") - own))
    assert corpus.vocabulary.decode_text(corpus.train.tokens[:28]) == "über a big hat: that zebra! "
    (folder / "list.txt").write_text("".join(f"{word}\n" for word in CITIES), encoding="utf-8")
    message = "one was trained on continuous text, and list is read as a list: name another run, or set --format"
    assert message in fails(2, "train", "list.txt", "--from", "one")


def test_labels_are_not_carried_over(run: Path, fails: Callable[..., str], wavemore: Any) -> None:
    Path("labelled.csv").write_text("name,kind\n" + "".join(f"{city},{city[0]}\n" for city in CITIES), encoding="utf-8")
    own = ("labelled.csv", "--column", "name")
    message = "labels are not carried over from"
    labels = ("--label-column", "kind")
    assert "a tree takes no labels" in fails(2, "train", *own, *labels, "--from", "done", *SHORT)
    assert wavemore("train", *own, *labels, *SIZES["lstm"], *SHORT, "--run", "labelled").code == 0
    for flags in ((), labels):
        assert message in fails(2, "train", *own, *flags, "--from", "labelled", *SHORT)


@pytest.mark.parametrize("before", ["before its first checkpoint", "later"])
@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_bits_without_its_source(
    before: str, run: Path, cities: str, program: Any, wavemore: Any
) -> None:
    flags = ("train", cities, "--from", "done", *LONG)
    assert wavemore(*flags, "--run", "whole").code == 0
    if before == "later":
        process = program.start(*flags, "--run", "mine")
        assert any(line.startswith("step") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
    else:
        shutil.copytree("whole", "mine")
        for path in Path("mine").iterdir():
            if path.name not in ("config.json", "vocabulary.json", "lines.safetensors", INITIAL):
                path.unlink()
    shutil.rmtree(run)
    result = wavemore("train", "--resume", "mine")
    assert result.code == 0, result.err
    assert ("resuming after step" in result.out) == (before == "later")
    assert "from    carried over from" in result.out
    assert content("mine") == content("whole")
    assert content("mine", "state.safetensors") == content("whole", "state.safetensors")


def test_the_source_decides_the_training(run: Path, cities: str, wavemore: Any, fails: Callable[..., str]) -> None:
    assert wavemore("train", cities, "--from", "done", "--run", "mine", *SHORT).code == 0
    mine = Run(Path("mine"))
    digest = training_digest(mine.config)
    path = mine.path / "config.json"
    kept = path.read_text(encoding="utf-8")
    assert mine.config.carried_from is not None
    path.write_text(kept.replace(mine.config.carried_from.sha256, "0" * 64), encoding="utf-8")
    assert training_digest(mine.config) != digest
    path.write_text(kept, encoding="utf-8")
    for name in ("summary.json", "state.safetensors", INITIAL):
        (mine.path / name).unlink()
    assert f"{INITIAL} is missing: put it back, or train again" in fails(1, "train", "--resume", "mine")


def test_a_run_that_replaces_one_with_other_first_weights(run: Path, cities: str, wavemore: Any) -> None:
    assert wavemore("train", cities, "--from", "done", "--run", "mine", *SHORT).code == 0
    again = ("train", cities, "--run", "mine", "--overwrite", *SHORT)
    assert wavemore(*again, *SIZES["tree"]).code == 0
    assert not (Path("mine") / INITIAL).exists()
    assert wavemore(*again, "--from", "done").code == 0
    assert (Path("mine") / INITIAL).exists()
    assert wavemore(*again, "--from", "mine").code == 0  # itself, as it was before
    assert Run(Path("mine")).config.carried_from is not None


def test_a_run_that_began_with_another_one_can_be_the_source_again(run: Path, cities: str, wavemore: Any) -> None:
    Path("more.txt").write_text("".join(f"{word}x\n" for word in CITIES), encoding="utf-8")
    assert wavemore("train", cities, "--from", "done", "--run", "mine", *SHORT).code == 0
    result = wavemore("train", "more.txt", "--from", "mine", "--run", "third", *SHORT)
    assert "new: x\n" in result.out
    assert result.code == 0


@pytest.mark.parametrize(
    ("code", "flags", "message"),
    [
        (1, "--from nothing", "there is no run 'nothing'"),
        (1, "--from cities.txt", "cities.txt is a file, not a run"),
        (2, "--from done --hidden 9", "--hidden is 9, and 8 in the run to begin with, whose weights fit no other"),
        (2, "--from done --fuse 2 2 2", "--fuse is 2 2 2, and 2 2 in the run to begin with"),
        (2, "--from done --context 8", "--context is 8, and 4 in the run to begin with"),
        (2, "--from done --model lstm", "--model is lstm, and runs/done has the model tree: leave --model out"),
        (2, "--from done --minutes 1", "--minutes chooses the size of the model, which the run to begin with has"),
        (2, "--from done --preset lecture", "--preset lecture begins with random weights: leave it out"),
        (2, "--from done --teachers done", "--from and --teachers are two ways to use other runs: leave out one"),
        (2, "--resume --from done", "--resume continues a run with its own settings; leave --from out"),
        (2, "--from done --layers 2", "--layers is a setting of"),
    ],
)
def test_what_cannot_be_begun(
    code: int, flags: str, message: str, run: Path, cities: str, fails: Callable[..., str]
) -> None:
    words = flags.split()
    assert message in fails(code, "train", *([] if "--resume" in words else [cities]), *words)
    assert [path.name for path in Path("runs").iterdir()] == ["done"]


def test_settings_that_the_source_has_may_be_repeated(run: Path, cities: str, wavemore: Any) -> None:
    flags = ("--model", "tree", "--context", "4", *SIZES["tree"], *SHORT)
    assert wavemore("train", cities, "--from", "done", *flags).code == 0


def test_sources_that_have_no_weights(names: str, cities: str, wavemore: Any, fails: Callable[..., str]) -> None:
    assert wavemore("train", names, "--model", "ngram", "--run", "counts").code == 0
    assert "an ngram is counted and has no weights to carry over" in fails(2, "train", cities, "--from", "counts")
    shutil.copytree("counts", "empty")
    for name in ("model.safetensors", "state.safetensors", "summary.json"):
        (Path("empty") / name).unlink()
    assert wavemore("train", names, *SIZES["tree"], *SHORT, "--run", "stopped").code == 0
    for name in ("model.safetensors", "state.safetensors", "summary.json"):
        (Path("stopped") / name).unlink()
    message = "stopped was stopped before its first evaluation, so it has no model yet: resume it"
    assert message in fails(1, "train", cities, "--from", "stopped")


def test_data_without_a_known_character(run: Path, folder: Path, fails: Callable[..., str]) -> None:
    (folder / "greek.txt").write_text("".join(f"{a}{b}\n" for a in "αβγδ" for b in "εζηθ"), encoding="utf-8")
    message = "greek has no character in common with the data of runs/done: name another run"
    assert message in fails(2, "train", "greek.txt", "--from", "done")


def test_characters_that_are_lost_by_case_or_form_are_said(folder: Path, wavemore: Any) -> None:
    lines = [f"{a}{b}{c}" for a in "abcd" for b in "eé" for c in "fgh"]
    (folder / "lower.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "upper.txt").write_text("".join(f"{line.title()}\n" for line in lines), encoding="utf-8")
    assert wavemore("train", "lower.txt", *SIZES["tree"], *SHORT, "--run", "lower").code == 0
    result = wavemore("train", "upper.txt", "--from", "lower", *SHORT)
    assert "note    4 new characters would be known in lower case: add --case lower\n" in result.out
    result = wavemore("train", "upper.txt", "--from", "lower", "--case", "lower", *SHORT)
    assert "9 of 9 characters known\n" in result.out
    assert "note    2 val lines are also in that run's data: the val loss looks better than it would" in result.out
    (folder / "parts.txt").write_text("".join(f"{line}\n".replace("é", "e\u0301") for line in lines), encoding="utf-8")
    result = wavemore("train", "parts.txt", "--from", "lower", "--normalize", "none", *SHORT)
    assert "note    1 new character would be known in the form of that run's data: add --normalize nfc\n" in result.out


def test_the_python_of_it(run: Path, cities: str) -> None:
    source = wm.find_source("done")
    corpus = wm.load_corpus(cities, extra_characters=source.characters)
    plan = wm.plan(corpus, model=source.config.model, carried=source.config.model_config, steps=4)
    model = source.model(corpus)
    *_, record = wm.fit(model, corpus, plan.recipe)
    assert record.step == 4


def test_runs_with_other_characters_are_no_teachers_and_no_ensemble(
    run: Path, names: str, wavemore: Any, fails: Callable[..., str]
) -> None:
    Path("few.txt").write_text("".join(f"{a}{b}{c}\n" for a in "an" for b in "il" for c in "aeo"), encoding="utf-8")
    assert wavemore("train", "few.txt", "--from", "done", "--run", "mine", *SHORT).code == 0
    assert wavemore("train", "few.txt", *SIZES["tree"], "--run", "plain", *SHORT).code == 0
    message = "mine cannot be a teacher, as its vocabulary has characters of the run that it began with"
    assert message in fails(2, "train", "few.txt", "--teachers", "mine")
    message = "mine has other characters or labels than plain, so they cannot be averaged"
    assert message in fails(2, "evaluate", "plain", "--ensemble", "mine")
