"""The next character after a beginning, to write an item or a text by hand with a model.

Shapes: K labels, T characters of the prefix, V vocabulary.
"""

from typing import NamedTuple

import numpy as np
import torch

from wavemore.engine.evaluate import eval_mode
from wavemore.errors import A_VOCABULARY, ModelError, UsageError, require_kind, typed
from wavemore.nn.model import Model, require_model
from wavemore.text.parts import Format
from wavemore.text.vocabulary import BOUNDARY, Vocabulary


class NextCharacter(NamedTuple):
    """A character that may come next."""

    character: str
    """Empty for the end of an item."""
    p: float
    """Its probability."""


def next_characters(
    model: Model,
    vocabulary: Vocabulary,
    prefix: str = "",
    format: Format = "lines",  # noqa: A002 - the name of the flag and of the setting
    label: str = "",
) -> list[NextCharacter]:
    """Return all characters and, for lines, the end, from the likeliest to the least likely one after `prefix`.

    If the model has labels and none is given, each counts as much as it is likely given the prefix. Raises
    `UnknownCharacterError` for a character that is not in the vocabulary, `UsageError` for such a label, and
    `ModelError` if the vocabulary is not the model's.

    >>> from wavemore.nn.bigram import Bigram, BigramConfig
    >>> found = next_characters(Bigram(3, BigramConfig()), Vocabulary("ab"), "ab")
    >>> sorted(each.character for each in found), round(sum(each.p for each in found), 6)
    (['', 'a', 'b'], 1.0)
    """
    require_model(model)
    require_kind(vocabulary, "vocabulary", Vocabulary, A_VOCABULARY)
    prefix, labels = typed(prefix, "prefix", str), vocabulary.labels
    model.require_vocabulary(vocabulary.characters, labels.names)
    if label and not labels:
        raise UsageError("the model was trained on lines without labels, so it knows none")
    encode = vocabulary.encode if format == "lines" else vocabulary.encode_text
    ids = torch.from_numpy(encode(vocabulary.clean(prefix)).astype(np.int64))  # (T,)
    numbers = np.array([labels.number(label)]) if label else np.flatnonzero(labels.shares)  # (K,)
    starts = torch.from_numpy(model.vocabulary_size + numbers) if labels else None
    rows = max(1, len(numbers))
    with eval_mode(model):
        decoder = model.decoder(rows, starts)
        weights = torch.from_numpy(labels.shares[numbers]).log() if labels else torch.zeros(1)  # (K,), of each label
        if len(ids):
            before = decoder.prefill(ids.repeat(rows, 1).to(model.device)).cpu().log_softmax(dim=2)  # (K, T, V)
            weights = weights + before.gather(2, ids.repeat(rows, 1)[:, :, None]).sum(dim=(1, 2))
        p = weights.softmax(dim=0) @ decoder.logits.cpu().softmax(dim=1).to(weights.dtype)  # (V,)
    if not bool(p.isfinite().all()):
        raise ModelError("the model's predictions are not finite numbers: its weights are damaged, or too large")
    names = ["" if format == "lines" else "\n", *vocabulary.characters]
    assert BOUNDARY == 0
    found = [NextCharacter(name, each) for name, each in zip(names, p.tolist(), strict=True)]
    return sorted(found, key=lambda each: -each.p)
