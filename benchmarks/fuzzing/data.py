"""Data files and standard input: lists, texts, tables, JSON, binary files, in many encodings, whole and damaged."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from benchmarks.fuzzing.case import Case, Files
from benchmarks.fuzzing.words import EVIL, MODELS, NUMBERS, WORDS

TINY = ("--steps", "3", "--hidden", "8", "--num-evals", "1")
CODECS = [
    "utf-8",
    "utf-8",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "latin-1",
    "cp1252",
    "shift_jis",
    "gb18030",
    "koi8-r",
    "utf-7",
]
ENCODINGS = ["latin-1", "utf-16", "cp1252", "utf-16-le", "ascii", "x", "hex", "idna", "punycode", "utf-7", "undefined"]
FLAGS: dict[str, tuple[str, ...]] = {
    "--format": ("lines", "text"),
    "--encoding": (*ENCODINGS, "", "auto"),
    "--normalize": ("nfc", "none", "nfkc"),
    "--invisible": ("keep", "strip", "strip-all"),
    "--long-lines": ("error", "skip"),
    "--split-method": ("distinct", "lecture"),
    "--split-seed": ("1", "-1", "99999999999999999999"),
    "--train-fraction": ("0.5", "0.999999", "1e-9", "nan"),
    "--note": EVIL,
    "--experiment": EVIL,
    "--seed": NUMBERS,
}
ALPHABETS = (
    *(
        "abcdefgh",
        "abcABC -'",
        "\u03b1\u03b2\u03b3",
        "\u0430\u0431\u0432\u0433",
        "\u0627\u0628\u062a\u062b",
        "\u65e5\u672c\u8a9e",
        "0123456789",
    ),
    *(
        "ACGT",
        "\u00e9\u00e8 ",
        "e\u0301a\u0308o",
        "\U0001f44d\U0001f44e\u200d",
        "()[]=#CNO",
        "\u200b\u200e\u202e",
        "\t \u00a0\u3000",
        "\x00\x01\x1b",
    ),
)
MAGIC = (
    b"",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"%PDF-1.7\n",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xfe",
    b"\xfe\xff",
    b"BZh9",
    b"\xef\xbb\xbf",
)


def evil_name(random: Random) -> str:
    """Return the name of a file: now and then a strange one."""
    if random.random() < 0.8:
        return random.choice(["list.txt", "data.csv", "text", "names.txt.gz", "a b.txt"])
    name = random.choice(EVIL).replace("/", "_").encode("utf-8", "replace").decode()[:100]
    return name if name.strip(" .") else "list.txt"


def data_case(random: Random, bases: dict[str, Files]) -> Case:
    """Train on, or inspect, a generated file; then use what was trained."""
    name = evil_name(random)
    model, path = random.choice(MODELS), f"./{name}"
    words = ["train", path, *TINY] if random.random() < 0.7 else ["train", path, "--model", model, "--steps", "2"]
    if random.random() < 0.1:
        words = ["inspect", path, "--model", model]
    content, codec = data_bytes(random)
    if codec != "utf-8" and random.random() < 0.7:
        words += ["--encoding", codec]
    for flag, values in FLAGS.items():
        if random.random() < 0.05:
            words += [flag, random.choice(values)]
    commands = [tuple(words)]
    if words[0] == "train":
        commands += [usage(random, "latest") for _ in range(random.choice([0, 0, 1, 2]))]
    return Case("data", tuple(commands), {name: content}, stdin_bytes(random), _encoding(random))


USES = [
    "sample RUN -n 5",
    "sample RUN --json",
    "score RUN",
    "score RUN --json",
    "score RUN --csv",
    "next RUN a",
    "evaluate RUN",
    "evaluate RUN --train --json",
    "inspect RUN",
    "inspect RUN --json",
    "report RUN",
    "log",
    "log --runs",
    "log --csv",
    "log --json",
    "log --markdown",
    "log RUN --note EVIL",
    "compare RUN runs/other",
    "train --resume RUN",
]


def usage(random: Random, run: str, uses: Sequence[str] = USES) -> tuple[str, ...]:
    """Return a command that uses a run."""
    words = {"RUN": run, "EVIL": random.choice(EVIL)}
    return tuple(words.get(word, word) for word in random.choice(uses).split())


def stdin_bytes(random: Random) -> bytes:
    """Return what `score` reads."""
    if random.random() < 0.3:
        return "\n".join(random.choices(WORDS, k=random.randint(1, 5))).encode()
    return data_bytes(random)[0] if random.random() < 0.9 else b"a" * random.choice([1, 20_000, 200_000])


PATTERNS = ("a", "an", "[a-n]*", "(an)+.?", "(?i)AN.*", ".{3,7}", "(a|b|", r"\w+\d?", "(.*a){9}", ".*a.{40}", "$^", "")


def stdin_case(random: Random, bases: dict[str, Files]) -> Case:
    """Score and sample with a good run, and odd lines, prefixes and standard input."""
    name = random.choice([name for name in bases if name.startswith("done")])
    texts = [random.choice([*WORDS, *EVIL, _line(random), _line(random, 400)]) for _ in range(random.randint(1, 3))]
    texts = [text.replace("\x00", "") for text in texts]
    words = ["runs/run", *(["--json"] if random.random() < 0.4 else [])]
    if random.random() < 0.3:
        words = ["score", *words, *(["--csv"] if random.random() < 0.3 else [])]
    elif random.random() < 0.2:
        words = ["next", *words, *(["--"] if random.random() < 0.7 else []), texts[0]]
    elif random.random() < 0.6:
        words = ["score", *words, *(["--"] if random.random() < 0.7 else []), *texts]
    else:
        words = ["sample", *words, "-n", random.choice(["1", "3", "0", "-1"]), "--prefix", texts[0]]
        for flag in ("--top-k", "--top-p", "--temperature", "--min-length", "--max-length"):
            words += [flag, random.choice(NUMBERS)] if random.random() < 0.2 else []
        words += [flag for flag in ("--new", "--distinct", "--raw", "--nearest") if random.random() < 0.2]
        for flag in ("--suffix", "--contains", "--without", "--match", "--like"):
            words += [flag, random.choice([*texts, *PATTERNS])] if random.random() < 0.2 else []
        words += ["--min-distance", random.choice(["0", "1", "2", "5", "-1"])] if random.random() < 0.2 else []
    return Case("stdin", (tuple(words),), dict(bases[name]), stdin_bytes(random), _encoding(random))


def _encoding(random: Random) -> str:
    return "ascii" if random.random() < 0.1 else "utf-8"


def data_bytes(random: Random) -> tuple[bytes, str]:
    """Return the content of a data file, and its encoding."""
    codec = random.choice(CODECS) if random.random() < 0.5 else "utf-8"
    make: Callable[[Random], str | bytes] = random.choice(KINDS_OF_DATA)
    content = make(random)
    if isinstance(content, str):
        content = content.replace("\n", random.choice(["\n"] * 5 + ["\r\n", "\r", "\n\n", "\u2028"]))
        content = content.encode(codec, "surrogatepass" if codec == "utf-8" and random.random() < 0.5 else "replace")
    if random.random() < 0.1:
        content = changed_bytes(random, content)
    if random.random() < 0.03:
        content = gzip.compress(content) if random.random() < 0.5 else _zip(content)
    return content, codec


def changed_bytes(random: Random, content: bytes) -> bytes:
    """Return some bytes with a small change."""
    place, length = random.randrange(len(content) + 1), random.choice([0, 1, 1, 2, 8, 100])
    piece = random.choice(
        [b"", random.randbytes(3), b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x92", b"\n" * 50, content[:place]]
    )
    return content[:place] + piece + content[place + length :]


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("list.txt", content)
    return file.getvalue()


def _line(random: Random, longest: int = 12) -> str:
    if random.random() < 0.3:
        return random.choice(WORDS)
    alphabet = random.choice(ALPHABETS) if random.random() < 0.2 else "abcdeinorst"
    return "".join(random.choice(alphabet) for _ in range(random.randint(1, longest)))


def _list(random: Random) -> str:
    return "\n".join(_line(random) for _ in range(random.choice([0, 3, 9, 12, 30, 60, 200, 200, 1000])))


def _one_alphabet(random: Random) -> str:
    alphabet = random.choice(ALPHABETS)
    return "\n".join(
        "".join(random.choices(alphabet, k=random.randint(1, 9))) for _ in range(random.choice([12, 40, 150]))
    )


def _evil_list(random: Random) -> str:
    return "\n".join(random.choice(EVIL) + _line(random) for _ in range(random.choice([12, 40, 100])))


def _spaced(random: Random) -> str:
    marks = ["", "", "  ", "\t", "- ", "* ", "1. ", "\u00a0", "> "]
    return "\n".join(
        f"{random.choice(marks)}{_line(random)}{random.choice(marks)}" for _ in range(random.choice([20, 100]))
    )


def _table(random: Random) -> str:
    mark = random.choice([",", "\t", ";", "|", " "])
    rows = [[_line(random), str(random.randrange(999)), random.choice(['"a, b"', "", "x"])] for _ in range(50)]
    if random.random() < 0.5:
        rows[:0] = [["name", "count", "kind"]]
    return "\n".join(mark.join(row[: random.choice([3, 3, 3, 2])]) for row in rows)


def _counted(random: Random) -> str:
    return "\n".join(f"{random.randrange(9999):>7} {_line(random)}" for _ in range(50))


def _json(random: Random) -> str:
    values: list[Any] = [
        random.choice([_line(random), {"name": _line(random), "n": 1}, [1, 2], None, 3.5]) for _ in range(40)
    ]
    if random.random() < 0.3:
        return json.dumps(values)
    return "\n".join(json.dumps(random.choice([value, {"text": _line(random)}])) for value in values)


def _prose(random: Random) -> str:
    text = ""
    for _ in range(random.choice([5, 40, 400])):
        text += random.choice([*WORDS, "and", "is", "a"]) + random.choice([" "] * 8 + [". ", "\n", "\n\n", ", "])
    return text


def _code(random: Random) -> str:
    lines = ["def f(x):", "    return x", "", "import os", "# a comment", "class A:", "    pass"]
    return "\n".join(random.choice(lines) for _ in range(80))


def _long_line(random: Random) -> str:
    lines = [_line(random) for _ in range(random.choice([0, 20]))]
    lines.insert(len(lines) // 2, random.choice("ab ") * random.choice([200, 5_000, 10_001, 60_000]))
    return "\n".join(lines)


def _many_characters(random: Random) -> str:
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + random.choice([300, 3_000]))]
    random.shuffle(characters)
    return "\n".join("".join(characters[place : place + 6]) for place in range(0, len(characters), 6))


def _same(random: Random) -> str:
    return f"{random.choice([*WORDS, 'a', ' ', ''])}\n" * random.choice([1, 2, 15, 500])


def _binary(random: Random) -> bytes:
    magic = random.choice(
        [
            b"",
            b"\x1f\x8b\x08",
            b"PK\x03\x04",
            b"%PDF-1.7\n",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xfe",
            b"\xfe\xff",
            b"\x28\xb5\x2f\xfd",
            b"BZh9",
            b"\xef\xbb\xbf",
        ]
    )
    return magic + random.randbytes(random.choice([0, 1, 50, 3_000]))


KINDS_OF_DATA: tuple[Callable[[Random], str | bytes], ...] = (
    *(_list, _list, _list, _one_alphabet, _evil_list, _spaced, _table, _counted, _json, _prose, _code),
    *(_long_line, _many_characters, _same, _binary),
)
