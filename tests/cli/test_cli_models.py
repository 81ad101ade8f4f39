"""Each command with each model."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from wavemore.nn.models import MODELS

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
    "ngram": "--order 3",
}
STEPS = {name: "" if name == "ngram" else "--steps 12 --num-evals 2 --threads 1" for name in SMALL}


def train(wavemore: Callable[..., Any], name: str, *also: str, run: str = "") -> Any:
    words = ["train", "names.txt", "--model", name, "--run", run or f"runs/{name}", *SMALL[name].split(), *also]
    result = wavemore(*words, *STEPS[name].split())
    assert result.code == 0, result.err
    return result


def test_every_model_is_tested() -> None:
    assert list(SMALL) == list(MODELS)


@pytest.mark.parametrize("name", SMALL)
def test_each_command_runs(wavemore: Callable[..., Any], names: str, name: str) -> None:
    result = train(wavemore, name)
    assert f"model   {name}: " in result.out
    summary = json.loads(Path(f"runs/{name}/summary.json").read_text())
    config = json.loads(Path(f"runs/{name}/config.json").read_text())
    assert config["model"] == name
    assert set(config["model_config"]) == {field.name for field in fields(MODELS[name].config)}
    evaluated = json.loads(wavemore("evaluate", name, "--json").out)
    assert evaluated["val_nats"] == pytest.approx(summary["val_nats"], rel=1e-6)
    assert evaluated["parameters"] == summary["parameters"] > 0
    made = json.loads(wavemore("sample", name, "-n", "5", "--seed", "1", "--json").out)
    scored = json.loads(wavemore("score", "--json", f"runs/{name}", *(line["text"] for line in made)).out)
    assert [line["nats"] for line in scored] == pytest.approx([line["nats"] for line in made], rel=1e-4)
    assert f"{name} {MODELS[name].config(**config_values(config)).label}" in wavemore("log", "--csv").out
    if name in ("wavenet", "bigram", "ngram"):
        assert wavemore("report", name).code == 0
    result = wavemore("inspect", name)
    if name == "ngram":
        assert result.code == 2
        assert result.err == (
            "wavemore: an ngram model is a table of counts without layers: see wavemore evaluate and wavemore score\n"
        )
    else:
        assert result.code == 0
        assert "(B, T" in result.out


def config_values(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in config["model_config"].items()}


def test_two_models_are_compared(wavemore: Callable[..., Any], names: str) -> None:
    for name in ("gru", "wavenet"):
        for seed in ("0", "1"):
            train(wavemore, name, "--seed", seed, "--experiment", name, run=f"runs/{name}-{seed}")
    result = wavemore("compare", "gru", "wavenet")
    assert result.code == 0
    assert "model gru → wavenet" in result.out


@pytest.mark.parametrize("name", ["wavenet", "lstm", "transformer"])
def test_a_run_that_was_killed_early_starts_again(wavemore: Callable[..., Any], names: str, name: str) -> None:
    train(wavemore, name)
    train(wavemore, name, run="runs/again")
    for file in ("summary.json", "state.safetensors", "model.safetensors", "metrics.jsonl"):
        Path(f"runs/again/{file}").unlink(missing_ok=True)  # as if it was killed before its first record
    assert wavemore("train", "--resume", "again").code == 0
    one, other = (json.loads(Path(f"runs/{run}/summary.json").read_text()) for run in (name, "again"))
    assert one["val_nats"] == other["val_nats"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--model gru --dilations 1 2",
            "--dilations is a setting of wavenet; the settings of gru are: --dropout, --emb",
        ),
        (
            "--model bigram --hidden 3",
            "--hidden is a setting of tree, mlp, rnn, gru, lstm, bow; the settings of bigram",
        ),
        ("--cycles 2", "--cycles is a setting of wavenet; the settings of lstm are: --dropout, --embedding, "),
        ("--model wavenet --execution unique", "--execution is for the models tree and mlp"),
        ("--model wavenet --norm batch", "--norm is 'batch'; it must be one of layer, rms, none"),
        ("--model wavenet --dilations 0 1", "--dilations"),
        ("--model wavenet --dilations 999999 999999", "1,999,999"),
        ("--model wavenet --cycles 5000", "1,000"),
        ("--model wavenet --channels 99999999", "--channels is 99,999,999; it must be at most 65,536"),
        ("--model transformer --heads 5", "--channels is 64; 5 heads need a multiple of 10"),
        ("--model bow --context 0", "--context is 0; it must be at least 1"),
        ("--model ngram --order 0", "--order is 0; it must be at least 1"),
        ("--model ngram --steps 5", "--steps is for models that are trained; an ngram is counted in one pass"),
        ("--model ngram --preset lecture", "--preset"),
    ],
)
def test_settings_that_a_model_does_not_have(fails: Callable[..., str], names: str, words: str, message: str) -> None:
    assert message in fails(2, "train", names, *words.split())
    assert not Path("runs").exists()
