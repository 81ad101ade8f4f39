"""What programs can call, for example by gradio_client: `read`, `train`, `finish`, `sample`, `write`, `letters`, ...

Errors are those of the page, as text.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from wavemore.app import board
from wavemore.app.desk import EVERY, Desk, Job
from wavemore.app.lists import ListFacts, paste, read_list
from wavemore.app.shelf import Shelf, Wishes
from wavemore.app.words import plain
from wavemore.errors import WavemoreError, typed

SAMPLERS: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "sample"}
"""Two requests for items are answered at once, so that one that takes long stops no other; the rest wait in turn."""


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn errors of the library in the block into those of the page; nothing is printed."""
    try:
        yield
    except WavemoreError as error:
        raise gr.Error(plain(str(error)), print_exception=False) from None


def add_endpoints(desk: Desk, shelf: Shelf, folder: Path) -> None:
    """Add the endpoints to the page that is being built."""
    _add_training(desk, folder)
    _add_models(shelf)


def _add_training(desk: Desk, folder: Path) -> None:
    def listed(text: Any) -> ListFacts:
        return read_list(paste(typed(text, "text", str), folder), name="list")

    def read(text: str) -> dict[str, Any]:
        """Say what a list is: one item per line."""
        with in_plain_words():
            return asdict(listed(text)) | {"source": ""}

    async def train(text: str, minutes: float = 1.0) -> AsyncIterator[dict[str, Any]]:
        """Learn from a list for some minutes, and say how far it is until it has ended.

        Whoever stops to read ends the training; it can be continued.
        """
        with in_plain_words():
            facts = await asyncio.to_thread(listed, text)
            name = (await asyncio.to_thread(desk.start, facts, typed(minutes, "minutes", float))).name
        while (job := desk.look(name)) is not None:
            yield progress(job)
            if job.ended:
                return
            await asyncio.sleep(EVERY)

    def finish(run: str) -> bool:
        """End a training soon, and keep what was learned."""
        with in_plain_words():
            desk.finish(typed(run, "run", str))
        return True

    api(train, api_name="train", concurrency_limit=None)
    api(read, api_name="read")
    api(finish, api_name="finish")


def _add_models(shelf: Shelf) -> None:
    def sample(
        run: str = "latest",
        count: int = 20,
        beginning: str = "",
        ending: str = "",
        contains: str = "",
        without: str = "",
        expression: str = "",
        shortest: int = 0,
        longest: int = 0,
        daring: float = 0.8,
        only_new: bool = True,
        seed: int = -1,
        kind: str = "",
    ) -> list[dict[str, Any]]:
        """Make new items of a run: each with how likely and how typical it is, and the nearest known one."""
        with in_plain_words():
            wishes = Wishes(
                count, beginning, ending, contains, without, expression, shortest, longest, daring, only_new, kind, seed
            )
            return [dict(item) for item in shelf.sample(typed(run, "run", str), wishes)]

    def write(
        run: str = "latest", beginning: str = "", length: int = 500, daring: float = 0.8, seed: int = -1
    ) -> Iterator[str]:
        """Continue a beginning with a run of one continuous text: the text as it grows."""
        with in_plain_words():
            yield from shelf.write(typed(run, "run", str), beginning, length, daring, seed)

    def letters(word: str, run: str = "latest") -> list[dict[str, Any]]:
        """Go through a word letter by letter: how likely each was, and what was expected."""
        with in_plain_words():
            return [asdict(letter) for letter in shelf.letters(typed(run, "run", str), typed(word, "word", str))]

    def runs() -> list[dict[str, Any]]:
        """List all runs, the latest first."""
        return [asdict(row) for row in board.rows()]

    def compare(a: str, b: str) -> str:
        """Say which of two runs guesses better."""
        with in_plain_words():
            return board.judge(typed(a, "a", str), typed(b, "b", str)).sentence

    api(sample, api_name="sample", **SAMPLERS)
    api(write, api_name="write", **SAMPLERS)
    api(letters, api_name="letters", **SAMPLERS)
    api(runs, api_name="runs")
    api(compare, api_name="compare")


def progress(job: Job) -> dict[str, Any]:
    """Return how far a training is."""
    return {
        "run": job.name,
        "state": job.state,
        "message": job.message,
        "seconds": job.seconds,
        "fraction": round(job.fraction, 4),
        "train_nats": job.points[-1].nats if job.points else None,
        "val_nats": job.val_nats,
        "samples": job.samples,
    }
