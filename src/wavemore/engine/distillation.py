"""Knowledge distillation: a student is trained partly on the probabilities of other models, its teachers.

The data says which character came next; a teacher gives the probability of every character, so a student learns more
from the same data. This is distillation at temperature 1 (Hinton, Vinyals and Dean 2015,
https://arxiv.org/abs/1503.02531). Student and teachers may be of any kind and size, also of the same one (Furlanello
and others 2018, https://arxiv.org/abs/1805.04770).

Shapes: N targets of the train part, B targets of a batch, V vocabulary.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.engine.batcher import PADDED
from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import eval_mode
from wavemore.errors import A_CORPUS, UsageError, all_of, require_kind
from wavemore.nn.model import Model, require_model
from wavemore.progress import report
from wavemore.text.corpus import Corpus

NO_NGRAM_STUDENT = "an ngram is counted, not trained, so it cannot have teachers; it can be a teacher"


def soft_targets(teachers: Sequence[Model] | Model, corpus: Corpus) -> Tensor:
    """Compute the mean of the teachers' probabilities before each target of `corpus.train`: (N, V) float32, on the CPU.

    Raises `UsageError` if there is no teacher, or if one has another vocabulary size.
    """
    teachers = all_of(
        [teachers] if isinstance(teachers, Model) else teachers, "teachers", nn.Module, "a list of models"
    )
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    if not teachers:
        raise UsageError("`teachers` is empty; soft targets need at least one teacher")
    size = len(corpus.vocabulary)
    for teacher in teachers:
        require_model(teacher)
        if teacher.vocabulary_size != size:
            raise UsageError(
                f"a teacher has a vocabulary of {teacher.vocabulary_size:,} tokens and the data has {size:,}: use "
                "teachers that were trained on the same data"
            )
    mean, done = torch.zeros(corpus.train.num_targets, size), 0
    for teacher in teachers:
        batcher = evaluation_batcher(corpus.train, teacher)
        with eval_mode(teacher):
            for positions in batcher.chunks():
                p = batcher.logits(positions).softmax(dim=1).cpu().float()
                mean.index_add_(0, torch.from_numpy(positions), p, alpha=1 / len(teachers))
                done += len(positions)
                report("the teachers' probabilities", done, len(teachers) * len(mean))
    return mean


def checked(soft_targets: Tensor | None, corpus: Corpus) -> Tensor:
    """Return the soft targets. Raises `UsageError` if they are missing or belong to other data."""
    if soft_targets is None:
        raise UsageError("`distill_weight` is above 0, which needs teachers: give some, or leave it out")
    shape = (corpus.train.num_targets, len(corpus.vocabulary))
    if soft_targets.shape != shape:
        raise UsageError(f"`soft_targets` has shape {tuple(soft_targets.shape)}; for this data it must be {shape}")
    return soft_targets


def distill_loss(logits: Tensor, targets: Tensor, soft: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Compute the student's loss and the plain cross-entropy against the true characters.

    (B, V) logits, (B,) true characters, (B, V) teachers' probabilities -> two means over the batch, in nats. With y the
    true character, q the teachers' and p the student's probabilities, the student's loss is the mean of

        - (1 - weight) log p(y) - weight sum_v q(v) log p(v)

    Rows of padding, with the target `PADDED` and probabilities of 0, do not count.
    """
    log_p = logits.log_softmax(dim=1)
    plain = F.nll_loss(log_p, targets, ignore_index=PADDED)
    distilled = -(soft * log_p).sum() / (targets != PADDED).sum()
    return (1 - weight) * plain + weight * distilled, plain
