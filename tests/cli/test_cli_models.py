"""Every model by the same commands: trained, evaluated, sampled, scored, logged, compared, inspected, reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.nn.config import CONFIGS

SMALL = {
    "tree": "--fuse 2 2 --embedding 4 --hidden 8",
    "wavenet": "--channels 6 --dilations 1 2 --cycles 2 --kernel-size 2 --skip-channels 5 --gate swiglu --norm layer",
    "mlp": "--context 3 --embedding 4 --hidden 8 --activation relu",
    "bigram": "",
    "rnn": "--embedding 4 --hidden 8 --layers 2",
    "gru": "--embedding 4 --hidden 8",
    "lstm": "--embedding 4 --hidden 8 --dropout 0.1",
    "bow": "--context 3 --embedding 4 --hidden 8",
    "transformer": "--layers 1 --heads 2 --channels 8 --context 6",
    "ngram": "--n 3",
}
STEPS = {name: "" if name == "ngram" else "--steps 12 --evaluations 2 --threads 1" for name in SMALL}


def train(wavemore: Callable[..., Any], name: str, *also: str, run: str = "") -> Any:
    words = ["train", "names.txt", "--model", name, "--run", run or f"runs/{name}", *SMALL[name].split(), *also]
    said = wavemore(*words, *STEPS[name].split())
    assert said.code == 0, said.err
    return said


def test_all_are_here() -> None:
    assert list(SMALL) == list(CONFIGS)


@pytest.mark.parametrize("name", SMALL)
def test_a_models_life(wavemore: Callable[..., Any], names: str, name: str) -> None:
    said = train(wavemore, name)
    assert f"model   {name}: " in said.out
    summary = json.loads(Path(f"runs/{name}/summary.json").read_text())
    config = json.loads(Path(f"runs/{name}/config.json").read_text())
    assert config["model"] == name
    assert set(config["settings"]) == set(CONFIGS[name].kinds())
    evaluated = json.loads(wavemore("evaluate", name, "--json").out)
    assert evaluated["val_nats"] == pytest.approx(summary["val_nats"], rel=1e-6)
    assert evaluated["parameters"] == summary["parameters"] > 0
    made = json.loads(wavemore("sample", name, "-n", "5", "--seed", "1", "--json").out)
    scored = json.loads(wavemore("score", "--json", f"runs/{name}", *(line["text"] for line in made)).out)
    assert [line["nats"] for line in scored] == pytest.approx([line["nats"] for line in made], rel=1e-4)
    assert f"{name} {CONFIGS[name](**config_values(config)).shape}" in wavemore("log", "--csv").out
    if name in ("wavenet", "bigram", "ngram"):
        assert wavemore("report", name).code == 0
    said = wavemore("inspect", name)
    if name == "ngram":
        assert said.code == 2
        assert said.err == (
            "wavemore: an ngram is a table of counts and has no layers: see wavemore evaluate and wavemore score\n"
        )
    else:
        assert said.code == 0
        assert "(B, T" in said.out


def config_values(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in config["settings"].items()}


def test_two_models_are_compared(wavemore: Callable[..., Any], names: str) -> None:
    for name in ("gru", "wavenet"):
        for seed in ("0", "1"):
            train(wavemore, name, "--seed", seed, "--experiment", name, run=f"runs/{name}-{seed}")
    said = wavemore("compare", "gru", "wavenet")
    assert said.code == 0
    assert "model gru → wavenet" in said.out


@pytest.mark.parametrize("name", ["wavenet", "lstm", "transformer"])
def test_a_stopped_training_goes_on(wavemore: Callable[..., Any], names: str, name: str) -> None:
    train(wavemore, name)
    train(wavemore, name, run="runs/again")
    for file in ("summary.json", "state.safetensors", "model.safetensors", "metrics.jsonl"):
        Path(f"runs/again/{file}").unlink(missing_ok=True)  # as one that was killed before its first record
    assert wavemore("train", "--resume", "--run", "runs/again", "--model", name).code == 0
    one, other = (json.loads(Path(f"runs/{run}/summary.json").read_text()) for run in (name, "again"))
    assert one["val_nats"] == other["val_nats"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model gru --dilations 1 2", "--dilations is for wavenet: the settings of model gru are --dropout, --emb"),
        ("--model bigram --hidden 3", "--hidden is for tree, mlp, rnn, gru, lstm, bow: the settings of model bigram"),
        ("--cycles 2", "--cycles is for wavenet: the settings of model tree are --activation, --context, "),
        ("--model wavenet --execution unique", "--execution unique is for a tree: a wavenet is run on whole lines"),
        ("--execution lines", "--execution lines is for other models: a tree takes unique or windows"),
        ("--model wavenet --norm batch", "norm is one of layer, rms, none, not 'batch'"),
        ("--model wavenet --dilations 0 1", "dilations are 1 or more, not 0 1"),
        ("--model wavenet --dilations 999999 999999", "a receptive field of 1,999,999 is too long: at most 1,048,576"),
        ("--model wavenet --cycles 5000", "are too many blocks: at most 1,000"),
        ("--model wavenet --channels 99999999", "do not fit into memory: take smaller ones"),
        ("--model transformer --heads 5", "channels 64 cannot be shared by 5 heads evenly"),
        ("--model bow --context 0", "context is 0; it must be 1 or more"),
        ("--model ngram --n 0", "n is 0; it must be 1 or more"),
        ("--model ngram --steps 5", "--steps is for models that are trained: an ngram is counted in one pass"),
        ("--model ngram --recipe lecture", "an ngram counts: leave --recipe out"),
        ("--model forest", "--model is one of 'auto', 'tree', 'wavenet', "),
    ],
)
def test_what_a_model_does_not_have(fails: Callable[..., str], names: str, words: str, said: str) -> None:
    assert said in fails(2, "train", names, *words.split())
    assert not Path("runs").exists()


def test_another_model_is_no_resumption(wavemore: Callable[..., Any], fails: Callable[..., str], names: str) -> None:
    train(wavemore, "gru")
    Path("runs/gru/summary.json").unlink()
    said = fails(2, "train", "--resume", "--run", "runs/gru", "--model", "lstm")
    assert "this run has model gru, not lstm" in said
