"""The lines in flat ids."""

import numpy as np

from wavemore.engine.line_spans import LineSpans, line_sums, positions_in_line
from wavemore.text.line_corpus import LineCorpus


def test_lines_are_found_in_flat_ids(corpus: LineCorpus) -> None:
    part = corpus.val
    spans = LineSpans.of(part.tokens)
    assert spans.lengths.tolist() == [len(line) + 1 for line in part.lines]
    assert spans.positions(np.arange(len(part.lines))).tolist() == list(range(part.num_targets))
    assert positions_in_line(part.tokens).tolist() == [i for line in part.lines for i in range(len(line) + 1)]


def test_values_are_summed_per_line(corpus: LineCorpus) -> None:
    values = np.arange(corpus.val.num_targets, dtype=np.float64)
    starts, lengths = LineSpans.of(corpus.val.tokens)
    expected = [values[start : start + length].sum() for start, length in zip(starts, lengths, strict=True)]
    assert line_sums(corpus.val, values).tolist() == expected
