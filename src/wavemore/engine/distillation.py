"""Teachers: trained models whose probabilities are a part of what another model, the student, is trained on.

A list says of each context what came next, once. A teacher says of it how likely every character is, and the mean of
several says it with less of the luck of each training. A student whose target is partly that mean learns more from the
same lines. This is knowledge distillation at temperature 1 (Hinton, Vinyals and Dean 2015,
https://arxiv.org/abs/1503.02531). A student may be of any kind and size, also of its teachers' own (Furlanello and
others 2018, https://arxiv.org/abs/1805.04770).

N targets of the train part, B targets of a batch, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from wavemore.engine.blocks import batches_to_evaluate
from wavemore.engine.evaluate import eval_mode
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus

NGRAM = "an ngram is counted in one pass and takes no teachers: teach another model, or let it teach"


def soft_targets(teachers: Sequence[Model], corpus: Corpus | TextStream) -> Tensor:
    """The mean of the teachers' probabilities before each target of `corpus.train`: (N, V), float32, on the CPU.

    Each teacher is run once, in eval mode and by its fastest execution (a tree: each distinct context once), with all
    that it sees before each target. Raises `UsageError` for no teachers, and for one of another vocabulary.

    >>> from wavemore.nn.config import NgramConfig
    >>> from wavemore.nn.ngram import Ngram
    >>> corpus = Corpus.from_lines(["ab" * n for n in range(1, 21)])
    >>> soft_targets([Ngram(3, NgramConfig())], corpus)[0]  # it has counted nothing yet
    tensor([0.3333, 0.3333, 0.3333])
    """
    if not teachers:
        raise UsageError("soft targets are the mean of one teacher's probabilities or more: give a teacher")
    size = len(corpus.vocabulary)
    for teacher in teachers:
        if teacher.vocabulary_size != size:
            raise UsageError(
                f"a teacher predicts {teacher.vocabulary_size:,} characters and the data has {size:,}: take teachers "
                "that were trained on the same data"
            )
    mean = torch.zeros(corpus.train.targets, size)
    for teacher in teachers:
        batches = batches_to_evaluate(corpus.train, teacher)
        with eval_mode(teacher):
            for positions in batches.chunks():
                p = batches.probabilities(positions).cpu().to(mean.dtype)
                mean.index_add_(0, torch.from_numpy(positions), p, alpha=1 / len(teachers))
    return mean


def taught_loss(logits: Tensor, targets: Tensor, soft: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy with what is the teachers' by `share` and the true character by the rest, and the plain one.

    (B, V) logits, (B,) true characters, (B, V) teachers' probabilities -> two means over the batch, in nats; the second
    is of the true characters alone. With y the true character, q the teachers' and p the student's probabilities, the
    first is the mean of

        - (1 - share) log p(y) - share sum_v q(v) log p(v)

    >>> even = torch.zeros(1, 2)
    >>> [round(float(loss), 4) for loss in taught_loss(even, torch.tensor([1]), torch.tensor([[0.3, 0.7]]), 0.5)]
    [0.6931, 0.6931]
    """
    log_p = logits.log_softmax(dim=1)
    plain = -log_p.gather(1, targets[:, None]).mean()
    taught = -(soft * log_p).sum(dim=1).mean()
    return (1 - share) * plain + share * taught, plain
