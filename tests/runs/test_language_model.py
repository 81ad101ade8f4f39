"""One object for a trained model: trained, wrapped, saved and loaded again."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wavemore as wm
from wavemore.cli import main
from wavemore.nn.models import MODELS
from wavemore.runs.config import RunConfig
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import read_text_corpus

SMALL: dict[str, Any] = {"steps": 8, "batch_size": 32, "num_evals": 2}


@pytest.fixture
def trained_model(corpus: LineCorpus) -> wm.LanguageModel:
    return wm.train(corpus, model="tree", fuse=(2, 2), hidden=8, **SMALL)


def texts(model: wm.LanguageModel, n: int = 6) -> list[str]:
    return [sample.text for sample in model.generate(n, seed=3)]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_trained_saved_and_loaded(name: str, corpus: LineCorpus, tmp_path: Path) -> None:
    model = wm.train(corpus, model=name, **({} if name == "ngram" else SMALL))
    model.save_pretrained(tmp_path / "model")
    loaded = wm.from_pretrained(tmp_path / "model")
    assert texts(loaded) == texts(model)
    assert loaded.evaluate(corpus.val) == model.evaluate(corpus.val)
    assert loaded.score(["anna", "bob"]) == model.score(["anna", "bob"])
    assert loaded.config == model.config
    assert loaded.summary == model.summary
    assert loaded.vocabulary == corpus.vocabulary
    assert not loaded.model.training
    assert np.array_equal(loaded.known, corpus.line_hashes)


def test_the_wishes_are_those_of_sampling(trained_model: wm.LanguageModel, corpus: LineCorpus) -> None:
    samples = trained_model.generate(20, prefix="an", new=True, distinct=True, temperature=1.5, max_length=9)
    assert len(samples) == 20
    assert all(sample.new and sample.text.startswith("an") and len(sample.text) <= 9 for sample in samples)
    assert len(trained_model.generate()) == 1
    lines = [line for part in (corpus.train, corpus.val, corpus.test) for line in part.lines]
    far = trained_model.generate(3, min_distance=2, known=lines, suffix="a", max_length=12)
    assert all(sample.new and sample.text.endswith("a") for sample in far)
    with pytest.raises(wm.UsageError, match="needs the known lines"):
        trained_model.generate(3, min_distance=2)
    longest = max(len(sample.text) for sample in trained_model.generate(50))
    assert longest <= corpus.longest_line
    with pytest.raises(wm.UsageError, match="`temperature` is -1"):
        trained_model.generate(temperature=-1)
    with pytest.raises(wm.UsageError, match="`length` is for continuous text"):
        trained_model.generate(3, length=100)
    with pytest.raises(wm.UsageError, match="one string"):
        trained_model.score("anna")
    with pytest.raises(wm.UnknownCharacterError):
        trained_model.score(["ANNA"])


def test_it_is_the_training_of_the_command(corpus: LineCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    size = ["--fuse", "2", "2", "--hidden", "8"]
    flags = ["--device", "auto", "--model", "tree", *size, "--steps", "8", "--batch-size", "32", "--num-evals", "2"]
    assert main(["train", corpus.source, "--run", "runs/a", *flags]) == 0
    model = wm.train(corpus, run="runs/b", model="tree", fuse=(2, 2), hidden=8, experiment="b", note="mine", **SMALL)
    a, b = Run("runs/a"), Run("runs/b")
    assert (b.path / "model.safetensors").read_bytes() == (a.path / "model.safetensors").read_bytes()
    assert replace(b.config, command=a.config.command, created=a.config.created, experiment="", note="") == a.config
    assert (b.config.experiment, b.config.note) == ("b", "mine")
    assert a.samples() == b.samples()
    assert wm.from_pretrained("b").summary == model.summary
    assert wm.from_pretrained("latest").config == b.config
    assert main(["sample", "runs/b"]) == 0


def test_a_stopped_training_is_resumed(trained: Run, corpus: LineCorpus, config: RunConfig, tmp_path: Path) -> None:
    whole = wm.train(corpus, wm.Plan(config.model, config.model_config, config.recipe), run=tmp_path / "whole")
    with pytest.raises(wm.RunError, match="already holds a run"):
        wm.train(corpus, run=trained.path)
    resumed = wm.train(corpus, run=trained.path, resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    again = wm.train(corpus, run=trained.path, resume=True)
    assert again.summary == resumed.summary
    other = LineCorpus.from_lines(list("abcdefghijklmn"))
    with pytest.raises(wm.RunError, match="was trained on other data"):
        wm.train(other, run=trained.path, resume=True)
    replaced = wm.train(corpus, run=trained.path, overwrite=True, model="bigram", **SMALL)
    assert Run(trained.path).config.model == replaced.config.model == "bigram"
    started = wm.train(corpus, run=tmp_path / "new", resume=True, model="bigram", **SMALL)
    assert started.evaluate(corpus.val) == replaced.evaluate(corpus.val)


def test_settings_that_contradict_each_other(corpus: LineCorpus) -> None:
    plan = wm.plan(corpus, model="bigram", **SMALL)
    with pytest.raises(wm.UsageError, match="`hidden` is a setting for a plan"):
        wm.train(corpus, plan, hidden=8)
    with pytest.raises(wm.UsageError, match="give `run`"):
        wm.train(corpus, plan, resume=True)
    with pytest.raises(wm.UsageError, match="there is no setting `nonsense`"):
        wm.train(corpus, nonsense=8)  # type: ignore[call-arg]
    with pytest.raises(wm.UsageError, match="device 'cuda:77' cannot be used here"):
        wm.train(corpus, plan, device="cuda:77")


def test_a_model_of_a_loop_of_ones_own_is_saved(corpus: LineCorpus, tmp_path: Path, capsys: Any) -> None:
    for name in MODELS:
        model = wm.build(name, len(corpus.vocabulary))
        for _ in wm.fit(model, corpus, wm.Recipe(steps=2, batch_size=32)):
            pass
        whole = wm.LanguageModel.of(model, corpus)
        whole.save_pretrained(tmp_path / name)
        loaded = wm.from_pretrained(tmp_path / name)
        assert loaded.config.model == ("tree" if name == "mlp" else name)
        assert texts(loaded) == texts(whole)
    assert main(["sample", str(tmp_path / "gru"), "-n", "2"]) == 0
    assert main(["evaluate", str(tmp_path / "gru")]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
    with pytest.raises(wm.ModelError, match="a Linear is not a wavemore model"):
        wm.LanguageModel.of(torch.nn.Linear(2, 2), corpus)  # type: ignore[arg-type]
    with pytest.raises(wm.ModelError, match="predicts"):
        wm.LanguageModel.of(wm.build("gru", 5), corpus)


def test_it_is_saved_again_over_itself_and_over_nothing_else(
    trained_model: wm.LanguageModel, trained: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "model"
    trained_model.save_pretrained(folder)
    trained_model.save_pretrained(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "lines.safetensors",
        "model.safetensors",
        "summary.json",
        "vocabulary.json",
    ]
    (folder / "notes.txt").write_text("mine")
    for place in (folder, trained.path):
        before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
        with pytest.raises(wm.RunError, match="holds a training or other files"):
            trained_model.save_pretrained(place)
        assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before
    with pytest.raises(wm.RunError, match="cannot save a model"):
        trained_model.save_pretrained(folder / "notes.txt")


def test_layers_that_were_exchanged_are_not_saved_as_if_they_were_not(
    trained_model: wm.LanguageModel, tmp_path: Path
) -> None:
    torch.nn.utils.parametrizations.weight_norm(list(trained_model.model.modules())[-1], "weight")
    with pytest.raises(wm.ModelError, match="as layers were exchanged"):
        trained_model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_is_no_model_is_an_error_of_one_line(trained_model: wm.LanguageModel, tmp_path: Path) -> None:
    for name in ("nowhere", tmp_path / "nowhere"):
        with pytest.raises(wm.RunError, match=r"there is no folder .* with a model"):
            wm.from_pretrained(name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(wm.RunError, match="holds no run"):
        wm.from_pretrained(tmp_path / "empty")
    trained_model.save_pretrained(tmp_path / "model")
    shutil.copy(tmp_path / "model" / "lines.safetensors", tmp_path / "model" / "model.safetensors")
    with pytest.raises(wm.RunError, match="does not fit"):
        wm.from_pretrained(tmp_path / "model")
    with pytest.raises(wm.UsageError, match="device 'toaster' cannot be used here"):
        wm.from_pretrained(tmp_path / "model", device="toaster")


def test_devices(trained_model: wm.LanguageModel) -> None:
    assert trained_model.to("auto").device.type in ("cpu", "cuda", "mps")
    assert trained_model.to(torch.device("cpu")).device == torch.device("cpu")
    with pytest.raises(wm.UsageError, match="cannot be used here"):
        trained_model.to("cuda:77")
    assert trained_model.device.type == "cpu"


def test_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat, and the dog sat on the cat.\n" * 40)
    text = read_text_corpus(path, cache=tmp_path)
    model = wm.train(text, model="gru", hidden=8, steps=4, batch_size=64, block_size=16, sampling="shuffle")
    model.save_pretrained(tmp_path / "model")
    loaded = wm.from_pretrained(tmp_path / "model")
    [generated] = loaded.generate(length=30, prefix="the ")
    assert generated == model.generate(length=30, prefix="the ")[0]
    assert len(generated.text) == 34
    assert loaded.score(["the cat\nsat"])[0].nats > 0
    with pytest.raises(wm.UsageError, match="give `length`"):
        loaded.generate(3)


def test_labels(tmp_path: Path) -> None:
    lines = [a + b + c for a in ("an", "bo", "cle") for b in ("", "n", "tt") for c in "aeoy"]
    corpus = LineCorpus.from_lines(lines, labels=["x" if line < "bo" else "y" for line in lines])
    model = wm.train(corpus, model="gru", **SMALL)
    model.save_pretrained(tmp_path / "model")
    loaded = wm.from_pretrained(tmp_path / "model")
    assert {sample.label for sample in loaded.generate(10, label="y")} == {"y"}
    assert loaded.score(["anna"])[0].label in ("x", "y")
    assert loaded.score(["anna"], ["y"])[0].label == "y"


def test_it_says_what_it_is(trained_model: wm.LanguageModel) -> None:
    assert repr(trained_model) == (
        f"LanguageModel(tree, {trained_model.model.parameter_count():,} parameters, trained on 'names')"
    )
    assert "Tree" in trained_model._repr_html_()


def test_lines_like_examples_and_ranked_ones() -> None:
    names = wm.train(wm.load_corpus("names"), epochs=0.05, hidden=16)
    like = names.generate(10, like=["mila", "luna", "aria"], suffix="a", seed=1)
    assert len(like) == 10
    assert all(sample.text.endswith("a") for sample in like)
    best, surprising = (names.generate(10, rank=rank, seed=1) for rank in ("best", "surprising"))
    nats = [[sample.nats / (len(sample.text) + 1) for sample in samples] for samples in (best, surprising)]
    assert nats[0] == sorted(nats[0])
    assert max(nats[0]) < min(nats[1])
