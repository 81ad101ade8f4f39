"""How new lines and texts are drawn, as plain data. It imports no torch, so `--help` is fast."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from wavemore.errors import require, require_types
from wavemore.nn.config import setting

MAX_LENGTH = 100_000
"""The most characters of a line that is generated."""
SAMPLE_LINES, SAMPLE_CHARACTERS = 10, 500
"""What a training shows of its model at its end: so many lines, or a text of so many characters."""


@dataclass(frozen=True)
class Sampling:
    """How lines are drawn, character by character; the end of a line is drawn like any other character.

    A text has no end, so of the wishes only `prefix` has an effect on it. Raises `UsageError` for a value out of range.
    """

    temperature: float = setting(
        1.0, "below 1 more typical, above 1 more unusual; 0 always takes the most likely character"
    )
    top_k: int | Literal["all"] = setting("all", "draw only from the K most likely characters")
    top_p: float = setting(1.0, "draw only from the most likely characters whose probabilities add up to X (1: all)")
    prefix: str = setting("", "the beginning of each line")
    suffix: str = setting("", "the end of each line")
    contains: tuple[str, ...] = setting((), "what each line contains: all of these, in any order")
    without: tuple[str, ...] = setting((), "characters or words that no line contains")
    match: str = setting("", "a regular expression (Python's syntax) that each line as a whole matches")
    label: str = setting("", "the label of all lines (default: labels are drawn as often as train has them)")
    min_length: int = setting(1, "shortest line, in characters")
    max_length: int = setting(100, "longest line, in characters; lines that do not end by then are drawn again")
    distinct: bool = setting(False, "no duplicate lines")
    new: bool = setting(False, "only lines that are not in the data")
    min_distance: int = setting(0, "minimum number of edits from every line of the data and from every other new line")
    seed: int = setting(0, "the same seed gives the same lines")

    def __post_init__(self) -> None:
        require_types(self)
        require(0 <= self.temperature < inf, "temperature", self.temperature, "at least 0 and finite")
        require(self.top_k == "all" or self.top_k >= 1, "top_k", self.top_k, "at least 1, or all")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        require(self.min_length >= 0, "min_length", self.min_length, "at least 0")
        shortest = max(1, self.min_length)
        require(self.max_length >= shortest, "max_length", self.max_length, f"at least {shortest} (`min_length`)")
        require(self.max_length <= MAX_LENGTH, "max_length", f"{self.max_length:,}", f"at most {MAX_LENGTH:,}")
        rule = f"above the length of `prefix` ({len(self.prefix)}), so that something can follow it"
        require(self.max_length > len(self.prefix), "max_length", self.max_length, rule)
        require(self.min_distance >= 0, "min_distance", self.min_distance, "at least 0")
        for name, texts in (("contains", self.contains), ("without", self.without)):
            require(all(texts), name, "an empty text", "at least one character long")
        require(0 <= self.seed < 2**63, "seed", self.seed, "between 0 and 2**63 - 1")
