"""Trees of the lecture's shape that several benchmarks use."""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from wavemore.engine.batchers import WindowBatcher
from wavemore.engine.fit import fit
from wavemore.engine.recipe import Recipe
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.line_corpus import LineCorpus


def briefly_trained(corpus: LineCorpus, hidden: int, epochs: float = 0.2) -> Tree:
    """Build a tree of the lecture's shape and train it briefly; returned in eval mode."""
    steps = max(1, round(epochs * corpus.train.num_targets / 1_024))
    model = build("tree", len(corpus.vocabulary), TreeConfig(hidden=hidden), seed=0)
    for _ in fit(model, corpus, Recipe(batch_size=1_024, steps=steps, num_evals=1)):
        pass
    return model.eval()


def backward(model: Tree, batches: WindowBatcher, positions: NDArray[np.int64]) -> None:
    """Run forward and backward on the targets at `positions`; gradients are added to those that are there."""
    F.cross_entropy(batches.logits(positions), batches.targets(positions)).backward()  # type: ignore[no-untyped-call]
