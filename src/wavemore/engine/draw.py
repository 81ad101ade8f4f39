"""Draw the next character of each line from a model's predictions.

Shapes: B lines drawn at once, D distinct beginnings of these, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError

MIN_TEMPERATURE = 1e-200  # logits divided by a lower one could be infinite; this is greedy already


def probabilities(logits: Tensor, sampling: Sampling, possible: Tensor | None = None) -> Tensor:
    """Apply temperature, top-k and top-p: (D, V) -> (D, V).

    A row sums to 1. With `possible`, a mask (D, V) or (V,), only characters that are possible are left, before top-k
    and top-p choose among them, and a row sums to their probability at this temperature.
    """
    if sampling.temperature not in (0, 1):
        logits = logits.double() / max(sampling.temperature, MIN_TEMPERATURE)
    share = None
    if possible is not None:
        share = (logits.softmax(dim=1) * possible).sum(dim=1, keepdim=True)
        logits = logits.masked_fill(~possible, -torch.inf)
    if sampling.temperature == 0:
        p = F.one_hot(logits.argmax(dim=1), logits.shape[1]).double()
        return p if possible is None else p * possible
    if sampling.top_k != "all" and sampling.top_k < logits.shape[1]:
        smallest = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    p = logits.softmax(dim=1)
    if sampling.top_p < 1:
        ordered, order = p.sort(dim=1, descending=True)
        outside = ordered.cumsum(dim=1) - ordered >= sampling.top_p  # never the most likely one
        p = p.masked_fill(outside.gather(1, order.argsort(dim=1)), 0.0)
    p = p / p.sum(dim=1, keepdim=True)
    return p if share is None else (p * share).masked_fill(share == 0, 0.0)


def draw(p: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a character for each line, from its row of probabilities: (D, V), (B,) -> (B,).

    The cumulative probabilities of row d fill the interval from d to d + 1 of one line. A uniform number of the row
    falls on a character as often as the character is likely.

    >>> draw(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 0, 0]), torch.Generator()).tolist()
    [0, 1, 1]
    """
    cumulative = p.double().cumsum(dim=1)  # (D, V)
    if not bool(cumulative[:, -1].isfinite().all()):
        raise ModelError("the model's predictions are not finite numbers: its weights are damaged, or too large")
    cumulative = cumulative / cumulative[:, -1:] + torch.arange(len(p))[:, None]
    # Slightly below 1, so that adding the row does not round it up into the next row.
    uniform = torch.rand(len(rows), dtype=torch.float64, generator=generator) * (1 - 1e-9)
    return torch.searchsorted(cumulative.flatten(), rows + uniform, right=True) - rows * p.shape[1]
