"""Flags that cannot be meant: exit code 2, one line, nothing is left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.cli.commands import COMMANDS
from wavemore.version import __version__


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--nothing", "Unrecognized: --nothing"),
        ("--hiden 4", "Unrecognized: --hiden, 4 (perhaps you meant --hidden); see wavemore train --help"),
        ("--hidden x", "--hidden: 'x' is no whole number"),
        ("--steps 1.5", "--steps: '1.5' is no whole number"),
        ("--epochs many", "--epochs: 'many' is no number"),
        ("--split-seed x", "--split-seed takes a whole number, not 'x'"),
        ("--split thirds", "--split is one of 'distinct', 'lecture', not 'thirds'"),
        ("--run", "--run needs a value"),
        ("other.txt", "Unrecognized: other.txt"),
        ("--hidden 0", "hidden"),
        ("--hidden -1", "hidden"),
        (
            "--hidden 1000000000",
            "silu: these do not fit into memory: take smaller ones",
        ),
        ("--embedding 99999999999999999999", "do not fit into memory"),
        ("--fuse 0", "fuse takes sizes of 1 or more, not 0"),
        ("--fuse 2 2 x", "--fuse: '2', '2', 'x' is no whole number"),
        ("--fuse 2 2 --context 8", "--fuse 2 2 sees 2 x 2 = 4 characters, not --context 8"),
        ("--context 6", "--context 6 is no power of 2; say with --fuse how it is to be fused"),
        ("--fuse 5000", "the longest is 4096"),
        ("--dropout 1", "dropout is a share"),
        ("--steps 0", "steps is 0; it must be at least 1"),
        ("--epochs 0", "epochs is 0"),
        ("--epochs nan", "epochs is nan; it must be above 0"),
        ("--steps 5 --epochs 2", "--epochs and --steps say the same thing twice"),
        ("--batch-size 1", "batch_size is 1; it must be at least 2"),
        ("--learning-rate nan", "learning_rate is nan; it must be above 0"),
        ("--learning-rate -1", "learning_rate is -1.0; it must be above 0"),
        ("--seed -1", "seed is -1"),
        ("--threads 0", "threads is 0; it must be at least 1"),
        ("--device toaster", "device 'toaster' cannot be used here"),
        ("--device cuda:77", "device 'cuda:77' cannot be used here"),
        ("--resume --overwrite", "--resume goes on with a run and --overwrite removes it: give one of them"),
    ],
)
def test_train(fails: Callable[..., str], names: str, folder: Path, flags: str, said: str) -> None:
    assert said in fails(2, "train", names, *flags.split())
    assert [path.name for path in folder.iterdir()] == [names]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sample --temperature -1", "temperature is -1.0; it must be 0 (greedy) or above"),
        ("sample --temperature nan", "temperature is nan"),
        ("sample --temperature cold", "--temperature takes a number, not 'cold'"),
        ("sample --top-p 0", "top_p is 0.0; it must be above 0 and at most 1"),
        ("sample --top-p 2", "top_p is 2.0"),
        ("sample --top-p nan", "top_p is nan"),
        ("sample --top-k 0", "top_k is 0; it must be at least 1, or all"),
        ("sample --top-k some", "--top-k: 'some' is no whole number"),
        ("sample -n -1", "n is -1; it must be 0 or more"),
        ("sample -n x", "-n/--n: 'x' is no whole number"),
        ("sample -n", "-n/--n needs a value"),
        ("sample --max-length 3 --min-length 4", "max_length is 3"),
        ("sample --max-length 0", "max_length is 0"),
        ("score -x", "Unrecognized: -x; lines that begin with - stand after --; see wavemore score --help"),
        ("evaluate --everything", "Unrecognized: --everything; see wavemore evaluate --help"),
        ("log --all", "Unrecognized: --all; see wavemore log --help"),
        ("fly", "there is no command 'fly': choose one of train, sample, score, evaluate, "),
        ("--fly", "Unrecognized: --fly; see wavemore --help"),
    ],
)
def test_the_other_commands(fails: Callable[..., str], run: Path, words: str, said: str) -> None:
    assert said in fails(2, *words.split())


def test_characters_that_the_model_has_not_seen(fails: Callable[..., str], run: Path) -> None:
    unknown = "unknown character 'q' (U+0071) at position 3 of 'anq'; known are "
    assert unknown in fails(1, "sample", "--prefix", "anq")
    assert unknown in fails(1, "score", "anna", "anq")
    assert r"unknown character '\udcff' (U+DCFF)" in fails(1, "score", "\udcff")
    assert "unknown character '\\n' (U+000A)" in fails(1, "score", "an\nna")


def test_greedy_lines_are_all_the_same(wavemore: Any, run: Path) -> None:
    said = wavemore("sample", "-n", "3", "--temperature", "0", "--prefix", "an")
    assert said.code == 0
    assert len(set(said.out.splitlines())) == 1
    assert len(said.out.splitlines()) == 3


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS]])
def test_help(wavemore: Any, command: list[str]) -> None:
    said = wavemore(*command, "--help")
    assert said.code == 0
    assert said.out.startswith("usage: wavemore")
    assert "Example: wavemore" in said.out
    assert "\x1b" not in said.out
    assert "STR" not in said.out.replace("STRING", "") or command == ["bench"]


def test_no_command_is_help_and_version_is_the_version(wavemore: Any) -> None:
    assert wavemore().out == wavemore("--help").out
    assert wavemore("--version").out == f"wavemore {__version__}\n"
