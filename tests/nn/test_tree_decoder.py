import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wavemore.nn.config import NormName, TreeConfig
from wavemore.nn.models import build
from wavemore.nn.tree import Tree
from wavemore.nn.tree_decoder import TreeStream, WindowStream, stream_of


def trained(vocabulary_size: int, config: TreeConfig) -> Tree:
    """A float64 model whose BatchNorm statistics and weights are no longer the first ones."""
    model = build("tree", vocabulary_size, config, seed=1).double().train()
    for _ in range(3):
        model(torch.randint(vocabulary_size, (16, model.context)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def by_windows(model: Tree, lines: Tensor) -> Tensor:
    """Logits before, and after each character of, the lines (B, T): (B, T + 1, V)."""
    padded = torch.cat([torch.zeros(len(lines), model.context, dtype=torch.int64), lines], dim=1)
    steps = range(lines.shape[1] + 1)
    return torch.stack([model(padded[:, step : step + model.context]) for step in steps], dim=1)


def by_stream(model: Tree, lines: Tensor, largest_table: int) -> Tensor:
    stream = TreeStream(model, len(lines), largest_table)
    found = [stream.logits]
    found += [stream.step(tokens) for tokens in lines.T]
    return torch.stack(found, dim=1)


@given(
    fuse=st.sampled_from(
        [(1,), (3,), (8,), (2, 2), (2, 2, 2), (1, 2), (2, 1, 2), (3, 2), (2, 3), (4, 2), (2, 2, 2, 2)]
    ),
    norm=st.sampled_from(["batch", "layer", "rms", "none"]),
    table=st.booleans(),
    length=st.integers(0, 20),
    seed=st.integers(0, 2**32),
)
@torch.inference_mode()
def test_a_stream_says_what_the_windows_say(
    fuse: tuple[int, ...], norm: NormName, table: bool, length: int, seed: int
) -> None:
    torch.manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad():
        model = trained(3, TreeConfig(fuse=fuse, embedding=4, hidden=6, norm=norm))
    lines = torch.randint(3, (4, length))
    found = by_stream(model, lines, 10_000 if table else 0)
    torch.testing.assert_close(found, by_windows(model, lines), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("largest_table", [0, 10_000])
def test_lines_can_be_left_out_and_copied_on_the_way(largest_table: int) -> None:
    model = trained(5, TreeConfig(fuse=(2, 2, 2), embedding=4, hidden=6))
    lines = torch.randint(5, (6, 9))
    rows = torch.tensor([4, 0, 4])
    with torch.inference_mode():
        stream = TreeStream(model, 6, largest_table)
        for tokens in lines.T[:4]:
            stream.step(tokens)
        stream.keep(rows)
        found = [stream.logits] + [stream.step(tokens) for tokens in lines[rows].T[4:]]
        expected = by_windows(model, lines[rows])[:, 4:]
    torch.testing.assert_close(torch.stack(found, dim=1), expected, rtol=1e-10, atol=1e-10)


def test_a_line_does_not_depend_on_the_lines_beside_it() -> None:
    model = trained(5, TreeConfig(fuse=(2, 2), embedding=4, hidden=6))
    lines = torch.randint(5, (6, 7))
    with torch.inference_mode():
        together = by_stream(model, lines, 10_000)
        alone = by_stream(model, lines[2:3], 10_000)
    torch.testing.assert_close(together[2:3], alone, rtol=1e-12, atol=1e-12)


@torch.inference_mode()
def test_a_model_that_minds_the_position_is_streamed_by_whole_windows() -> None:
    with torch.inference_mode(False), torch.enable_grad():
        model = trained(3, TreeConfig(fuse=(2, 2), embedding=4, hidden=6, norm="batch-per-position"))
    lines = torch.randint(3, (4, 7))
    stream = stream_of(model, len(lines))
    assert isinstance(stream, WindowStream)
    found = torch.stack([stream.logits, *(stream.step(tokens) for tokens in lines.T)], dim=1)
    torch.testing.assert_close(found, by_windows(model, lines), rtol=1e-10, atol=1e-10)
    stream.keep(torch.tensor([1, 1, 0]))
    torch.testing.assert_close(stream.logits, found[[1, 1, 0], -1])
