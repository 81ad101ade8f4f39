"""The lecture's own model and loops, re-created: the baseline of most figures.

After Karpathy, "Building makemore Part 5: Building a WaveNet" (https://www.youtube.com/watch?v=t3YJ5hKiMQ0): the same
order of random numbers and the same arithmetic. So at seed 42 it reaches the losses that the lecture published for its
last model: train 1.7690, val 1.9937. On purpose it keeps what wavemore does differently: weights as (in, out), the
unbiased variance, running statistics of shape (1, 1, C), one name at a time.

B contexts, T characters, C channels.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.nn.tree import Tree
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import LinePart, windows

CONTEXT, EMBEDDING, HIDDEN = 8, 24, 128
STEPS, BATCH_SIZE = 200_000, 32
TRAIN_NATS, VAL_NATS = 1.7690, 1.9937
"""The losses that the lecture published for this model, at seed 42."""


class Linear:
    """x @ weight + bias, weight (in, out)."""

    def __init__(self, fan_in: int, fan_out: int, bias: bool = True) -> None:
        self.weight = torch.randn((fan_in, fan_out)) / fan_in**0.5
        self.bias = torch.zeros(fan_out) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        out: Tensor = x @ self.weight
        return out if self.bias is None else out + self.bias

    def parameters(self) -> list[Tensor]:
        """The weight and, if there is one, the bias."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]


class BatchNorm1d:
    """Batch normalisation over batch and time, with the unbiased variance."""

    def __init__(self, channels: int) -> None:
        self.training = True
        self.gamma, self.beta = torch.ones(channels), torch.zeros(channels)
        self.running_mean, self.running_var = torch.zeros(channels), torch.ones(channels)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        if self.training:
            over = 0 if x.ndim == 2 else (0, 1)
            mean, var = x.mean(over, keepdim=True), x.var(over, keepdim=True)
        else:
            mean, var = self.running_mean, self.running_var
        out: Tensor = self.gamma * ((x - mean) / torch.sqrt(var + 1e-5)) + self.beta
        if self.training:
            with torch.no_grad():
                self.running_mean = 0.9 * self.running_mean + 0.1 * mean
                self.running_var = 0.9 * self.running_var + 0.1 * var
        return out

    def parameters(self) -> list[Tensor]:
        """Scale and shift."""
        return [self.gamma, self.beta]


class Tanh:
    """tanh of each value."""

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return torch.tanh(x)

    def parameters(self) -> list[Tensor]:
        """None."""
        return []


class Embedding:
    """One row of the weight per character."""

    def __init__(self, count: int, channels: int) -> None:
        self.weight = torch.randn((count, channels))

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, C)."""
        return self.weight[tokens]

    def parameters(self) -> list[Tensor]:
        """The rows."""
        return [self.weight]


class FlattenConsecutive:
    """(B, T, C) -> (B, T/n, n C); a time dimension of length 1 is squeezed."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        batch, time, channels = x.shape
        x = x.view(batch, time // self.n, channels * self.n)
        return x.squeeze(1) if x.shape[1] == 1 else x

    def parameters(self) -> list[Tensor]:
        """None."""
        return []


Layer = Linear | BatchNorm1d | Tanh | Embedding | FlattenConsecutive


class Lecture:
    """The lecture's last model with fresh weights, and its loops; the same seed gives the same bits."""

    def __init__(self, corpus: LineCorpus, seed: int = 42) -> None:
        self.corpus = corpus
        size = len(corpus.vocabulary)
        torch.manual_seed(seed)
        self.layers: list[Layer] = [Embedding(size, EMBEDDING)]
        for channels in (EMBEDDING, HIDDEN, HIDDEN):
            linear = Linear(channels * 2, HIDDEN, bias=False)
            self.layers += [FlattenConsecutive(2), linear, BatchNorm1d(HIDDEN), Tanh()]
        head = Linear(HIDDEN, size)
        head.weight *= 0.1  # less confident at first
        self.layers.append(head)
        self.parameters = [parameter for layer in self.layers for parameter in layer.parameters()]
        for parameter in self.parameters:
            parameter.requires_grad = True
        self.inputs, self.targets = examples(corpus.train)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T) -> logits (B, V)."""
        for layer in self.layers:
            x = layer(x)
        return x

    def train(self, steps: int = STEPS) -> Iterator[int]:
        """Train by SGD; yield the number of steps done after each step."""
        self._set_training(True)
        losses = []
        for step in range(steps):
            loss = self.backward(torch.randint(0, self.inputs.shape[0], (BATCH_SIZE,)))
            lr = 0.1 if step < 150_000 else 0.01
            for parameter in self.parameters:
                assert parameter.grad is not None
                parameter.data += -lr * parameter.grad
            losses.append(loss.log10().item())
            yield step + 1

    def backward(self, indices: Tensor) -> Tensor:
        """Compute the loss and the gradients of the examples at `indices`, (B,)."""
        loss = F.cross_entropy(self(self.inputs[indices]), self.targets[indices])
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    @torch.no_grad()
    def load(self, tree: Tree) -> None:
        """Copy the weights and running statistics of a tree of the same size."""
        for layer, source in zip(self.layers, tree.layers, strict=True):
            if isinstance(layer, Embedding | Linear):
                weight = source.get_parameter("weight")
                layer.weight.copy_(weight if isinstance(layer, Embedding) else weight.T)
            if isinstance(layer, Linear) and layer.bias is not None:
                layer.bias.copy_(source.get_parameter("bias"))
            if isinstance(layer, BatchNorm1d):
                layer.gamma.copy_(source.get_parameter("weight"))
                layer.beta.copy_(source.get_parameter("bias"))
                layer.running_mean = source.get_buffer("running_mean")
                layer.running_var = source.get_buffer("running_var")

    @torch.no_grad()
    def loss(self, part: LinePart) -> float:
        """Return the mean nats of a whole part, computed in one pass as in the lecture."""
        self._set_training(False)
        inputs, targets = examples(part)
        return F.cross_entropy(self(inputs), targets).item()

    def sample(self, count: int) -> list[str]:
        """Sample names one by one, character by character; as in the lecture, gradients stay on."""
        self._set_training(False)
        names = []
        for _ in range(count):
            ids: list[int] = []
            context = [0] * CONTEXT
            while True:
                p = F.softmax(self(torch.tensor([context])), dim=1)
                token = int(torch.multinomial(p, num_samples=1).item())
                context = [*context[1:], token]
                if token == 0:
                    break
                ids.append(token)
            names.append(self.corpus.vocabulary.decode(ids))
        return names

    def _set_training(self, training: bool) -> None:
        for layer in self.layers:
            if isinstance(layer, BatchNorm1d):
                layer.training = training


def examples(part: LinePart) -> tuple[Tensor, Tensor]:
    """Return all contexts and targets of a part: (B, T), (B,)."""
    contexts = windows(part.tokens, np.arange(part.num_targets), CONTEXT)
    return torch.from_numpy(contexts.astype(np.int64)), torch.from_numpy(part.tokens.astype(np.int64))
