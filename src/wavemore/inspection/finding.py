"""What an inspection measures and finds: losses in numbers, problems in words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A problem: its kind, a message that says what was observed, why it matters and what to do, and where it is."""

    kind: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.message}" if self.where else f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Losses:
    """Losses in nats per character on samples of the data; None if they cannot be measured."""

    uniform_nats: float
    """ln V: the loss of equal probabilities."""
    unigram_nats: float
    """The val sample, predicted from the frequencies of the characters in train alone."""
    initial_nats: float | None
    """Before training."""
    initial_confidence: float | None
    """KL(uniform || p) before training."""
    trained: bool
    """Whether there are records of a training, or a loss that no untrained model has."""
    training_mode_nats: float
    """The train sample in training mode, without dropout."""
    train_nats: float | None
    """The train sample in eval mode."""
    val_nats: float | None
    """The val sample in eval mode."""


@dataclass(frozen=True)
class EvalSample:
    """Results in eval mode."""

    train_nats: float
    val_nats: float
    half_logits_nats: float
    """The train sample with all logits halved: lower than `train_nats` if the model is overconfident."""
    mode_dependent: bool
    """Whether the model, in the mode that it was given in, predicts differently than in eval mode."""
    nondeterministic: bool
    """Whether the same input gives two predictions."""
    batch_dependent: bool
    """Whether a prediction depends on the other contexts of the batch."""
