"""Numbers and errors in plain words: nobody who uses the page needs to know what a loss is."""

import re
from math import exp

NAMES = {
    "prefix": "Beginning",
    "beginning": "Beginning",
    "suffix": "Ending",
    "ending": "Ending",
    "contains": "Contains",
    "without": "Without",
    "match": "Pattern",
    "expression": "Pattern",
    "min_length": "Shortest",
    "shortest": "Shortest",
    "max_length": "Longest",
    "longest": "Longest",
    "temperature": "Daring",
    "daring": "Daring",
    "count": "How many",
    "n": "How many",
    "length": "How many characters",
    "label": "Kind",
    "kind": "Kind",
    "minutes": "Time",
    "column": "Column with the items",
    "label_column": "Column with their kinds",
    "data": "the list",
}
"""Names of settings, as the page has them."""
PHRASES = (
    (
        r"(\d+ distinct lines?) cannot be split into train, val and test; at least (\d+) are needed",
        r"too few to learn from: \1; at least \2 are needed",
    ),
    (r"set `encoding` to that of the file, for example latin-1", "save it as UTF-8"),
    (r": set `long_lines` to skip .*", "; leave such lines out"),
    (r"(one item per line): [a-z0-9]+ .*the file.*", r"\1"),
    (r"`minutes` is .* too short for \d+ steps and .*", "there is too little time for this list: choose a longer one"),
    (
        r"^runs/(\S+) is (?:not finished|unfinished) .*",
        r"the run \1 is not finished: choose it in “Learned from”, load the page again, and continue it",
    ),
    (r"name two different sets of runs", "choose two different ones"),
    (r"\bruns/(?=\S+ is on both sides)", ""),
    (r"^(the model has .*: a page of about .* MB), .*", r"\1, which is too large for a browser"),
    (
        r"^cannot write .*: (.*); (?:its old content is unchanged|there is no file of that name yet)",
        r"nothing could be saved: \1",
    ),
    (r"^has ", "the file has "),
)
"""What the library says, for readers of its settings and users of a terminal, and how the page says it."""
FILE_NAME = re.compile(r"[^\s:,]*[\d/.][^\s:,]*\s")
"""A first word that is written as it is: the name of a run or a file."""
TYPICAL = ((0.75, "very typical"), (0.25, "typical"), (0.05, "unusual"), (-1.0, "very unusual"))
"""The least share of real items that are less typical, and the words for it."""


def plain(message: str) -> str:
    """Return an error of the library as a sentence for the page.

    >>> plain("`prefix` is ' a'; lines never begin with a space, so it must not either")
    "“Beginning” is ' a'; lines never begin with a space, so it must not either."
    >>> plain("runs/towns-1 is unfinished (stopped at step 4 of 9): finish its training, or name another run")
    'The run towns-1 is not finished: choose it in “Learned from”, load the page again, and continue it.'
    >>> plain("list.txt is a folder")
    'list.txt is a folder.'
    """
    for pattern, words in PHRASES:
        message = re.sub(pattern, words, message)
    text = re.sub(r"`(\w+)`", lambda match: f"“{NAMES[match[1]]}”" if match[1] in NAMES else match[0], message)
    if not FILE_NAME.match(text):
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def choices(nats: float) -> float:
    """Among how many equally likely characters a guess with this loss would choose."""
    return exp(min(nats, 20.0))


def quality(nats: float) -> str:
    """How well characters are guessed.

    >>> quality(2.0)
    'hesitates between 7.4 characters at each place'
    """
    return f"hesitates between {choices(nats):.1f} characters at each place"


def typical(rank: float | None) -> str:
    """How typical an item is, by the share of real ones that are less typical.

    >>> typical(0.9), typical(0.02), typical(None)
    ('very typical', 'very unusual', '')
    """
    return "" if rank is None else next(words for least, words in TYPICAL if rank >= least)


def duration(seconds: float) -> str:
    """Say a time in words.

    >>> duration(0.4), duration(75), duration(5400)
    ('1 second', '75 seconds', '90 minutes')
    """
    count = max(1, round(seconds))
    if count < 120:
        return f"{count} second{'s' * (count > 1)}"
    return f"{round(count / 60)} minutes"


def edits(distance: int) -> str:
    """Say how far a known item is.

    >>> edits(0), edits(1), edits(3)
    ('the same', '1 letter differs', '3 letters differ')
    """
    if distance == 0:
        return "the same"
    return "1 letter differs" if distance == 1 else f"{distance:,} letters differ"
