"""Flags for models, training and sampling. Written by scripts/make_flags.py; do not edit."""

from dataclasses import dataclass
from typing import Annotated, Literal

from wavemore.cli.options import (
    NO_HINT,
    Flag,
    FloatOrAuto,
    IntOrAll,
    IntOrAuto,
    IntsOrAuto,
    Number,
    Real,
    Texts,
    Words,
)

ModelName = Literal["tree", "wavenet", "mlp", "bigram", "rnn", "gru", "lstm", "bow", "transformer", "ngram"]


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """Settings of the model (in brackets: the models that have it). The default, `auto`, suits the data."""

    fuse: IntsOrAuto = "auto"
    """number of positions that each fusion joins, from the characters up (tree)"""
    embedding: IntOrAuto = "auto"
    """channels of a character's vector (tree, mlp, rnn, gru, lstm, bow)"""
    hidden: IntOrAuto = "auto"
    """channels of the hidden layers (tree, mlp, rnn, gru, lstm, bow)"""
    norm: Annotated[Literal["auto", "batch", "layer", "rms", "none", "batch-per-position"], NO_HINT] = "auto"
    """normalisation of each layer (batch-per-position: batch axis only, the lecture's bug) (tree, wavenet, mlp)"""
    activation: Annotated[Literal["auto", "tanh", "relu", "gelu", "silu"], NO_HINT] = "auto"
    """activation after each normalisation (tree, mlp)"""
    dropout: FloatOrAuto = "auto"
    """fraction of the values set to zero in training (tree, wavenet, mlp, rnn, gru, lstm, transformer)"""
    channels: IntOrAuto = "auto"
    """channels of the residual path (wavenet, transformer)"""
    dilations: IntsOrAuto = "auto"
    """distance between the positions that each block of a cycle sees (wavenet)"""
    cycles: IntOrAuto = "auto"
    """how many times the dilations are repeated (wavenet)"""
    kernel_size: IntOrAuto = "auto"
    """number of positions that each block sees (wavenet)"""
    skip_channels: IntOrAuto = "auto"
    """channels of the skip path, from every block to the head (wavenet)"""
    gate: Annotated[Literal["auto", "glu", "swiglu"], NO_HINT] = "auto"
    """glu (tanh x sigmoid, as in the paper) or swiglu (wavenet)"""
    context: IntOrAuto = "auto"
    """number of characters that a prediction depends on (tree, mlp, bow, transformer)"""
    layers: IntOrAuto = "auto"
    """number of layers (rnn, gru, lstm, transformer)"""
    heads: IntOrAuto = "auto"
    """number of attention heads in a block (transformer)"""
    order: IntOrAuto = "auto"
    """number of characters counted together, the predicted one included (ngram)"""


@dataclass(frozen=True, kw_only=True)
class RecipeFlags:
    """Settings of the training. The default, `auto`, suits the data and the model."""

    optimizer: Annotated[Literal["auto", "muon", "adamw", "sgd"], NO_HINT] = "auto"
    """muon (hidden matrices; AdamW for all other weights), adamw or sgd"""
    steps: IntOrAuto = "auto"
    """number of optimizer steps"""
    batch_size: IntOrAuto = "auto"
    """characters predicted per step (approximate for models that read whole lines)"""
    learning_rate: FloatOrAuto = "auto"
    """peak learning rate of Muon (with adamw or sgd: of all weights)"""
    adamw_learning_rate: FloatOrAuto = "auto"
    """with muon: peak learning rate of AdamW, for all other weights"""
    weight_decay: FloatOrAuto = "auto"
    """decoupled weight decay of the hidden matrices"""
    ema_decay: FloatOrAuto = "auto"
    """decay of the weights' running average (0.99: about 100 steps; 0: no average)"""
    schedule: Annotated[Literal["auto", "linear", "step", "constant"], NO_HINT] = "auto"
    """linear (decay to zero), step (a tenth after 75 % of the steps) or constant"""
    warmup_fraction: FloatOrAuto = "auto"
    """fraction of the steps in which the learning rate rises to its peak"""
    sampling: Annotated[Literal["auto", "shuffle", "replacement", "streams"], NO_HINT] = "auto"
    """shuffle (no target twice per epoch), replacement (as in the lecture) or streams (recurrent, on a text)"""
    num_evals: IntOrAuto = "auto"
    """number of times the val loss is measured during training; the best weights are kept"""
    execution: Annotated[Literal["auto", "unique", "windows"], NO_HINT] = "auto"
    """for a tree or mlp on a list: unique (each distinct n-gram once: fast) or windows (as in the lecture)"""
    block_size: IntOrAuto = "auto"
    """for continuous text: consecutive characters predicted together"""
    precision: Annotated[Literal["auto", "float32", "bfloat16"], NO_HINT] = "auto"
    """precision of the matrix products: float32, or bfloat16 if supported"""
    distill_weight: FloatOrAuto = "auto"
    """weight of the teachers in each target (auto: 0.5 with teachers)"""
    seed: IntOrAuto = "auto"
    """seed of the initial weights and of the order of the batches"""


@dataclass(frozen=True, kw_only=True)
class SamplingFlags:
    """How characters are drawn.

    By default, --temperature is 0.8 for lines (with --rank, one that suits the list) and 1 for text or with --raw,
    and --max-length suits the data; --seed is random.
    """

    temperature: FloatOrAuto = "auto"
    """below 1 more typical, above 1 more unusual; 0 always takes the most likely character"""
    top_k: IntOrAll = "all"
    """draw only from the K most likely characters"""
    top_p: Real = 1.0
    """draw only from the most likely characters whose probabilities add up to X (1: all)"""
    prefix: Words = ""
    """the beginning of each line"""
    suffix: Words = ""
    """the end of each line"""
    contains: Texts = ()
    """what each line contains: all of these, in any order"""
    without: Texts = ()
    """characters or words that no line contains"""
    match: Words = ""
    """a regular expression (Python's syntax) that each line as a whole matches"""
    label: Words = ""
    """the label of all lines (default: labels are drawn as often as train has them)"""
    min_length: Number = 1
    """shortest line, in characters"""
    max_length: IntOrAuto = "auto"
    """longest line, in characters; lines that do not end by then are drawn again"""
    distinct: Flag = False
    """no duplicate lines"""
    new: Flag = False
    """only lines that are not in the data"""
    min_distance: Number = 0
    """minimum number of edits from every line of the data and from every other new line"""
    seed: IntOrAuto = "auto"
    """the same seed gives the same lines"""
