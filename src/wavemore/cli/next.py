"""`wavemore next`: the likely next characters after a beginning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from wavemore.cli.options import NO_HINT, Flag, Number, Text
from wavemore.cli.run_words import say_run, split_words
from wavemore.cli.screen import Screen, padded, print_json
from wavemore.errors import UsageError, require

BAR = 40
"""Columns of the bar of a certain character."""


@dataclass(frozen=True, kw_only=True)
class Next:
    """Show the likely next characters, to write an item by hand.

    Examples:
      wavemore next runs/names-1 mar
      wavemore next runs/story-1 "It was a " -n 5
    """

    words: Annotated[Positional[tuple[str, ...]], arg(name="run-and-prefix", metavar="[RUN] [PREFIX]"), NO_HINT] = ()
    """a run (default: the latest), then the beginning (default: none, for the first character)"""
    n: Annotated[Number, arg(name="num", aliases=["-n"])] = 10
    """how many characters"""
    label: Text = None
    """for a run with labels: the label of the item (default: all, weighted by their probability given the beginning)"""
    json: Flag = False
    """print a JSON list of objects with character (empty: the end of the item) and p"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print one character per row, the likeliest first."""
        from wavemore.engine.next_characters import next_characters
        from wavemore.signs import sign
        from wavemore.text.layout import joined

        require(self.n >= 1, "n", self.n, "at least 1")
        run, words, is_named = split_words(self.words)
        if len(words) > 1:
            raise UsageError(f"one beginning at a time: put it into quotation marks, as in {' '.join(words)!r}")
        prefix, text_format = "".join(words), run.config.data.format
        if run.config.data.layout.kind == "separated":
            prefix = joined(prefix)
        found = next_characters(run.model(), run.vocabulary(), prefix, text_format, self.label or "")
        shown, rest = found[: self.n], found[self.n :]
        if self.json:
            print_json([each._asdict() for each in shown])
        else:
            screen = Screen()
            for character, p in shown:
                name = "⏎ (the end)" if character == "" else sign(character)
                screen.say(f"{padded(name, 12)}{p:7.2%}  {'█' * round(BAR * p)}".rstrip())
            if rest:
                screen.say(f"{len(rest):,} others {sum(each.p for each in rest):.2%}", style="dim")
        say_run(run, is_named=is_named)
        return 0
