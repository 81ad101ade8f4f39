"""The training of an n-gram model: its n-grams are counted, in one step."""

import json
from collections.abc import Generator
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from wavemore.engine.evaluate import evaluate
from wavemore.engine.loss_parts import train_loss_part, val_in_training
from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import NO_STATE, Checkpoint, StepRecord
from wavemore.errors import UsageError
from wavemore.nn.ngram import Ngram
from wavemore.text.corpus import Corpus


class Counting:
    """The state of a training that counts."""

    def __init__(self, model: Ngram, corpus: Corpus, recipe: Recipe, *, done: bool) -> None:
        """`done` if a checkpoint is resumed, which is one after the only step: counting again gives the same counts."""
        self.model, self.corpus, self.recipe, self.done = model, corpus, recipe, done
        self.best_state: dict[str, Tensor] = {}
        self.facts = ""

    def records(self) -> Generator[StepRecord, None, None]:
        """Count, and yield the only record."""
        model, corpus = self.model, self.corpus
        start = perf_counter()
        tokens = torch.from_numpy(corpus.train.tokens.astype(np.int64)).to(model.device)
        weights = corpus.train.target_weights()
        counts = None if weights is None else torch.from_numpy(weights)
        model.count(tokens, counts, across_lines=corpus.format == "text")
        seconds = perf_counter() - start
        if self.done:
            return
        val_nats = evaluate(model, val_in_training(corpus)).nats
        self.best_state = {name: value.clone() for name, value in model.state_dict().items()}
        self.facts = json.dumps({"step": 1, "best_val_nats": val_nats, "best_step": 1})
        yield StepRecord(
            step=1,
            steps=1,
            epoch=1.0,
            learning_rate=self.recipe.learning_rate,
            train_nats=evaluate(model, train_loss_part(corpus)).nats,
            distill_nats=None,
            val_nats=val_nats,
            best_val_nats=val_nats,
            best_step=1,
            seconds=seconds,
            steps_here=1,
            chars_per_second=corpus.train.num_targets / seconds,
            logged=True,
            update_ratios={},
        )

    def checkpoint(self) -> Checkpoint:
        """Return what tells that it is done."""
        if not self.facts:
            raise UsageError(NO_STATE)
        return Checkpoint({f"best.{name}": value for name, value in self.best_state.items()}, self.facts)

    def replan(self, steps: int) -> Recipe:
        """Return the recipe: there is only one step."""
        return self.recipe
