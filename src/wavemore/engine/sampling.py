"""How new lines are drawn, as plain data (no torch here, so that --help is fast)."""

from dataclasses import dataclass, field
from typing import Literal

from wavemore.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How lines are drawn. The end of a line is a character like any other: it is drawn too."""

    temperature: float = field(
        default=1.0,
        metadata={"help": "below 1 safer, above 1 wilder; 0 takes the likeliest character each time"},
    )
    top_k: int | Literal["all"] = field(default="all", metadata={"help": "draw from the K likeliest characters only"})
    top_p: float = field(
        default=1.0, metadata={"help": "draw from the fewest characters that have this probability together"}
    )
    prefix: str = field(default="", metadata={"help": "what each line begins with"})
    min_length: int = field(default=1, metadata={"help": "shortest line, in characters"})
    max_length: int = field(
        default=100,
        metadata={"help": "longest line, in characters; lines that do not end by then are drawn again"},
    )
    distinct: bool = field(default=False, metadata={"help": "no line twice"})
    new: bool = field(default=False, metadata={"help": "only lines that are not in the data"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same lines"})

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if self.top_k != "all" and self.top_k < 1:
            raise UsageError(f"top_k is {self.top_k}; it must be at least 1, or all")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.min_length < 0:
            raise UsageError(f"min_length is {self.min_length}; it must be 0 or more")
        if self.max_length < max(1, self.min_length, len(self.prefix)):
            raise UsageError(
                f"max_length is {self.max_length}; it must be at least 1, min_length ({self.min_length}) "
                f"and the length of the prefix ({len(self.prefix)})"
            )
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}; it must be between 0 and 2**63 - 1")
