import numpy as np
import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text.cleaning import Cleaning
from wavemore.text.items import ItemReader
from wavemore.text.labels import MAX_LABELS, LabelCollector, LabelColumn, Labels
from wavemore.text.layout import Layout, Wanted
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.lines import Collector
from wavemore.text.recognize import recognize
from wavemore.text.vocabulary import Vocabulary


def test_labels_stay_with_their_lines() -> None:
    """Blank, long and cleaned lines included."""
    collector = Collector(Cleaning("nfc", max_length=4))
    collector.add([" ann ", "", "longer", "bob", "\t"], labels=["f", "x", "y", "m", "z"])
    collector.add(["zoe\u0308", "much too long"], labels=["f", "y"])
    lines, report = collector.finish()
    assert lines.labels is not None
    assert list(lines) == ["ann", "bob", "zoë"]
    assert [lines.labels.names[number] for number in lines.labels.numbers] == ["f", "m", "f"]
    assert lines.labels.names == ("f", "m")  # no label without a line
    assert (report.lines, report.blank) == (3, 2)
    taken = lines.take([2, 1])
    assert taken.labels is not None
    assert taken.labels.numbers.tolist() == [0, 1]


def test_the_labels_of_many_batches_are_sorted() -> None:
    collector = LabelCollector()
    for start in range(0, 600, 100):
        collector.add([f"label {(7 * number) % 300}" for number in range(start, start + 100)])
    column = collector.finish()
    assert list(column.names) == sorted({f"label {number}" for number in range(300)})
    assert [column.names[number] for number in column.numbers] == [f"label {(7 * n) % 300}" for n in range(600)]


def test_too_many_labels() -> None:
    collector = LabelCollector()
    collector.add([f"item {number}" for number in range(MAX_LABELS)])
    with pytest.raises(DataError, match="more than 1,000 different ones"):
        collector.add(["one more"])


@pytest.mark.parametrize(
    ("names", "counts"),
    [(("b", "a"), (1, 1)), (("a", "a"), (1, 1)), (("a",), ()), (("a",), (0,)), (("a", "b"), (-1, 5)), ((" a",), (1,))],
)
def test_labels_that_are_none(names: tuple[str, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"labels must be distinct|the counts of labels"):
        Labels(names, counts)


def test_numbers_among_other_names() -> None:
    column = LabelColumn(("b", "c"), np.array([1, 0, 1], np.uint16))
    assert column.numbered_as(("a", "b", "c")).numbers.tolist() == [2, 1, 2]
    assert column.known_to(("a", "c")).tolist() == [True, False, True]
    with pytest.raises(DataError, match="the label b is not one of a, c"):
        column.numbered_as(("a", "c"))
    assert column.take(np.array([0, 2])).numbered_as(("a", "c")).numbers.tolist() == [1, 1]


def test_a_given_vocabulary_numbers_the_labels() -> None:
    lines = [f"{a}{b}" for a in "abcd" for b in "abcd"]
    vocabulary = Vocabulary("abcde", labels=Labels(("l", "m", "n"), (3, 4, 5)))
    corpus = LineCorpus.from_lines(lines, vocabulary=vocabulary, labels=["n", "m"] * 8)
    assert corpus.vocabulary is vocabulary
    assert corpus.train.labels is not None
    assert set(corpus.train.labels.numbers.tolist()) == {1, 2}
    with pytest.raises(DataError, match="the label x is not one of l, m, n"):
        LineCorpus.from_lines(lines, vocabulary=vocabulary, labels=["n", "x"] * 8)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
    assert vocabulary != Vocabulary("abcde")


TABLE = "id\tname\tland\tage\n" + "".join(
    f"{n}\tname {chr(97 + n)}\t{'de' if n % 2 else 'fi'}\t{n}\n" for n in range(20)
)
JSON = "".join(f'{{"name": "name {chr(97 + n)}", "of": {{"land": {n % 2}}}}}\n' for n in range(20))


@pytest.mark.parametrize(
    ("text", "column", "label", "expected"),
    [
        (TABLE, None, "land", Layout("table", "\t", True, 1, label=2)),
        (TABLE, "name", "3", Layout("table", "\t", True, 1, label=2)),
        (TABLE, "2", "age", Layout("table", "\t", True, 1, label=3)),
        (JSON, None, "of.land", Layout("json-lines", field="name", label="of.land")),
        ("a,x\nb,y\nc,x\n", "1", "2", Layout("table", ",", False, 0, label=1)),
    ],
)
def test_layouts_with_labels(text: str, column: str | None, label: str, expected: Layout) -> None:
    recognized = recognize(text, Wanted(column, label_column=label))
    assert recognized is not None
    assert recognized.layout == expected
    assert "labelled by " in recognized.items
    batches = list(ItemReader(expected).batches([text]))
    items = [pair for batch in batches for pair in zip(batch.texts, batch.labels or (), strict=True)]
    assert len(items) == (3 if text.startswith("a,") else 20)


@pytest.mark.parametrize(
    "settings",
    [{"label": 0}, {"label": -1}, {"label": 10_000}, {"label": "x"}],
)
def test_layouts_that_are_none(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="label"):
        Layout("table", ",", **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="label"):
        Layout("plain", label=1)
    with pytest.raises(UsageError, match="label"):
        Layout("json", field="a", label="a")
