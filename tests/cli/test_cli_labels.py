"""A column of labels, from the training to samples, scores and losses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.run import Run

TINY = ("--model", "gru", "--hidden", "16", "--embedding", "8", "--threads", "1")
PAIRS = [(a + b + c, "de" if a in "kt" else "new  zealand") for a in "ktmn" for b in "aeiou" for c in ("", "na", "ri")]


@pytest.fixture
def people(folder: Path) -> str:
    """A table of 60 words and their labels, four rows without one, and a label with a single item."""
    rows = [*(f"{word},{label},1" for word, label in PAIRS), *("u,,1", "uu, ,2", "uuu,,3", "uuuu"), "solo,one,1"]
    (folder / "people.csv").write_text("word,country,number\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return "people.csv"


@pytest.fixture
def labelled(wavemore: Any, people: str) -> str:
    words = ("--label-column", "country", "--steps", "150", "--run", "runs/labelled")
    assert wavemore("train", people, *TINY, *words).code == 0
    return "runs/labelled"


def test_training_says_what_the_labels_are(wavemore: Any, people: str) -> None:
    result = wavemore("train", people, *TINY, "--column", "word", "--label-column", "2", "--steps", "150", "--json")
    assert "4 items without a label left out" in result.err
    assert "the column word, labelled by country, of a table of 3 columns" in result.err
    assert "labels  3: de 30, new zealand 30, one 1\n" in result.err
    assert "note    1 label has fewer than 10 items (one): too few to be learned" in result.err
    assert "losses per label:\nlabel" in result.err
    assert " --label de\n" in result.err
    summary = json.loads(result.out)
    assert summary["val_label_recovery"] >= 0.8
    samples = Run(Path(summary["run"])).samples()
    assert {sample.partition("\t")[0] for sample in samples} <= {"de", "new zealand", "one"}


def test_the_default_model_of_labels(wavemore: Any, people: str, fails: Callable[..., str]) -> None:
    assert "model   lstm: " in wavemore("train", people, "--label-column", "country", "--steps", "2").out
    for model in ("tree", "ngram"):
        message = fails(2, "train", people, "--label-column", "country", "--model", model)
        assert f"a {model} takes no labels; set --model to wavenet, rnn, gru, lstm or transformer" in message


def test_samples_of_a_label(wavemore: Any, labelled: str, fails: Callable[..., str]) -> None:
    rows = [line.split("\t") for line in wavemore("sample", labelled, "-n", "40", "--seed", "1").out.splitlines()]
    assert {label for label, _ in rows} >= {"de", "new zealand"}
    words = wavemore("sample", labelled, "-n", "40", "--seed", "1", "--label", "de").out.split()
    assert sum(word[0] in "kt" for word in words) > 30
    records = json.loads(wavemore("sample", labelled, "-n", "3", "--label", " new zealand", "--json").out)
    assert [record["label"] for record in records] == ["new zealand"] * 3
    known = {word for word, _ in PAIRS} | {"solo"}
    assert all(record["new"] == (record["text"] not in known) for record in records)
    assert fails(2, "sample", labelled, "--label", "sv").endswith("--label is 'sv'; the data has de, new zealand, one")


def test_scores_with_a_label_and_without(wavemore: Any, labelled: str, fails: Callable[..., str]) -> None:
    scored = json.loads(wavemore("score", labelled, "kana", "mari", "--json").out)
    assert [record["label"] for record in scored] == ["de", "new zealand"]
    assert all(0.5 < record["label_p"] <= 1 for record in scored)
    given = json.loads(wavemore("score", labelled, "kana", "mari", "--label", "de", "--json").out)
    assert [record["label"] for record in given] == ["de", "de"]
    assert given[0]["nats"] == pytest.approx(scored[0]["nats"])
    assert given[1]["nats"] > scored[1]["nats"]
    assert "label_p" not in given[0]
    assert "; label new zealand " in wavemore("score", labelled, "mari").out
    rows = wavemore("score", labelled, "mari", "kana").out.splitlines()
    assert rows[0].split()[:5] == ["rank", "nats/char", "nats", "typical", "label"]
    assert "--label is 'sv'" in fails(2, "score", labelled, "kana", "--label", "sv")


def test_a_ranked_table_has_labels(wavemore: Any, labelled: str, folder: Path) -> None:
    (folder / "others.txt").write_text("kena\nmuna\nkisa\n")
    for file, words in (("others.txt", ()), ("others.txt", ("--label", "de")), ("people.csv", ())):
        assert wavemore("score", labelled, file, "-o", "ranked.csv", *words).code == 0
        with (folder / "ranked.csv").open(newline="") as opened:
            rows = list(csv.DictReader(opened))
        assert {row["label"] for row in rows} <= ({"de"} if words else {"de", "new zealand", "one"})
        assert all((row["label_p"] == "") == bool(words) for row in rows)
    assert len(rows) > 50  # the words of the table, not its rows


def test_losses_per_label(wavemore: Any, labelled: str, fails: Callable[..., str], folder: Path) -> None:
    record = json.loads(wavemore("evaluate", labelled, "--test", "--json").out)
    assert set(record["val_nats_by_label"]) <= {"de", "new zealand", "one"}
    assert record["val_label_recovery"] == Run(Path(labelled)).summary().val_label_recovery  # type: ignore[union-attr]
    assert record["test_label_recovery"] >= 0.5
    assert (
        "nats per character by label (the likeliest label is the item's own for " in wavemore("evaluate", labelled).out
    )
    (folder / "others.csv").write_text("word;land\nkesa;de\nmesa;new zealand\nuso;sv\nsolo;de\nmona;de\n")
    result = wavemore("evaluate", labelled, "others.csv", "--json")
    assert set(json.loads(result.out)["file_nats_by_label"]) == {"de", "new zealand"}
    assert "1 line with labels that the model does not know left out: sv" in result.err
    (folder / "others.txt").write_text("kena\nmuna\nkisa\n")
    given = json.loads(wavemore("evaluate", labelled, "others.txt", "--label", "de", "--json").out)
    assert set(given["file_nats_by_label"]) == {"de"}
    assert "is not a table like its data: give one with the same columns, or a --label of all items" in fails(
        2, "evaluate", labelled, "others.txt"
    )
    (folder / "other-labels.csv").write_text("word,land\nkesa,sv\nmesa,da\nuso,sv\n")
    assert "the model knows none of its labels (da, sv)" in fails(1, "evaluate", labelled, "other-labels.csv")
    assert "--label is for another file" in fails(2, "evaluate", labelled, "--label", "de")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("people.csv", "--label-column", "land"), "--label-column is 'land'; the data has word, country, number"),
        (("people.csv", "--column", "word", "--label-column", "word"), "--label-column and --column are both 'word'"),
        (("people.csv", "--label-column", "country", "--format", "lines"), "--label-column is for tables and JSON"),
        (("list.txt", "--label-column", "country"), "the data is neither a table nor JSON: leave it out"),
        (("text.txt", "--label-column", "country"), "the data is neither a table nor JSON: leave it out"),
        (("names", "--label-column", "country"), "names is a data set, not a table: leave it out"),
        (("strings.json", "--label-column", "country"), "the data is an array of strings: leave it out"),
    ],
)
def test_label_columns_that_are_none(
    words: tuple[str, ...], message: str, people: str, folder: Path, fails: Callable[..., str]
) -> None:
    (folder / "list.txt").write_text("\n".join(word for word, _ in PAIRS))
    (folder / "text.txt").write_text("The fox jumps over the dog and then it sleeps for a very long while.\n" * 80)
    (folder / "strings.json").write_text(json.dumps([word for word, _ in PAIRS]))
    assert message in fails(2, "train", *words)


def test_labels_that_are_items_or_missing(folder: Path, fails: Callable[..., str]) -> None:
    (folder / "many.csv").write_text("word,id\n" + "".join(f"w{n % 97}x,id{n}\n" for n in range(1_200)))
    message = fails(1, "train", "many.csv", "--label-column", "id")
    assert "more than 1,000 different ones (id0, id1, id2, ...), as a column of items or numbers has" in message
    (folder / "long.csv").write_text("word,note\n" + "".join(f"w{n},{'long ' * 30}\n" for n in range(40)))
    assert "has 149 characters, more than 100" in fails(1, "train", "long.csv", "--column", "1", "--label-column", "2")
    (folder / "empty.csv").write_text("word,note\n" + "".join(f"w{n}x,\n" for n in range(40)))
    assert "no item has a label" in fails(1, "train", "empty.csv", "--label-column", "note")


def test_a_label_for_a_run_without_labels(wavemore: Any, names: str, fails: Callable[..., str], folder: Path) -> None:
    assert wavemore("train", names, *TINY, "--steps", "4", "--run", "runs/plain").code == 0
    (folder / "others.txt").write_text("anna\nana\nanla\n")
    for words in (("sample",), ("score", "runs/plain", "anna"), ("evaluate", "runs/plain", "others.txt")):
        assert "--label is for models of items with labels" in fails(2, *words, "--label", "de")
    text = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while.\n" * 60
    (folder / "text.txt").write_text(text)
    assert wavemore("train", "text.txt", "--steps", "2", "--format", "text", "--run", "runs/text").code == 0
    assert "--label is for lines" in fails(2, "sample", "runs/text", "--label", "de")


def test_labels_of_json(wavemore: Any, folder: Path) -> None:
    rows = [{"user": {"name": word, "female": number % 2 == 0}} for number, (word, _) in enumerate(PAIRS)]
    (folder / "users.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--field", "user.name", "--label-field", "user.female", "--steps", "4")
    result = wavemore("train", "users.jsonl", *TINY, *words)
    assert "labels  2: false 30, true 30\n" in result.out or "labels  2: true 30, false 30\n" in result.out
    assert wavemore("sample", "-n", "2", "--label", "true").code == 0
    assert wavemore("inspect").code == 0
    assert wavemore("report").code == 0


def test_files_with_and_without_labels_do_not_mix(fails: Callable[..., str], folder: Path) -> None:
    rows = [f"{a}{b},{a}" for a in ("an", "bo", "cle", "do") for b in ("na", "ra", "mi", "lo")]
    Path("table.csv").write_text("name,kind\n" + "\n".join(rows) + "\n")
    Path("plain.txt").write_text("zora\nmia\nlea\n")
    words = ("train", "table.csv", "--column", "name", "--label-column", "kind")
    for more in (["plain.txt"], ["--val", "plain.txt"]):
        message = fails(1, words[0], words[1], *more, *words[2:])
        assert "plain.txt: its items have no labels, and those of table.csv have" in message
