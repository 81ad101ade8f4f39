"""Counts of items: where they come from, what is wrong with them, and the filter by them."""

from pathlib import Path

import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus

ITEMS = {"anna": 7, "bo": 5, "cleo": 3, "dora": 9, "ella": 4, "fay": 8, "gus": 2, "hal": 6, "ida": 11, "jim": 12}
FILES = {
    "table.csv": "name,times\n" + "".join(f"{a},{n}\n" for a, n in ITEMS.items()),
    "reversed.tsv": "times\tname\n" + "".join(f"{n}\t{a}\n" for a, n in ITEMS.items()),
    "lines.jsonl": "".join(f'{{"name": "{a}", "times": {n}}}\n' for a, n in ITEMS.items()),
    "array.json": "[" + ", ".join(f'{{"name": "{a}", "times": "{n}"}}' for a, n in ITEMS.items()) + "]",
}


def counts_of(corpus: LineCorpus) -> dict[str, int]:
    counts = dict[str, int]()
    for part in (corpus.train, corpus.val, corpus.test):
        assert part.lines.counts is not None
        counts |= dict(zip(part.lines, part.lines.counts.tolist(), strict=True))
    return counts


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.mark.parametrize("name", FILES)
def test_each_item_keeps_its_count(tmp_path: Path, name: str) -> None:
    corpus = load_corpus(write(tmp_path, name, FILES[name]), format="lines", count_column="times")
    assert counts_of(corpus) == ITEMS
    assert f"{sum(ITEMS.values())} occurrences in all" in str(corpus.report)


def test_the_counts_of_uniq(tmp_path: Path) -> None:
    path = write(tmp_path, "counted.txt", "".join(f"{n:7} {a}\n" for a, n in ITEMS.items()))
    assert counts_of(load_corpus(path, count_column="1")) == ITEMS
    assert load_corpus(path, format="auto").train.segment_weights is None


def test_counts_stay_with_their_items_when_others_are_left_out(tmp_path: Path) -> None:
    rows = "".join(f"{a},{n}\n ,99\n{'x' * 20},77\nzero,0\n" for a, n in ITEMS.items())
    corpus = load_corpus(
        write(tmp_path, "table.csv", "name,times\n" + rows), column="name", count_column="times", max_length=10
    )
    assert counts_of(corpus) == ITEMS
    assert "10 items with a count of 0 left out" in corpus.report.repairs
    assert corpus.report.blank == 10


def test_rare_items_are_left_out_and_counted(tmp_path: Path) -> None:
    items = ITEMS | {"qed": 1, "zoe": 2}
    content = "name,times\n" + "".join(f"{a},{n}\n" for a, n in items.items()) + "zoe,2\n"
    path = write(tmp_path, "table.csv", content)
    corpus = load_corpus(path, count_column="times", min_count=2)
    assert set(counts_of(corpus)) == set(items) - {"qed"}
    assert "1 line left out that occurs once only" in str(corpus.report)
    assert "q" not in corpus.vocabulary.characters
    copies = write(tmp_path, "copies.txt", "".join(f"{a}\n" * n for a, n in items.items()))
    frequent = load_corpus(copies, min_count=2)
    assert {*frequent.train.lines, *frequent.val.lines, *frequent.test.lines} == {*items} - {"qed"}
    with pytest.raises(DataError, match="no item occurs 50 times; choose a lower `min_count`"):
        load_corpus(copies, min_count=50)


@pytest.mark.parametrize("count", ["many", "-1", "1e3", "", "1000000000000", "1.5", "NaN"])
def test_a_wrong_count_is_an_error_that_names_its_line(tmp_path: Path, count: str) -> None:
    path = write(tmp_path, "table.csv", FILES["table.csv"] + f"kit,{count}\n")
    with pytest.raises(DataError, match=r"table.csv: the row that ends in line 12: the count is .*, not a whole"):
        load_corpus(path, column="name", count_column="times")


def test_a_count_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "table.csv", FILES["table.csv"])
    with pytest.raises(UsageError, match="`count_column` is 'births'; the data has name, times"):
        load_corpus(path, column="name", count_column="births")
    plain = write(tmp_path, "plain.txt", "\n".join(ITEMS))
    with pytest.raises(UsageError, match="`count_column` is 'times', but the data is neither a table nor JSON"):
        load_corpus(plain, count_column="times")
    with pytest.raises(UsageError, match="`count_column` is for lists"):
        load_corpus(plain, format="text", count_column="times")
