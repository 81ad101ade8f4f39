"""One generated input: files, commands and standard input; written to a folder, run there, and judged.

Each command runs in a child that is forked from a process in which everything is imported, so a case takes a tenth of
a second. The child is the real program: `wavemore.cli.main` with its own standard streams and working folder.
"""

import base64
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FOLDER = "@FOLDER@"
"""In words and in the content of files: the folder of the case."""
MEGABYTE = 1 << 20
MAX_MEMORY = 2048 * MEGABYTE
MAX_LINES, MAX_CHARACTERS = 12, 3_000
"""Of a message."""
SECRET = b"the secret of another folder"
"""Content of the file `outside/secret`, which links in a run point to: it is neither shown nor copied nor changed."""
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Special:
    """What may be in the place of a regular file: a link, a fifo, a folder, or a sparse file of many bytes."""

    kind: str
    target: str = ""
    size: int = 0


Content = bytes | Special
Files = dict[str, Content]


@dataclass(frozen=True)
class Case:
    """Commands that are run one after the other in a folder with some files."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    files: Files
    stdin: bytes = b""
    encoding: str = "utf-8"
    """Of standard output and standard error."""
    note: str = ""
    """What was changed."""
    costly: bool = False
    """Whether the flags themselves may ask for more memory than there is."""

    def to_json(self) -> str:
        """Return everything that repeats the case."""
        files = {
            path: {"base64": base64.b64encode(content).decode()} if isinstance(content, bytes) else vars(content)
            for path, content in self.files.items()
        }
        record = {**vars(self), "files": files, "stdin": base64.b64encode(self.stdin).decode()}
        return json.dumps(record, indent=1)


def from_json(text: str) -> Case:
    """Return the case of `Case.to_json`."""
    record = json.loads(text)
    record["files"] = {
        path: base64.b64decode(content["base64"]) if "base64" in content else Special(**content)
        for path, content in record["files"].items()
    }
    record["commands"] = tuple(map(tuple, record["commands"]))
    return Case(**{**record, "stdin": base64.b64decode(record["stdin"])})


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one command of a case."""

    fault: str
    """traceback, hang, secret, memory, exit code, warning, control character, not JSON, long message or no message."""
    place: str
    """Faults of one cause have the same one: where the exception was raised, or the command."""
    command: tuple[str, ...]
    output: str


def run_case(
    case: Case, folder: Path, timeout: float, look: Callable[[Path], None] = lambda work: None
) -> Verdict | None:
    """Run the commands of a case in `folder`, which is made and removed; return the first fault.

    `look` is called with the working folder afterwards.
    """
    write_files(case, folder)
    try:
        for command in case.commands:
            if fault := _run_command(case, command, folder, timeout):
                return fault
        look(folder / "work")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def write_files(case: Case, folder: Path) -> None:
    """Write the files of a case to a new folder."""
    (folder / "work").mkdir(parents=True)
    for name, content in case.files.items():
        path = folder / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content.replace(FOLDER.encode(), os.fsencode(folder / "work")))
        elif content.kind == "link":
            path.symlink_to(content.target.replace(FOLDER, str(folder / "work")))
        elif content.kind == "fifo":
            os.mkfifo(path)
        elif content.kind == "folder":
            path.mkdir(exist_ok=True)
        else:
            path.touch()
            os.truncate(path, content.size)


def _run_command(case: Case, command: tuple[str, ...], folder: Path, timeout: float) -> Verdict | None:
    for name, content in (("stdin", case.stdin), ("stdout", b""), ("stderr", b"")):
        (folder / name).write_bytes(content)  # there even if the program is killed before it begins
    words = [word.replace(FOLDER, str(folder / "work")) for word in command]
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_the_program(words, folder, case.encoding)
    status, usage, seconds = _wait(child, timeout)
    out, err = ((folder / name).read_bytes().decode(case.encoding, "replace") for name in ("stdout", "stderr"))
    fault, place = judge(case, words, status, usage.ru_maxrss * 1024, out, err)
    if status is None:
        fault, place = "hang", " ".join(words[:1])
    fault, place = (fault, place) if fault else _touched(case, folder / "work", command[0])
    if not fault:
        return None
    return Verdict(
        fault,
        place,
        command,
        f"{seconds:.1f} s, status {status}\n--- stdout\n{out[-3_000:]}\n--- stderr\n{err[-6_000:]}",
    )


def _wait(child: int, timeout: float) -> tuple[int | None, resource.struct_rusage, float]:
    """Wait for a child and the processes that it started; kill them after `timeout` seconds (the status is None)."""
    start, pause = time.monotonic(), 0.001
    while True:
        process, status, usage = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - start
        if process:
            return os.waitstatus_to_exitcode(status), usage, seconds
        if seconds > timeout:
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:  # it has no group of its own yet
                os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            return None, usage, seconds
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


def _be_the_program(words: list[str], folder: Path, encoding: str) -> None:
    """In the child: run the command, and never return."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder / "work")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(os.open(folder / name, os.O_WRONLY if number else os.O_RDONLY), number)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding=encoding)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding=encoding, line_buffering=True
        )
        os.environ |= {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "COLUMNS": "100",
            "HF_HUB_OFFLINE": "1",
        }
        in_use = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (in_use + MAX_MEMORY,) * 2)  # files that are mapped do not count
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_MEMORY, MAX_MEMORY))
        from wavemore.cli import main

        sys.argv = ["wavemore", *words]
        code = main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 (what Python would print)
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def judge(case: Case, words: list[str], status: int | None, memory: int, out: str, err: str) -> tuple[str, str]:
    """Return the fault of a command and its place; two empty strings if there is none."""
    command = " ".join(words[:1])
    if SECRET.decode() in err + out:
        return "secret", f"{command} shows it"
    if "Traceback (most recent call last)" in err + out and "--debug" not in words:
        return "traceback", _place(err if "Traceback" in err else out)
    if memory > MAX_MEMORY or (not case.costly and "out of memory" in err):
        return "memory", command
    if status is not None and status not in (0, 1, 2):
        return "exit code", f"{command}: {status}"
    if warning := re.search(r"\w+Warning: .{0,60}", err):
        return "warning", warning[0]
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    raw = words[:1] == ["sample"] and not as_json
    if found := CONTROLS.search(err) or (None if raw else CONTROLS.search(out)):
        return "control character", f"{command}: U+{ord(found[0]):04X}"
    if as_json and status == 0 and not out.startswith("usage:") and not _is_json(out):
        return "not JSON", command
    if status in (1, 2):
        message = err[max(0, f"\n{err}".find("\nwavemore: ")) :]
        if message.count("\n") > MAX_LINES or len(message) > MAX_CHARACTERS:
            return "long message", command
        if not message.strip():
            return "no message", command
    return "", ""


def _touched(case: Case, work: Path, command: str) -> tuple[str, str]:
    """Return a fault if the secret was changed, or copied to another file."""
    if "outside/secret" not in case.files:
        return "", ""
    outside = [path for path in (work / "outside").iterdir() if path.name != "secret"]
    if outside or (work / "outside" / "secret").read_bytes() != SECRET:
        return "secret", f"{command} writes outside"
    for path in work.rglob("*"):
        regular = path.is_file() and not path.is_symlink() and path.parent.name != "outside"
        if regular and path.stat().st_size < MEGABYTE and SECRET in path.read_bytes():
            return "secret", f"{command} copies it"
    return "", ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _place(text: str) -> str:
    """Return the exception and the last line of wavemore's code in a traceback."""
    frames = re.findall(r'File ".*?/src/(wavemore/.*?)", line (\d+)', text)
    exceptions = re.findall(r"^(\w[\w.]*)(?::|$)", text, re.MULTILINE)
    place = ":".join(frames[-1]) if frames else "?"
    return f"{exceptions[-1] if exceptions else '?'} at {place}"


def simplify(case: Case, verdict: Verdict, folder: Path, timeout: float, tries: int = 60) -> Case:
    """Leave out commands, words, files and parts of the files as long as the fault remains."""

    def fails(candidate: Case) -> bool:
        nonlocal tries
        tries -= 1
        found = run_case(candidate, folder, timeout)
        return found is not None and (found.fault, found.place) == (verdict.fault, verdict.place)

    changed = True
    while changed and tries > 0:
        changed = False
        for candidate in _simpler(case):
            if tries <= 0:
                break
            if fails(candidate):
                case, changed = candidate, True
                break
    return case


def _simpler(case: Case) -> "list[Case]":
    """Return the case with one thing less each."""
    commands, files = case.commands, case.files
    cases = [
        replace(case, commands=commands[:n] + commands[n + 1 :]) for n in range(len(commands)) if len(commands) > 1
    ]
    cases += [replace(case, files={name: files[name] for name in files if name != left_out}) for left_out in files]
    for number, command in enumerate(case.commands):
        for place in range(1, len(command)):
            for length in (2, 1):
                shorter = command[:place] + command[place + length :]
                cases.append(replace(case, commands=(*case.commands[:number], shorter, *case.commands[number + 1 :])))
    parts: list[tuple[Any, bytes]] = [(path, c) for path, c in case.files.items() if isinstance(c, bytes)]
    for path, content in [*parts, (None, case.stdin)]:
        half = len(content) // 2
        pieces = [content[:half], content[half:]] if half else []
        for piece in pieces:
            changed = {"stdin": piece} if path is None else {"files": {**case.files, path: piece}}
            cases.append(replace(case, **changed))
    return cases
