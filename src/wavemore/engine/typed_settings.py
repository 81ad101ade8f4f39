"""The types of keyword arguments that are settings. Written by scripts/make_flags.py; do not edit."""

from typing import Literal, TypedDict


class PlanSettings(TypedDict, total=False):
    """Settings of a model, and of its training."""

    epochs: float
    optimizer: Literal["muon", "adamw", "sgd"]
    steps: int
    batch_size: int
    learning_rate: float
    adamw_learning_rate: float
    weight_decay: float
    ema_decay: float
    schedule: Literal["linear", "step", "constant"]
    warmup_fraction: float
    sampling: Literal["shuffle", "replacement", "streams"]
    num_evals: int
    execution: Literal["unique", "windows"]
    block_size: int
    precision: Literal["float32", "bfloat16"]
    distill_weight: float
    seed: int
    fuse: tuple[int, ...]
    embedding: int
    hidden: int
    norm: Literal["batch", "layer", "rms", "none", "batch-per-position"]
    activation: Literal["tanh", "relu", "gelu", "silu"]
    dropout: float
    channels: int
    dilations: tuple[int, ...]
    cycles: int
    kernel_size: int
    skip_channels: int
    gate: Literal["glu", "swiglu"]
    context: int
    layers: int
    heads: int
    order: int


class SamplingSettings(TypedDict, total=False):
    """Settings of `Sampling`."""

    temperature: float
    top_k: int | Literal["all"]
    top_p: float
    prefix: str
    suffix: str
    contains: tuple[str, ...]
    without: tuple[str, ...]
    match: str
    label: str
    min_length: int
    max_length: int
    distinct: bool
    new: bool
    min_distance: int
    seed: int
