"""A list that a tiny model can learn, and models with random weights."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus, read_text_corpus

SYLLABLES = ("ka", "mo", "ri", "ten")
LINES = ["".join(syllables) for count in (1, 2, 3) for syllables in product(SYLLABLES, repeat=count)]

Lively = Callable[..., Tree]


@pytest.fixture(scope="session")
def corpus() -> LineCorpus:
    """84 distinct lines of one to three syllables."""
    return LineCorpus.from_lines(LINES)


@pytest.fixture(scope="session")
def repeated() -> LineCorpus:
    """The same lines, some of them twice, split as in the lecture: some val lines are in train too."""
    return LineCorpus.from_lines(LINES + LINES[:40], split_method="lecture")


@pytest.fixture
def lively(corpus: LineCorpus) -> Lively:
    """A function that builds a tree with random weights and, if it has BatchNorm, random statistics."""

    def make(config: TreeConfig | None = None, vocabulary_size: int | None = None, seed: int = 0) -> Tree:
        config = config or TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
        model = build("tree", vocabulary_size or len(corpus.vocabulary), config, seed=seed).double()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
            model.windows(torch.randint(model.vocabulary_size, (64, model.context), generator=generator))
        return model

    return make


SMALL: dict[str, dict[str, Any]] = {
    "tree": {"fuse": (2, 2), "embedding": 4, "hidden": 8, "norm": "layer"},
    "wavenet": {"channels": 8, "skip_channels": 8, "dilations": (1, 2, 4)},
    "mlp": {"context": 3, "embedding": 4, "hidden": 8, "norm": "layer"},
    "bigram": {},
    "rnn": {"embedding": 4, "hidden": 8},
    "gru": {"embedding": 4, "hidden": 8},
    "lstm": {"embedding": 4, "hidden": 8, "layers": 2},
    "bow": {"context": 4, "embedding": 4, "hidden": 8},
    "ngram": {"order": 4},
    "transformer": {"layers": 2, "heads": 2, "channels": 8, "context": 4},
}


@pytest.fixture
def small_settings() -> dict[str, dict[str, Any]]:
    """The settings of a small model of every kind, without batch statistics."""
    return SMALL


@pytest.fixture
def small_model() -> Callable[[str, int], Model]:
    """A function that builds a small model in float64 with random weights, in eval mode."""

    def make(name: str, vocabulary_size: int) -> Model:
        model = build(name, vocabulary_size, MODELS[name].config(**SMALL[name]), seed=0)
        with torch.no_grad():
            if isinstance(model, Ngram):
                tokens = np.random.default_rng(0).integers(vocabulary_size, size=60)
                model.count(torch.from_numpy(tokens), across_lines=True)
            for parameter in model.parameters():
                if parameter.ndim >= 2:
                    parameter.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
        return model.double().eval()

    return make


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextCorpus:
    """A text of 2,000 random words and line ends."""
    folder = tmp_path_factory.mktemp("text")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat.\n", "and\n\n", "ran"], size=2_000)
    (folder / "text.txt").write_text(" ".join(words), encoding="utf-8")
    return read_text_corpus(folder / "text.txt", cache=folder)


@pytest.fixture(scope="session")
def counted(corpus: LineCorpus) -> Model:
    """An n-gram model of the syllables."""
    model = Ngram(len(corpus.vocabulary), NgramConfig(order=4))
    model.count(torch.from_numpy(corpus.train.tokens.astype(np.int64)))
    return model.eval()
