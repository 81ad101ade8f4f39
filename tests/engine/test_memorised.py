"""Shares of known lines among samples, against a count by hand."""

from dataclasses import asdict
from itertools import islice

import numpy as np
import pytest

import wavemore.engine.memorised as module
from wavemore.engine.generate_lines import generate
from wavemore.engine.memorised import memorised
from wavemore.engine.sampling import Sampling
from wavemore.nn.model import Model
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit
from wavemore.text.text_corpus import TextCorpus

SAMPLING = Sampling(max_length=12, seed=5)


def test_shares_of_samples(corpus: LineCorpus, counted: Model) -> None:
    found = memorised(counted, corpus, SAMPLING)
    assert found is not None
    texts = [sample.text for sample in islice(generate(counted, corpus.vocabulary, 1_000, SAMPLING), 1_000)]
    train, held_out = set(corpus.train.lines), {*corpus.val.lines, *corpus.test.lines} - set(corpus.train.lines)
    new = [text for text in texts if text not in train | held_out]
    characters = corpus.vocabulary.characters
    near = within_one_edit(new, np.sort(Lines.from_iterable(train | held_out).hashes()), characters)
    real_near = within_one_edit(list(corpus.val.lines), np.sort(corpus.train.lines.hashes()), characters)
    assert asdict(found) == {
        "samples": 1_000,
        "train": sum(text in train for text in texts) / 1_000,
        "held_out": sum(text in held_out for text in texts) / 1_000,
        "near": near.sum() / 1_000,
        "real_near": real_near.mean(),
    }
    assert min(found.train, found.held_out) > 0
    assert str(found).startswith("of 1,000 samples, ")


def test_val_lines_that_are_in_train_are_no_measure(repeated: LineCorpus, counted: Model) -> None:
    found = memorised(counted, repeated, SAMPLING)
    assert found is not None
    assert not repeated.val.leak_free.all()
    only = [line for line, new in zip(repeated.val.lines, repeated.val.leak_free, strict=True) if new]
    hashes = np.sort(repeated.train.lines.hashes())
    assert found.real_near == within_one_edit(only, hashes, repeated.vocabulary.characters).mean()


def test_a_text_has_no_items(text: TextCorpus, counted: Model) -> None:
    assert memorised(counted, text, SAMPLING) is None


@pytest.mark.parametrize(("lines", "samples"), [(2_000, 1_000), (60.5, 60), (49, None)])
def test_the_work_is_limited(
    corpus: LineCorpus, counted: Model, monkeypatch: pytest.MonkeyPatch, lines: float, samples: int | None
) -> None:
    per_line = 2 * len(corpus.vocabulary) * corpus.train.num_targets / len(corpus.train.lines)
    monkeypatch.setattr(module, "MAX_LOOK_UPS", lines * per_line)
    found = memorised(counted, corpus, SAMPLING)
    assert (found and found.samples) == samples
