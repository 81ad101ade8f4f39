"""The training loop, as an iterator: each step yields a record, and the caller decides what to do with it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from wavemore.engine.counting import Counting
from wavemore.engine.descent import Descent
from wavemore.engine.distillation import NO_NGRAM_STUDENT
from wavemore.engine.ranks import NO_NGRAM, require_one_process, require_same_training
from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import Checkpoint, StepRecord
from wavemore.engine.torch_optimizer import require_trainable
from wavemore.errors import A_CORPUS, UsageError, require_kind
from wavemore.nn.model import Model, require_model
from wavemore.nn.ngram import Ngram
from wavemore.text.corpus import Corpus


def fit(
    model: Model,
    corpus: Corpus,
    recipe: Recipe,
    *,
    soft_targets: Tensor | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    resume: Checkpoint | None = None,
) -> "Training":
    """Train `model` on `corpus.train`, one record per step; at the end it holds the weights with the best val loss.

    Nothing is trained until the first record is asked for: see `Training`. The model also holds the best weights if the
    iteration ends early (`break`, Ctrl-C) after the first evaluation; before that it holds the weights of the last
    step. The mode of every layer is restored. On a CPU, the same model, corpus, recipe and number of threads give
    bit-identical weights, also with a `Checkpoint` in between.

    If `recipe.distill_weight` is above 0, the model is a student and needs the `soft_targets` of its teachers, (N, V)
    (see `distillation.soft_targets`). The val loss is still that of the true characters. An n-gram model is counted, in
    one step.

    An `optimizer` of torch takes the place of the recipe's; the recipe's schedule scales its learning rates. A
    scheduler of torch may change them between two records.

    If torch.distributed is initialised, its processes train together: all call this with the same arguments, and take
    all steps. Raises `RankError` if one is gone, or has other data.

    The model keeps the characters and labels of the corpus: with a vocabulary of others, it raises `ModelError` from
    then on. Raises `TrainingError` if the train or the val loss is not finite. The model then holds the weights with
    the best val loss or, before the first evaluation, its initial ones.

    >>> from wavemore.nn.models import build
    >>> from wavemore.nn.tree import TreeConfig
    >>> from wavemore.text.line_corpus import LineCorpus
    >>> corpus = LineCorpus.from_lines(["ab" * n for n in range(1, 21)])
    >>> model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2,), embedding=2, hidden=4), seed=0)
    >>> *_, record = fit(model, corpus, Recipe(steps=20, batch_size=8))
    >>> record.step, record.best_val_nats < 1.0
    (20, True)
    """
    require_model(model)
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    require_kind(recipe, "recipe", Recipe, "a Recipe, such as the `recipe` of a plan")
    model.require_vocabulary(corpus.vocabulary.characters, corpus.vocabulary.labels.names)
    model.characters, model.labels = corpus.vocabulary.characters, corpus.vocabulary.labels.names
    if isinstance(model, Ngram):
        if optimizer is not None:
            raise UsageError("an ngram is counted, not trained: leave `optimizer` out")
        if recipe.distill_weight:
            raise UsageError(NO_NGRAM_STUDENT)
        require_one_process(NO_NGRAM)
        return Training(Counting(model, corpus, recipe, done=resume is not None))
    require_trainable(model)
    if not torch.is_grad_enabled():
        raise UsageError("training needs gradients: call `fit` outside of torch.no_grad() and torch.inference_mode()")
    state = Descent(model, corpus, recipe, soft_targets, optimizer)
    if resume is not None:
        state.load(resume)
    require_same_training(state.ranks, corpus, recipe, state.batcher, state.step)
    return Training(state)


class Training(Iterator[StepRecord]):
    """A training in progress, which `fit` returns: each record that is asked for trains one step.

    Between two records, the model can be looked at, and the state be copied.

    >>> import wavemore as wm
    >>> corpus = wm.LineCorpus.from_lines(["ab" * n for n in range(1, 21)])
    >>> plan = wm.plan(corpus, model="gru", hidden=8, steps=20, batch_size=8)
    >>> training = wm.fit(wm.build(plan.model, len(corpus.vocabulary), plan.model_config), corpus, plan.recipe)
    >>> next(training).step
    1
    >>> checkpoint = training.checkpoint()
    >>> [record.step for record in training][-1]
    20
    """

    def __init__(self, state: "Descent | Counting") -> None:
        self._state, self._records = state, state.records()  # no circle: the model gets its best weights at once

    def __next__(self) -> StepRecord:
        return next(self._records)

    def close(self) -> None:
        """End the training here: the model gets its best weights.

        Without it, that happens when nothing refers to the training any more, as after a `for` loop over `fit(...)`.
        """
        self._records.close()

    def checkpoint(self) -> Checkpoint:
        """Copy everything that resuming after the last step needs.

        Raises `UsageError` before the first step, and after the end: the weights are the best ones then. Several
        processes that train together must all call it.
        """
        return self._state.checkpoint()

    def replan(self, steps: int) -> Recipe:
        """Change the number of steps in all (see `Recipe.with_steps`); return the new recipe."""
        return self._state.replan(steps)

    @property
    def best_state(self) -> dict[str, Tensor]:
        """The weights with the lowest val loss so far; empty before the first evaluation."""
        return self._state.best_state
