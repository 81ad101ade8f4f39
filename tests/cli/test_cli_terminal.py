"""Text from anybody's runs, lists, studies and command lines cannot steer the terminal, a page or a spreadsheet."""

import ast
import csv
import io
import json
import os
import pty
import re
import select
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Program, Result
from wavemore import cli
from wavemore.cli import main
from wavemore.runs.json_file import write_json
from wavemore.runs.run import Run

Wavemore = Callable[..., Result]

CONTROLS = "\x1b[2J\x1b]0;t\x07\x9b1m\r\b\x00\x7f\t\x85\u2028\u2029\u202e\u2066\u200f\u061c"
EVIL = f"{CONTROLS}[red]x[/red][/] :smile: {{x}} %s $HOME"
WORD = EVIL.replace("\x00", "")
"""What the shell can pass to a command."""
NAME = WORD.replace("/", "")
"""What a file can be called."""
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="session")
def _evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a list whose characters, name, note, experiment and run have evil names, and a run on it."""
    folder = tmp_path_factory.mktemp("evil")
    characters = [c for c in WORD if c not in "\r\x85\u2028\u2029 "]
    lines = sorted({f"{a}{b}{c}" for a in "ab" for b in characters for c in ("c", "d")})
    (folder / f"{NAME}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        words = ["train", f"{NAME}.txt", "--format", "lines", "--steps", "4", "--num-evals", "2", *TINY]
        assert main([*words, "--run", f"runs/{NAME}", "--note", WORD, "--experiment", WORD]) == 0
        assert main([*words, "--run", "runs/student", "--teachers", f"runs/{NAME}", "--note", f"={WORD}"]) == 0
    finally:
        os.chdir(before)
    run = Run(folder / "runs" / NAME)
    config = run.config
    write_json(run.path / "config.json", replace(config, command=("wavemore", "train", EVIL), created=f"{EVIL}2026"))
    return folder


@pytest.fixture
def evil(_evil: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = folder / "evil"
    shutil.copytree(_evil, folder)
    config = Run(folder / "runs" / NAME).config
    moved = replace(config, data=replace(config.data, source=str(folder / f"{NAME}.txt")))
    write_json(folder / "runs" / NAME / "config.json", moved)
    monkeypatch.chdir(folder)
    return folder


RUN = f"runs/{NAME}"
COMMANDS: list[tuple[str, ...]] = [
    ("log",),
    ("log", "--runs"),
    ("log", "--csv"),
    ("log", "--markdown"),
    ("log", "--json"),
    ("log", "--runs", "--json"),
    ("log", RUN, "--plot", "log.svg"),
    ("log", "student", "--name", WORD),
    ("evaluate", RUN),
    ("evaluate", RUN, "--json", "--ensemble", "student"),
    ("inspect", RUN),
    ("inspect", RUN, "--json"),
    ("inspect", RUN, "--plot", f"figures{NAME}"),
    ("inspect", f"{NAME}.txt", "--model", "mlp", "--format", "lines"),
    ("score", RUN, "ac", "a\x1bc", "b\u202ed"),
    ("score", "--json", RUN, "a\x1bc", "b\u202ed"),
    ("score", "--json", RUN, f"{WORD}z"),
    ("sample", RUN, "--json", "-n", "4"),
    ("sample", RUN, "--prefix", f"{WORD}é"),
    ("compare", RUN, RUN),
    ("compare", RUN, "student"),
    ("compare", RUN, "student", "--json", "--plot", "c.svg"),
    ("report", RUN),
    ("report", "student", "-o", f"{NAME}.html"),
    ("train", "--resume", RUN),
    ("train", f"{NAME}.txt", "--run", f"runs/{NAME}"),
    ("train", f"{NAME}.txt", "--format", "lines", "--teachers", "student", "--run", f"a{NAME}", "--steps", "2", *TINY),
    ("train", f"{NAME}.txt", "--json", "--steps", "2", "--format", "lines", *TINY),
    ("train", f"no{NAME}"),
    ("train", "--encoding", WORD),
    ("train", "--device", WORD),
    ("train", "--model", WORD),
    ("train", "--hidden", WORD),
    ("train", f"--{WORD}"),
    ("study", f"no{NAME}"),
    ("study", f"{NAME}.toml", "--jobs", "1"),
    ("study", f"{NAME}.toml", "--jobs", "1", "--json"),
    ("compare", f"x{WORD}", "student"),
    ("report", f"x{WORD}"),
    ("sample", f"x{WORD}"),
    ("evaluate", f"x{WORD}", "--debug"),
    (WORD,),
]


def check(text: str) -> None:
    """Assert that nothing in a text is obeyed by a terminal, line feeds excepted."""
    assert FORBIDDEN.findall(text) == []


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:24].encode("ascii", "replace").decode())
def test_every_command_shows_them(evil: Path, wavemore: Wavemore, words: tuple[str, ...]) -> None:
    write_study(evil)
    result = wavemore(*words)
    assert result.code in (0, 1, 2)
    check(result.out)
    check(result.err)
    if "--json" in words and result.code == 0:
        json.loads(result.out)
    for page in evil.glob("*.html"):
        check(page.read_text(encoding="utf-8"))
        assert "<red>" not in page.read_text(encoding="utf-8")
    for page in evil.rglob("page.md"):
        check(page.read_text(encoding="utf-8"))


def test_nothing_is_printed_but_through_the_screen() -> None:
    """All that the commands print is made visible, as all of it goes through one file."""
    allowed = {"screen.py", "__init__.py", "commands.py"}  # the version and the overview hold no foreign text
    for file in Path(cli.__file__).parent.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        names = [ast.unparse(call.func) for call in calls]
        if file.name not in allowed:
            assert {"print", "sys.stdout.write", "sys.stderr.write"}.isdisjoint(names), file.name
        for call, name in zip(calls, names, strict=True):  # each line by itself: `say` shows line feeds
            if name.endswith(".say"):
                assert r"\n" not in "".join(map(ast.unparse, call.args)), f"{file.name}: {ast.unparse(call)}"


def write_study(folder: Path) -> None:
    arms = "\n".join(f"[[arm]]\nname = {json.dumps(f'{fuse} {EVIL}')}\nfuse = [{fuse}]" for fuse in (2, 3))
    arms = arms.replace("\x7f", "\\u007f")
    question = json.dumps(f"Why {EVIL}?").replace("\x7f", "\\u007f")
    fixed = "[fixed]\nsteps = 2\nhidden = 4\nnum_evals = 1"
    data = json.dumps(f"{NAME}.txt").replace("\x7f", "\\u007f")
    text = f"question = {question}\ndata = {data}\nseeds = [0, 1]\n{fixed}\n{arms}\n"
    (folder / f"{NAME}.toml").write_text(text, encoding="utf-8")


def test_brackets_and_emoji_codes_are_shown_literally(evil: Path, wavemore: Wavemore) -> None:
    for words in (("log",), ("log", "--runs"), ("log", "--markdown"), ("train", "--resume", RUN)):
        out = wavemore(*words).out.replace("\\", "")
        assert ":smile: {x} %s $HOME" in out
        assert "[red]x[" in out
        assert "[]" in out or "[/]" in out


def test_csv_holds_no_formulas(evil: Path, wavemore: Wavemore) -> None:
    for note in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1"):
        assert wavemore("log", "student", "--note", note).code == 0
        [row] = csv.DictReader(io.StringIO(wavemore("log", "student", "--csv").out))
        assert row["note"].startswith("'")
        assert float(row["val_nats"]) > 0
    wavemore("log", "student", "--note", "a=1")
    [row] = csv.DictReader(io.StringIO(wavemore("log", "student", "--csv").out))
    assert row["note"] == "a=1"


def test_json_holds_the_text_itself(evil: Path, wavemore: Wavemore) -> None:
    result = wavemore("log", "--runs", "--json", RUN)
    assert "\\u202e" in result.out
    [record] = json.loads(result.out)
    assert record["note"] == WORD
    assert record["run"] == RUN


def test_samples_are_raw_in_a_pipe_and_visible_on_a_terminal(evil: Path, program: Program) -> None:
    words = ("sample", RUN, "-n", "200", "--seed", "1")
    raw = program(*words, cwd=evil).out
    assert "\x1b" in raw
    shown = on_a_terminal(program, *words, cwd=evil)
    check(shown)
    assert "␛" in shown


@pytest.mark.parametrize("words", [("log",), ("evaluate", RUN), ("train", "--hidden", WORD), ("report", f"x{WORD}")])
def test_a_terminal_gets_our_own_styles_alone(evil: Path, program: Program, words: tuple[str, ...]) -> None:
    check(STYLES.sub("", on_a_terminal(program, *words, cwd=evil)))


def test_a_moving_bar_on_a_terminal(evil: Path, program: Program) -> None:
    words = ("train", f"{NAME}.txt", "--format", "lines", "--steps", "4", "--num-evals", "2", "--note", WORD, *TINY)
    output = on_a_terminal(program, *words, "--run", f"new{NAME}", cwd=evil)
    assert "val" in output
    assert "\x1b[2J" not in output
    check(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", output))


def on_a_terminal(program: Program, *words: str, cwd: Path) -> str:
    """Run a command on a terminal, and return what it prints, with plain line ends."""
    master, slave = pty.openpty()
    process = program.start(*words, cwd=cwd, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    output = b""
    while True:
        try:
            ready, _, _ = select.select([master], [], [], 120)
            piece = os.read(master, 65536) if ready else b""
        except OSError:  # the other end was closed
            break
        if not piece:
            break
        output += piece
    os.close(master)
    process.wait()
    return output.decode("utf-8").replace("\r\n", "\n")
