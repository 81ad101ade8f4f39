"""How the lines of a run are drawn: what was not said suits its data, and line breaks are those of its items."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wavemore.engine.sampling import MAX_LENGTH, Sampling
from wavemore.runs.config import DataConfig
from wavemore.text.layout import joined


def run_sampling(data: DataConfig, settings: Mapping[str, Any]) -> Sampling:
    r"""Return how to draw lines like those of the `data`, by the `settings` that were given.

    Without a `max_length`, it is that of the longest line of the data, or leaves room for longer wishes. If the items
    have several lines, a line break in a wish, or `\n` in a `match`, is one of theirs. Raises what `Sampling` does.
    """
    sampling = Sampling(**{"max_length": MAX_LENGTH, **settings})
    if data.layout.kind == "separated":
        sampling = replace(
            sampling,
            prefix=joined(sampling.prefix),
            suffix=joined(sampling.suffix),
            contains=tuple(map(joined, sampling.contains)),
            without=tuple(map(joined, sampling.without)),
            match=joined(re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[0], sampling.match)),
        )
    if "max_length" in settings:
        return sampling
    longest, wished = max(1, data.longest_line), (sampling.prefix, sampling.suffix, *sampling.contains)
    shortest = max(sampling.min_length, sum(map(len, wished)))
    return replace(sampling, max_length=longest if shortest < longest else min(MAX_LENGTH, shortest + longest))
