"""A list that a tiny model can learn, and models whose numbers are all away from their starting values."""

from collections.abc import Callable
from itertools import product

import pytest
import torch

from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.corpus import Corpus

SYLLABLES = ("ka", "mo", "ri", "ten")
LINES = ["".join(chosen) for count in (1, 2, 3) for chosen in product(SYLLABLES, repeat=count)]

Lively = Callable[..., Tree]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """84 distinct lines of one to three syllables."""
    return Corpus.from_lines(LINES)


@pytest.fixture(scope="session")
def repeated() -> Corpus:
    """The same lines, some of them twice, split as in the lecture: some val lines stand in train too."""
    return Corpus.from_lines(LINES + LINES[:40], split="lecture")


@pytest.fixture
def lively(corpus: Corpus) -> Lively:
    """A function that builds a model with random weights and, where it has BatchNorm, random statistics."""

    def make(config: TreeConfig | None = None, vocabulary_size: int | None = None, seed: int = 0) -> Tree:
        config = config or TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
        model = build("tree", vocabulary_size or len(corpus.vocabulary), config, seed=seed).double()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
            model(torch.randint(model.vocabulary_size, (64, model.context), generator=generator))
        return model

    return make
