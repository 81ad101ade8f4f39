import torch

from benchmarks.peak_memory import PeakMemory
from benchmarks.wavenet import FIELDS, dilations, receptive_field_cost
from wavemore.text.datasets import load_corpus


def test_what_is_there_at_once_is_counted() -> None:
    outside = torch.ones(1_000)
    with PeakMemory() as memory:
        a = outside + 1
        b = a.view(10, 100).T  # no memory of its own
        c = b.contiguous()
        assert memory.now == 8_000
        a.mul_(2)
        outside.mul_(2)  # not made here
        assert memory.now == 8_000
        del a, b
        assert memory.now == 4_000
        d = torch.zeros(500)
        assert memory.now == 6_000
    del c, d
    assert memory.peak == 8_000


def test_a_backward_pass_is_counted() -> None:
    weight = torch.ones(1_000, requires_grad=True)
    with PeakMemory() as memory:
        (weight.exp() * 2).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert memory.peak >= 8_000  # what exp gives is kept, and the gradient of the product is as large


def test_dilations_of_equal_depth_see_what_they_should() -> None:
    for field in FIELDS:
        found = dilations(field, 7)
        assert len(found) == 7
        assert 1 + sum(found) == field
        assert list(found) == sorted(found)


def test_memory_grows_no_faster_than_the_length() -> None:
    found = receptive_field_cost(load_corpus("names"), repeats=1, length=128)
    assert found.key == "wavenet_receptive"
    assert found.ratio == found.measured / found.baseline
    growth = float(found.detail.split("length^")[1].split()[0])
    assert 0.5 < growth < 1.05  # less than 1 where the weights' gradients are most of it
