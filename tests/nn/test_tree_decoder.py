import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wavemore.nn.config import NormName
from wavemore.nn.model import _ForwardDecoder
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.nn.tree_decoder import TreeDecoder


def trained(vocabulary_size: int, config: TreeConfig) -> Tree:
    """Build a float64 model whose weights and statistics are no longer the initial ones."""
    model = build("tree", vocabulary_size, config, seed=1).double().train()
    for _ in range(3):
        model.windows(torch.randint(vocabulary_size, (16, model.context)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def by_windows(model: Tree, lines: Tensor) -> Tensor:
    """Predict before the first and after each character of the lines (B, T): (B, T + 1, V)."""
    padded = torch.cat([torch.zeros(len(lines), model.context, dtype=torch.int64), lines], dim=1)
    steps = range(lines.shape[1] + 1)
    return torch.stack([model.windows(padded[:, step : step + model.context]) for step in steps], dim=1)


def decoder_of(model: Tree, lines: int, max_table: int) -> TreeDecoder:
    return TreeDecoder(model.layers, lines, max_table)


def by_decoder(model: Tree, lines: Tensor, max_table: int) -> Tensor:
    decoder = decoder_of(model, len(lines), max_table)
    return torch.stack([decoder.logits, *(decoder.step(tokens) for tokens in lines.T)], dim=1)


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
def test_the_decoder_predicts_what_the_windows_predict(
    fuse: tuple[int, ...], norm: NormName, table: bool, length: int, seed: int
) -> None:
    torch.manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad():
        model = trained(3, TreeConfig(fuse=fuse, embedding=4, hidden=6, norm=norm))
    lines = torch.randint(3, (4, length))
    logits = by_decoder(model, lines, 10_000 if table else 0)
    torch.testing.assert_close(logits, by_windows(model, lines), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("max_table", [0, 10_000])
def test_lines_can_be_dropped_and_copied_between_steps(max_table: int) -> None:
    model = trained(5, TreeConfig(fuse=(2, 2, 2), embedding=4, hidden=6))
    lines = torch.randint(5, (6, 9))
    rows = torch.tensor([4, 0, 4])
    with torch.inference_mode():
        decoder = decoder_of(model, 6, max_table)
        for tokens in lines.T[:4]:
            decoder.step(tokens)
        decoder.select(rows)
        logits = [decoder.logits] + [decoder.step(tokens) for tokens in lines[rows].T[4:]]
        expected = by_windows(model, lines[rows])[:, 4:]
    torch.testing.assert_close(torch.stack(logits, dim=1), expected, rtol=1e-10, atol=1e-10)


def test_a_line_does_not_depend_on_the_lines_beside_it() -> None:
    model = trained(5, TreeConfig(fuse=(2, 2), embedding=4, hidden=6))
    lines = torch.randint(5, (6, 7))
    with torch.inference_mode():
        together = by_decoder(model, lines, 10_000)
        alone = by_decoder(model, lines[2:3], 10_000)
    torch.testing.assert_close(together[2:3], alone, rtol=1e-12, atol=1e-12)


@torch.inference_mode()
def test_a_model_that_depends_on_the_position_reads_whole_windows() -> None:
    with torch.inference_mode(False), torch.enable_grad():
        model = trained(3, TreeConfig(fuse=(2, 2), embedding=4, hidden=6, norm="batch-per-position"))
    lines = torch.randint(3, (4, 7))
    decoder = model.decoder(len(lines))
    assert isinstance(decoder, _ForwardDecoder)
    logits = torch.stack([decoder.logits, *(decoder.step(tokens) for tokens in lines.T)], dim=1)
    torch.testing.assert_close(logits, by_windows(model, lines), rtol=1e-10, atol=1e-10)
    decoder.select(torch.tensor([1, 1, 0]))
    torch.testing.assert_close(decoder.logits, logits[[1, 1, 0], -1])


def test_a_model_in_training_mode_is_refused() -> None:
    with pytest.raises(AssertionError, match="one character at a time"):
        trained(3, TreeConfig(fuse=(2,))).train().decoder(2)
