"""What the losses of a training are computed on: all of a part, or a stated sample of a large one."""

from wavemore.text.corpus import Corpus
from wavemore.text.parts import Part

VAL_SAMPLE = 120_000
"""The most val targets that are evaluated during training: enough to find the best weights."""
TRAIN_SAMPLE = 500_000
"""The most train targets that the final train loss is computed on."""


def val_in_training(corpus: Corpus) -> Part:
    """Return what the val loss during training is computed on: val, or a sample of it if it is large."""
    return corpus.val.sample(VAL_SAMPLE)


def train_loss_part(corpus: Corpus) -> Part:
    """Return what the final train loss is computed on: train, or a stated part of it if it is large.

    Of a list that is a random sample of its lines; of a text, the last characters, which are the most like val.
    """
    if corpus.format == "lines":
        return corpus.train.sample(TRAIN_SAMPLE)
    return corpus.train.tail(min(corpus.val.num_targets, TRAIN_SAMPLE))
