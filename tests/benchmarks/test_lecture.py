import torch

from benchmarks import lecture
from wavemore.nn.models import build
from wavemore.nn.tree import TreeConfig
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus


def test_the_baseline_has_the_lectures_size_and_learns() -> None:
    loop = lecture.Lecture(load_corpus("names"))
    assert sum(parameter.numel() for parameter in loop.parameters) == 76_579
    assert list(loop.train(30)) == list(range(1, 31))
    assert loop.loss(loop.corpus.val) < 3.0


def test_the_baseline_repeats_to_the_bit() -> None:
    corpus = load_corpus("names")
    losses = []
    for _ in range(2):
        loop = lecture.Lecture(corpus, seed=42)
        list(loop.train(5))
        losses.append(loop.loss(corpus.val))
    assert losses[0] == losses[1]


def test_a_tree_and_the_lectures_layers_say_the_same_with_the_same_weights() -> None:
    corpus = load_corpus("names")
    tree = build("tree", len(corpus.vocabulary), TreeConfig(), seed=3).train()
    tree.windows(torch.randint(27, (64, 8)))
    tree.eval()
    loop = lecture.Lecture(corpus)
    loop.load(tree)
    for layer in loop.layers:
        if isinstance(layer, lecture.BatchNorm1d):
            layer.training = False
    tokens = torch.randint(27, (32, 8))
    torch.testing.assert_close(loop(tokens), tree.windows(tokens), rtol=1e-4, atol=1e-5)


def test_its_names_are_lines_of_known_characters() -> None:
    corpus = LineCorpus.from_lines([f"{a}{b}{a}" for a in "abcd" for b in "xyz"])
    names = lecture.Lecture(corpus)
    list(names.train(20))
    drawn = names.sample(3)
    assert len(drawn) == 3
    assert set("".join(drawn)) <= set("abcdxyz")
