"""What a line must be like, as one automaton: its beginning, end, parts, pattern and length."""

from dataclasses import dataclass
from functools import reduce
from operator import and_

import numpy as np

from wavemore.engine.sampling import Sampling
from wavemore.errors import UnknownCharacterError, UsageError
from wavemore.text.automaton import Automaton, begins, contains, ends, lacks, trimmed
from wavemore.text.pattern import matching
from wavemore.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Wish:
    """One wish, as it was given and as an automaton."""

    shown: str
    automaton: Automaton


def is_plain(sampling: Sampling) -> bool:
    """Say whether the wishes are met by drawing character by character, and drawing lines that are too long again."""
    others = sampling.suffix or sampling.contains or sampling.without or sampling.match
    return not others and sampling.min_length <= 1


def wished(sampling: Sampling, vocabulary: Vocabulary) -> Automaton:
    """Return the automaton of the lines that meet all wishes and that a list can hold: without spaces around.

    The lengths are no part of it. Raises `UsageError` for wishes that no line of these lengths can meet, which it
    names, and `UnknownCharacterError` for characters that the model does not know.
    """
    spaces = np.array([i for i, char in enumerate(vocabulary.characters, start=1) if char.isspace()], np.int64)
    result, least, most = trimmed(spaces, len(vocabulary)), sampling.min_length, sampling.max_length
    met: list[Wish] = []
    for wish in _wishes(sampling, vocabulary):
        both = result & wish.automaton
        if both.count(least, most) == 0:
            raise _impossible(wish, met, sampling)
        result = both
        met.append(wish)
    return result


def _wishes(sampling: Sampling, vocabulary: Vocabulary) -> list[Wish]:
    size = len(vocabulary)
    wishes: list[Wish] = []
    for name, make, texts in (
        ("prefix", begins, (sampling.prefix,) if sampling.prefix else ()),
        ("suffix", ends, (sampling.suffix,) if sampling.suffix else ()),
        ("contains", contains, sampling.contains),
        ("without", lacks, sampling.without),
    ):
        for text in texts:
            try:
                ids = vocabulary.encode(vocabulary.clean(text))
            except UnknownCharacterError as error:
                if name == "without":  # no line has it
                    continue
                raise UnknownCharacterError(f"`{name}`: {error}") from None
            wishes.append(Wish(f"`{name}` {text!r}", make(ids, size)))
    if sampling.match:
        wishes.append(Wish(f"`match` {sampling.match!r}", matching(sampling.match, vocabulary.characters)))
    return wishes


def _impossible(wish: Wish, met: list[Wish], sampling: Sampling) -> UsageError:
    """Return the error that names the fewest wishes that contradict each other."""
    least, most = sampling.min_length, sampling.max_length
    lengths = f"of {least:,} to {most:,} characters" if least > 1 else f"of at most {most:,} characters"

    def fails(*wishes: Wish) -> bool:
        return reduce(and_, (each.automaton for each in wishes)).count(least, most) == 0

    pairs = [(other, wish) for other in met if fails(other, wish)]
    named = next((wishes for wishes in [(wish,), *pairs, (*met, wish)] if fails(*wishes)), None)
    if named is None:  # they contradict what holds for all lines
        lengths, named = f"{lengths} that neither begins nor ends with a space", (*met, wish)
    names = " and ".join(each.shown for each in named)
    return UsageError(f"no line {lengths} meets {names}: change one of these, or the lengths")
