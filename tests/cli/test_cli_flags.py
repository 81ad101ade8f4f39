"""Wrong flags: exit code 2, a short message, and nothing is left behind. And --help."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wavemore.cli import main, model_flags
from wavemore.cli.commands import COMMANDS
from wavemore.cli.options import with_flags
from wavemore.cli.sample import Sample
from wavemore.cli.train import Train
from wavemore.version import __version__


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--nothing", "Unrecognized options: --nothing"),
        ("--hiden 4", "--hidden"),
        ("--hidden x", "--hidden: 'x' is not a whole number"),
        ("--steps 1.5", "--steps: '1.5' is not a whole number"),
        ("--epochs many", "--epochs: 'many' is not a number"),
        ("--split-seed x", "--split-seed: 'x' is not a whole number"),
        ("--split-method thirds", "invalid choice 'thirds' for argument '--split-method'"),
        ("--run", "Missing value for argument '--run'"),
        ("--fuse 2 2 x", "--fuse: '2 2 x' is not a list of whole numbers"),
        ("--fuse", "--fuse: it needs at least one value"),
        ("--teachers", "--teachers: it needs at least one value"),
        ("--model forest", "invalid choice 'forest' for argument '--model'"),
    ],
)
def test_flags_that_cannot_be_read(
    rejects: Callable[..., str], names: str, folder: Path, flags: str, message: str
) -> None:
    assert message in rejects("train", names, *flags.split())
    assert [path.name for path in folder.iterdir()] == [names]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--hidden 0", "--hidden is 0; it must be at least 1"),
        ("--hidden -1", "--hidden is -1; it must be at least 1"),
        ("--hidden 1000000000", "--hidden is 1,000,000,000; it must be at most 65,536"),
        ("--embedding 99999999999999999999", "--embedding is far too large; it must be at most 65,536"),
        ("--fuse 0", "--fuse is 0"),
        ("--fuse 2 2 --context 8", "--context is 8, but --fuse covers 2 x 2 = 4 characters"),
        ("--context 6", "--context is 6, not a power of 2: set --fuse too"),
        ("--fuse 5000", "4,096"),
        ("--dropout 1", "--dropout is 1.0; it must be at least 0 and below 1"),
        ("--steps 0", "--steps is 0; it must be at least 1"),
        ("--epochs 0", "--epochs is 0"),
        ("--epochs nan", "--epochs is nan; it must be above 0"),
        ("--epochs 1e300", "--epochs is 1e+300; it must be at most "),
        ("--learning-rate inf", "--learning-rate is inf; it must be above 0 and finite"),
        ("--weight-decay inf", "--weight-decay is inf; it must be at least 0 and finite"),
        ("--steps 5 --epochs 2", "--epochs and --steps both set the length of the training"),
        ("--batch-size 1", "--batch-size is 1; it must be at least 2"),
        ("--learning-rate nan", "--learning-rate is nan; it must be above 0"),
        ("--learning-rate -1", "--learning-rate is -1.0; it must be above 0"),
        ("--seed -1", "--seed is -1"),
        ("--threads 0", "--threads is 0; it must be at least 1"),
        ("--device toaster", "device 'toaster' cannot be used here"),
        ("--device cuda:77", "device 'cuda:77' cannot be used here"),
        ("--distill-weight 0.5", "--distill-weight is for distillation: name the teachers with --teachers"),
    ],
)
def test_values_that_are_not_possible(
    fails: Callable[..., str], names: str, folder: Path, flags: str, message: str
) -> None:
    assert message in fails(2, "train", names, *flags.split())
    assert [path.name for path in folder.iterdir()] == [names]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample --temperature -1", "--temperature is -1.0; it must be"),
        ("sample --temperature nan", "--temperature is nan"),
        ("sample --top-p 0", "--top-p is 0.0; it must be above 0 and at most 1"),
        ("sample --top-p 2", "--top-p is 2.0"),
        ("sample --top-p nan", "--top-p is nan"),
        ("sample --top-k 0", "--top-k is 0; it must be at least 1, or all"),
        ("sample -n -1", "-n is -1; it must be at least 0"),
        ("sample --max-length 3 --min-length 4", "--max-length is 3"),
        ("sample --max-length 0", "--max-length is 0"),
        ("fly", "there is no command 'fly'; choose one of train, sample, score, next, evaluate, "),
        ("--fly", "there is no command '--fly'"),
    ],
)
def test_the_other_commands(fails: Callable[..., str], run: Path, words: str, message: str) -> None:
    assert message in fails(2, *words.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample --temperature cold", "--temperature: 'cold' is not a number"),
        ("sample --top-k some", "--top-k: 'some' is not a whole number"),
        ("sample -n x", "-n/--num: 'x' is not a whole number"),
        ("sample -n", "Missing value for argument '-n/--num'"),
        ("score --x", "wavemore: lines that begin with -- go after --, as in: wavemore score -- --x"),
        ("evaluate --everything", "Unrecognized options: --everything"),
        ("log --all", "Unrecognized options: --all"),
    ],
)
def test_flags_of_other_commands_that_cannot_be_read(
    rejects: Callable[..., str], run: Path, words: str, message: str
) -> None:
    assert message in rejects(*words.split())


@pytest.mark.parametrize(
    "words",
    [
        "train --fuse 2 2 --hidden 8 names.txt --steps 3",
        "train names.txt --hidden 8 --steps 3 --fuse 2 2",
        "train --steps 3 names.txt --fuse 2 2 --hidden 8 --overwrite --run r",
        "train -- names.txt --fuse 2 2 --hidden 8 --steps 3",
    ],
)
def test_data_may_stand_anywhere(wavemore: Any, names: str, words: str) -> None:
    result = wavemore(*words.split())
    if "--" in words.split():
        assert "'--fuse' is neither a file nor a data set" in result.err  # all words after -- are data
    else:
        assert (result.code, "fuse 2 2, embedding" in result.out) == (0, True)


def test_values_that_begin_with_a_dash(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    unknown = "unknown character '-' (U+002D) at position 1 of '-abc'"
    for words in (["--prefix", "-abc"], ["--prefix=-abc"], ["-n", "2", "--prefix", "-abc", "--new"]):
        assert unknown in fails(1, "sample", *words)
    assert wavemore("log", "done", "--note", "-good").out.endswith("-good\n")
    for words in (["-abc"], ["done", "-abc"], ["done", "-abc", "--json"], ["--", "-abc"], ["done", "--", "-abc"]):
        assert unknown in fails(1, "score", *words)


def test_parameters_in_a_message_become_flags() -> None:
    command = Train(source=("names",))
    assert with_flags("`batch_size` is 1; see `wavemore log`", command) == "--batch-size is 1; see `wavemore log`"
    assert with_flags("`format` or `run`", command) == "--format or --run"
    assert with_flags("`run`, `top_k` and `n`", Sample()) == "`run`, --top-k and -n"  # the run is positional here
    assert with_flags("`steps`", None) == "`steps`"


def test_debug_shows_the_traceback(wavemore: Any, names: str) -> None:
    result = wavemore("train", names, "--batch-size", "1", "--debug")
    assert result.code == 2
    assert result.err.startswith("Traceback")
    assert result.err.splitlines()[-1].startswith("wavemore: --batch-size is 1")


def test_characters_that_the_model_does_not_know(fails: Callable[..., str], run: Path) -> None:
    unknown = "unknown character 'q' (U+0071) at position 3 of 'anq'; known: "
    assert unknown in fails(1, "sample", "--prefix", "anq")
    assert f"line 2: {unknown}" in fails(1, "score", "anna", "anq", "--unknown", "error")
    assert r"unknown character '\udcff' (U+DCFF)" in fails(1, "score", "\udcff")
    assert "unknown character '\\n' (U+000A)" in fails(1, "score", "an\nna")


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS]])
def test_help(wavemore: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = wavemore(*command, "--help")
    assert result.code == 0
    usage, *lines = result.out.splitlines()
    assert usage.startswith("usage: wavemore")
    assert "Example" in result.out
    assert "  wavemore " in result.out
    assert "\x1b" not in result.out
    assert "STR" not in result.out
    assert all(len(line) <= 80 for line in lines)


def test_no_command_is_help_and_version_is_the_version(wavemore: Any) -> None:
    assert wavemore().out == wavemore("--help").out
    assert wavemore("--version").out == f"wavemore {__version__}\n"


def test_the_flags_of_the_settings_are_up_to_date(script: Callable[[str], ModuleType]) -> None:
    path = Path(str(model_flags.__file__))
    make_flags = script("make_flags")
    assert path.read_text(encoding="utf-8") == make_flags.content(), "run python scripts/make_flags.py"
    types = path.parents[1] / "engine/typed_settings.py"
    assert types.read_text(encoding="utf-8") == make_flags.types(), "run python scripts/make_flags.py"


def test_main_can_be_called_from_python(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("sample", "-n", "2")) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_message_on_many_wrong_flags_is_short(rejects: Any) -> None:
    message = rejects("train", "--stepz", "1", "--hiden", "2", "--batchsize", "3", "--lr", "4", "--layer", "5")
    assert message.count("\n") <= 12
    assert "--stepz" in message
