"""The models that pages use: loaded once, then items by wishes, text, words letter by letter, a page to hand on."""

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from wavemore.app.desk import find_named
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import stream_text
from wavemore.engine.line_source import Sample
from wavemore.engine.next_characters import NextCharacter, next_characters
from wavemore.engine.ranked import KEEPERS_TEMPERATURE, keepers, keepers_pool
from wavemore.engine.sampling import Sampling
from wavemore.errors import DataError, RunError, UsageError, WavemoreError, require, require_types, typed
from wavemore.export.page import export_page
from wavemore.files import write_atomic
from wavemore.inspection.tree_text import draw_tree
from wavemore.runs.find import find_run
from wavemore.runs.item_file import Item, sample_items
from wavemore.runs.known_lines import known_lines
from wavemore.runs.language_model import LanguageModel, from_pretrained
from wavemore.runs.run import Run
from wavemore.runs.run_sampling import run_sampling
from wavemore.signs import sign
from wavemore.text.nearest import NearLines
from wavemore.text.parts import Format

MOST_LOADED = 4
"""Models in memory; the one that was used least recently gives way."""
STREAM, MOST_STREAMS = 2_000, 24
"""Items that are drawn before the same wishes begin anew, and wishes whose items are on their way."""
FRESH = 1.0
"""Seconds for which a model is used without a look at its file."""
MAX_COUNT, MAX_LENGTH, MAX_WISH = 500, 1_000, 1_000
MAX_TEXT, TEXT_EVERY = 10_000, 40
"""Characters that a text is continued by, at most, and after how many of them it is shown."""
MAX_TYPED = 60
"""Characters of a word that is looked at letter by letter."""
EXPECTED = 3
"""What was expected instead of a letter: so many."""
MOST_SEED = 2**31
SIZES = re.compile(r" {3}T(/\d+)?(?=   then: |$)", re.MULTILINE)
"""What a drawing of a tree says about the lengths of its levels."""


@dataclass(frozen=True)
class Wishes:
    """What new items are to be like, as a person says it."""

    count: int = 20
    beginning: str = ""
    ending: str = ""
    contains: str = ""
    """Several, separated by commas."""
    without: str = ""
    """The same."""
    expression: str = ""
    shortest: int = 0
    longest: int = 0
    """0: as long as those of the list."""
    daring: float = KEEPERS_TEMPERATURE
    only_new: bool = True
    kind: str = ""
    """Of all items: one of the labels of the run; empty for each as often as in the list."""
    seed: int = -1
    """-1: others each time."""

    def __post_init__(self) -> None:
        require_types(self)
        require(1 <= self.count <= MAX_COUNT, "count", self.count, f"between 1 and {MAX_COUNT}")
        require(0 <= self.longest <= MAX_LENGTH, "longest", self.longest, f"between 0 and {MAX_LENGTH:,}")
        require(0 <= self.shortest <= MAX_LENGTH, "shortest", self.shortest, f"between 0 and {MAX_LENGTH:,}")
        require(0.1 <= self.daring <= 3, "daring", self.daring, "between 0.1 and 3")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and len(value) > MAX_WISH:
                raise UsageError(f"`{field.name}` has {len(value):,} characters; at most {MAX_WISH:,} are possible")

    def settings(self) -> dict[str, Any]:
        """Return them as settings of a `Sampling`."""
        settings: dict[str, Any] = {
            "temperature": self.daring,
            "prefix": self.beginning,
            "suffix": self.ending,
            "contains": _parts(self.contains),
            "without": _parts(self.without),
            "match": self.expression,
            "label": self.kind,
            "new": self.only_new,
            "distinct": True,
            "seed": self.seed if self.seed >= 0 else secrets.randbelow(MOST_SEED),
        }
        if self.shortest > 0:
            settings["min_length"] = self.shortest
        if self.longest > 0:
            settings["max_length"] = self.longest
        return settings


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in (each.strip() for each in text.split(",")) if part)


@dataclass(frozen=True)
class Letter:
    """A letter of a word as a model sees it."""

    character: str
    """Empty for the end."""
    p: float
    """How likely it was."""
    expected: tuple[tuple[str, float], ...]
    """What was most likely, with how likely it was."""


class Loaded:
    """A model in use."""

    def __init__(self, run: Run, stamp: int) -> None:
        self.run, self.stamp, self.checked = run, stamp, monotonic()
        self._lock, self._sought = threading.Lock(), False
        self._near: NearLines | None = None
        self.model: LanguageModel = from_pretrained(run.path, device="cpu")
        self.format = self.model.config.data.format

    def draw(self, wishes: Wishes, count: int) -> Iterator[Sample]:
        """Draw items one after the other; the first one raises `UsageError` for wishes that no item can meet."""
        if self.format == "text":
            raise UsageError(f"the run {self.run.path.name} has read a text, so it makes no items: it continues a text")
        model = self.model
        return generate(model.model, model.vocabulary, count, self._sampling(wishes), model.known)

    def write(self, wishes: Wishes, length: int) -> Iterator[str]:
        """Continue a text, and yield it as it grows. Raises `UsageError` for a run of a list."""
        if self.format == "lines":
            raise UsageError(f"the run {self.run.path.name} has read a list, so it writes no text: it makes items")
        model, text = self.model, self.model.vocabulary.clean(wishes.beginning)
        steps = stream_text(model.model, model.vocabulary, 1, length, self._sampling(wishes))
        for count, step in enumerate(steps, 1):
            text += model.vocabulary.decode_text(step.ids)
            if count % TEXT_EVERY == 0 or count == length:
                yield text

    def _sampling(self, wishes: Wishes) -> Sampling:
        return run_sampling(self.model.config.data, wishes.settings())

    def after(self, beginning: str) -> list[NextCharacter]:
        """Return what may come after a beginning, the likeliest first."""
        return next_characters(self.model.model, self.model.vocabulary, beginning, self.format)

    @property
    def near(self) -> NearLines | None:
        """Finds the nearest known items; None if the list is no longer there."""
        with self._lock:
            if not self._sought:
                with suppress(WavemoreError):
                    self._near = NearLines(known_lines(self.run))
                self._sought = True
        return self._near


class Stream:
    """Items of some wishes, drawn when they are needed: none comes twice, and preparations are made once."""

    def __init__(self, lines: Iterator[Sample], left: int) -> None:
        self.left = left
        """How many can still be drawn, if there are so many."""
        self._lines, self._lock = lines, threading.Lock()

    def take(self, count: int) -> list[Sample]:
        """Draw so many items; fewer if there are no more."""
        self.left -= count
        with self._lock:
            return list(islice(self._lines, count))


class Shelf:
    """Keeps the models, and the items on their way, that were used last."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._streams: OrderedDict[tuple[str, int, Wishes], Stream] = OrderedDict()
        self._lock = threading.Lock()
        self._latest, self._looked = "", -FRESH

    def get(self, name: str) -> Loaded:
        """Return the model of a run by its name, or of the latest one. Raises `RunError` if it has none."""
        with self._lock:
            name = self._latest_name() if name == "latest" else name
            loaded = self._loaded.get(name)
            if loaded is None or monotonic() - loaded.checked > FRESH:
                run = loaded.run if loaded else find_named(name)
                stamp = _stamp(run)
                if loaded is None or loaded.stamp != stamp:
                    loaded = self._loaded[name] = Loaded(run, stamp)
                loaded.checked = monotonic()
            self._loaded.move_to_end(name)
            while len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)
            return loaded

    def _latest_name(self) -> str:
        if monotonic() - self._looked > FRESH:
            self._latest, self._looked = find_run().path.name, monotonic()
        return self._latest

    def sample(self, name: str, wishes: Wishes, *, nearest: bool = True) -> list[Item]:
        """Make new items: text, nats, percentile_rank, new, and the nearest known item with its distance.

        Raises `UsageError` for wishes that no item can meet.
        """
        loaded = self.get(name)
        model = loaded.model
        samples = list(keepers(self._pool(loaded, wishes), wishes.count))
        percentiles = model.summary.val_line_percentiles if model.summary else None
        return sample_items(samples, percentiles, loaded.near if nearest and samples else None)

    def _pool(self, loaded: Loaded, wishes: Wishes) -> list[Sample]:
        """Draw the items to choose from; without a seed, others than those of the last times with these wishes."""
        count = keepers_pool(wishes.count)
        if wishes.seed >= 0:
            return list(loaded.draw(wishes, count))
        key = loaded.run.path.name, loaded.stamp, replace(wishes, count=1)
        with self._lock:
            stream = self._streams.pop(key, None)
            if stream is None or stream.left < count:
                stream = Stream(loaded.draw(wishes, max(count, STREAM)), max(count, STREAM))
            self._streams[key] = stream
            while len(self._streams) > MOST_STREAMS:
                self._streams.popitem(last=False)
        pool: list[Sample] = []
        try:
            pool = stream.take(count)
        finally:
            if len(pool) < count:  # there are no more, or it has failed: the next time begins anew
                with self._lock:
                    self._streams.pop(key, None)
        return pool

    def makes(self, name: str) -> tuple[Format, tuple[str, ...]]:
        """Return whether a run makes lines or text, and the kinds of its items, if it knows any."""
        run = find_named(name)
        return run.config.data.format, run.vocabulary().labels.names

    def write(
        self, name: str, beginning: str, length: int, daring: float = KEEPERS_TEMPERATURE, seed: int = -1
    ) -> Iterator[str]:
        """Continue a text, and yield it as it grows.

        Raises `UsageError` for values out of range, and a run of a list.
        """
        wishes = Wishes(beginning=beginning, daring=daring, seed=seed)
        require(1 <= typed(length, "length", int) <= MAX_TEXT, "length", length, f"between 1 and {MAX_TEXT:,}")
        yield from self.get(name).write(wishes, length)

    def letters(self, name: str, word: str) -> list[Letter]:
        """Go through a word letter by letter, the end of an item included: what was expected, and what came."""
        loaded = self.get(name)
        word = loaded.model.vocabulary.clean(word)
        if len(word) > MAX_TYPED:
            raise UsageError(f"this word has {len(word):,} characters; at most {MAX_TYPED} can be looked at")
        found, ends = [], [""] if loaded.format == "lines" else []
        for place, character in enumerate([*word, *ends]):
            guesses = loaded.after(word[:place])
            p = dict(guesses).get(character)
            if p is None:
                raise DataError(f"the character {character!r} is not in the list, so nothing is known about it")
            found.append(Letter(character, p, tuple((guess, p) for guess, p in guesses[:EXPECTED])))
        return found

    def following(self, name: str, word: str, most: int = 8) -> list[tuple[str, float]]:
        """Return what may come after a beginning, the likeliest first."""
        loaded = self.get(name)
        return [(character, p) for character, p in loaded.after(loaded.model.vocabulary.clean(word))[:most]]

    def tree(self, name: str, word: str) -> str:
        """Draw which letters of a word meet where; empty for a model that is no tree."""
        loaded = self.get(name)
        config, word = loaded.model.config.model_config, loaded.model.vocabulary.clean(word)
        fuse = getattr(config, "fuse", None)
        if fuse is None:
            return ""
        context = config.receptive_field or 1
        best = loaded.after(word)[0].character
        drawing = draw_tree(fuse, f"{chr(10) * context}{word}"[-context:], sign(best))
        return SIZES.sub("", drawing)

    def export(self, name: str, folder: Path) -> Path:
        """Write the page of a run to a folder, and return its path."""
        run = find_named(name)
        path = folder / f"{run.path.name}.html"
        write_atomic(path, export_page(run).encode("utf-8", "xmlcharrefreplace"))
        return path


def _stamp(run: Run) -> int:
    try:
        return (run.path / "model.safetensors").stat().st_mtime_ns
    except OSError:
        raise RunError(f"the run {run.path.name} has learned nothing yet: start it, or choose another one") from None
