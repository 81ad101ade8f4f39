"""The script that measures time and memory against the size of the data, with small data."""

from itertools import islice

import pytest

from benchmarks import scaling


def test_data_has_the_size_that_is_asked_for_and_is_the_same_each_time() -> None:
    lists = b"".join(scaling.pieces("lines", 250_000)), b"".join(scaling.pieces("lines", 250_000))
    assert lists[0] == lists[1]
    assert lists[0].count(b"\n") == 250_000
    assert {len(line) for line in islice(lists[0].split(b"\n"), 1_000)} == set(range(4, 25, 2))
    assert len(b"".join(scaling.pieces("text", 3))) == 3_000_000


@pytest.mark.slow
def test_a_row_holds_what_the_real_command_has_used() -> None:
    row = scaling.measure("lines", 500)
    assert (row["kind"], row["size"], row["megabytes"]) == ("lines", 500, 0.01)
    assert 0.1 < row["seconds"] < 1_000
    assert 50 < row["peak_mb"] < 10_000
