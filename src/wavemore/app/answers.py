"""What the page answers: each method is the answer to an event, as updates of the components that `page` lays out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr

from wavemore.app import board, markup
from wavemore.app.desk import EVERY, Desk, Job, find_named
from wavemore.app.lists import AS_IT_LOOKS, How, ListFacts, paste, read_list
from wavemore.app.shelf import Shelf, Wishes
from wavemore.app.words import plain
from wavemore.errors import RunError, WavemoreError

TIMES = {"10 seconds": 1 / 6, "1 minute": 1.0, "5 minutes": 5.0, "20 minutes": 20.0}
STATE = 7
"""The components that show how far a training is."""
Memory = dict[str, Any]
"""What the browser keeps: the run that the page uses, and the favourites of each run."""


def sentence(error: WavemoreError) -> str:
    """Return an error as the page says it."""
    return markup.note(plain(str(error)), "problem")


def _buttons(state: str) -> tuple[Any, ...]:
    """Return which of start, stop, continue and use-as-it-is are there."""
    runs, paused = state in ("waiting", "preparing", "learning"), state == "paused"
    return (
        gr.update(visible=not runs),
        gr.update(visible=runs, interactive=True),
        gr.update(visible=paused),
        gr.update(visible=paused),
    )


def _required(name: str | None) -> str:
    if not name:
        raise RunError("nothing has been learned yet: give a list, and start")
    return name


def wishes_of(values: Sequence[Any]) -> Wishes:
    """Return wishes from the values of their fields on the page; an empty number is the default."""
    names = [field.name for field in fields(Wishes)]
    return Wishes(**{name: value for name, value in zip(names, values, strict=False) if value is not None})


def how_of(as_lines: bool, heading: bool, column: str | None, kinds: str | None) -> How:
    """Return how a list is to be read, from the values of the fields on the page."""
    return How(as_lines, heading, (column or "").strip() or None, (kinds or "").strip() or None)


def remembered(memory: Any) -> Memory:
    """Return what the browser keeps; whatever else it has sent is nothing.

    >>> remembered({"run": 3, "kept": {"names-1": [{"text": "anna"}, {}]}})
    {'run': '', 'kept': {'names-1': [{'text': 'anna'}]}}
    """
    memory = memory if isinstance(memory, dict) else {}
    run, kept = memory.get("run"), memory.get("kept")
    kept = {
        str(name): [item for item in items if isinstance(item, dict) and isinstance(item.get("text"), str)]
        for name, items in (kept if isinstance(kept, dict) else {}).items()
        if isinstance(items, list)
    }
    return {"run": run if isinstance(run, str) else "", "kept": kept}


class Answers:
    """The answers to all browsers."""

    def __init__(self, desk: Desk, shelf: Shelf, folder: Path) -> None:
        """`folder` is for what is pasted and downloaded."""
        self.desk, self.shelf, self.folder = desk, shelf, folder

    def read_file(self, path: str | None, *how: Any) -> tuple[Any, ...]:
        """Say what an uploaded list is; nothing if it was taken away."""
        if not path:
            return None, "", gr.update(interactive=False)
        return self._read(lambda: Path(path), how_of(*how))

    def read_pasted(self, pasted: str | None, *how: Any) -> tuple[Any, ...]:
        """Say what a pasted list is."""
        return self._read(lambda: paste(pasted or "", self.folder), how_of(*how), "pasted list")

    def read_example(self) -> tuple[Any, ...]:
        """Say what the bundled list is."""
        return self._read(lambda: "names", AS_IT_LOOKS, "first names")

    def read_again(self, facts: ListFacts | None, path: str | None, pasted: str | None, *how: Any) -> tuple[Any, ...]:
        """Read the list in another way, if that is another one."""
        if (facts is not None and facts.how == how_of(*how)) or not (path or (pasted or "").strip()):
            return facts, gr.skip(), gr.skip()
        return self.read_file(path, *how) if path else self.read_pasted(pasted, *how)

    def _read(self, source: Callable[[], str | Path], how: How, name: str = "") -> tuple[Any, ...]:
        try:
            found = read_list(source(), how, name=name)
        except WavemoreError as error:
            return None, sentence(error), gr.update(interactive=False)
        return found, markup.facts(found), gr.update(interactive=True)

    async def begin(self, facts: ListFacts | None, time: str, memory: Memory) -> AsyncIterator[tuple[Any, ...]]:
        """Train on the list, and show how far it is."""
        try:
            if facts is None:
                raise WavemoreError("give a list first")
            job = await asyncio.to_thread(self.desk.start, facts, TIMES[time])
        except WavemoreError as error:
            yield (sentence(error), *[gr.skip()] * (STATE - 1))
            return
        async for update in self._follow(job.name, remembered(memory)):
            yield update

    async def go_on(self, memory: Memory) -> AsyncIterator[tuple[Any, ...]]:
        """Continue the run of the page."""
        async for update in self._resume(remembered(memory), finish=False):
            yield update

    async def use_as_it_is(self, memory: Memory) -> AsyncIterator[tuple[Any, ...]]:
        """Make a finished run of what was learned."""
        async for update in self._resume(remembered(memory), finish=True):
            yield update

    async def _resume(self, memory: Memory, *, finish: bool) -> AsyncIterator[tuple[Any, ...]]:
        try:
            await asyncio.to_thread(self.desk.resume, memory["run"], finish=finish)
        except WavemoreError as error:
            yield (sentence(error), *[gr.skip()] * (STATE - 1))
            return
        async for update in self._follow(memory["run"], memory):
            yield update

    def end_soon(self, memory: Memory) -> Any:
        """Stop, and keep what was learned."""
        try:
            self.desk.finish(remembered(memory)["run"])
        except WavemoreError as error:
            gr.Warning(sentence(error))
        return gr.update(interactive=False)

    async def open(self, memory: Memory) -> AsyncIterator[tuple[Any, ...]]:
        """Show the run that this browser used last, and follow it if it is being trained."""
        memory = remembered(memory)
        name = memory["run"]
        if self.desk.look(name) is not None:
            async for update in self._follow(name, memory):
                yield update
            return
        usable, said = await asyncio.to_thread(board.usable), ""
        with suppress(WavemoreError):  # it may be gone
            run = find_named(name)
            if run.summary() is None:
                said = markup.note(f"{name} is not finished ({run.progress()}): continue it, or use it as it is.")
        chosen = name if name in usable else usable[0] if usable else None
        yield (said, *_buttons("paused" if said else ""), gr.update(choices=usable, value=chosen), memory)

    async def _follow(self, name: str, memory: Memory) -> AsyncIterator[tuple[Any, ...]]:
        """Show a training until it has ended."""
        memory, seen = {**memory, "run": name}, -1
        while (job := self.desk.look(name)) is not None:
            if job.version == seen:
                yield tuple([gr.skip()] * STATE)  # who no longer takes it has gone
            else:
                seen = job.version
                yield (*await asyncio.to_thread(self._shown, job), memory)
            if job.ended:
                return
            await asyncio.sleep(EVERY)

    def _shown(self, job: Job) -> tuple[Any, ...]:
        choice = gr.skip()
        if job.ended:
            names = board.usable()
            is_usable = job.name in names
            choice = gr.update(choices=names, value=job.name) if is_usable else gr.update(choices=names)
        return (markup.learning(job, self.desk.ahead_of(job)), *_buttons(job.state), choice)

    def choose(self, name: str | None, memory: Memory) -> Memory:
        """Use another run."""
        return {**remembered(memory), "run": name or ""}

    def show_run(self, name: str | None, memory: Memory) -> tuple[Any, ...]:
        """Show the wishes that a run can meet, and its favourites."""
        format_, kinds = "lines", tuple[str, ...]()
        with suppress(WavemoreError):  # there is none yet
            format_, kinds = self.shelf.makes(name or "")
        return (
            gr.update(visible=format_ == "lines"),
            gr.update(visible=format_ == "text"),
            gr.update(choices=[("any", ""), *((kind, kind) for kind in kinds)], value="", visible=bool(kinds)),
            markup.favourites(remembered(memory)["kept"].get(name or "", []), name or ""),
            gr.update(visible=False),
        )

    def make_items(self, name: str | None, memory: Memory, *wishes: Any) -> tuple[Any, ...]:
        """Make new items."""
        try:
            wanted = wishes_of(wishes)
            made = self.shelf.sample(_required(name), wanted)
        except WavemoreError as error:
            return sentence(error), "", "", []
        said = ""
        if len(made) < wanted.count:
            said = markup.note(f"Only {len(made)} were found: be more daring, or wish for less.")
        kept = [item["text"] for item in remembered(memory)["kept"].get(name, [])]
        return said, markup.items(made, kept), markup.downloads(made, name or ""), made

    def write_on(self, name: str | None, *wishes: Any) -> Iterator[str]:
        """Continue a text, and show it as it grows."""
        try:
            for text in self.shelf.write(_required(name), *wishes):
                yield markup.written(text, name or "")
        except WavemoreError as error:
            yield sentence(error)

    def keep(self, name: str, made: Sequence[Any], memory: Memory, event: gr.EventData) -> tuple[Any, ...]:
        """Keep the items whose stars are pressed, and earlier favourites that are not among these items."""
        memory, pressed = remembered(memory), event._data.get("pressed")
        kept = {item["text"]: item for item in memory["kept"].get(name, [])}
        for number, item in enumerate(made):
            if isinstance(pressed, list) and number in pressed:
                kept.setdefault(item["text"], item)
            else:
                kept.pop(item["text"], None)
        favourites = list(kept.values())
        memory = {**memory, "kept": {**memory["kept"], name: favourites}}
        return memory, markup.favourites(favourites, name)

    def prepare_file(self, name: str | None) -> tuple[Any, ...]:
        """Write the page that makes such items anywhere."""
        try:
            path = self.shelf.export(_required(name), self.folder)
        except WavemoreError as error:
            return sentence(error), gr.update(visible=False)
        size = f"{path.name} is ready ({path.stat().st_size / 1e3:,.0f} KB)."
        return markup.note(size, "good"), gr.update(value=str(path), visible=True, label=f"Save {path.name}")

    def look_inside(self, name: str | None, word: str | None) -> str:
        """Show a word as the model sees it."""
        try:
            run, typed = _required(name), (word or "").strip()
            parts = [markup.letters(self.shelf.letters(run, typed), typed, run)] if typed else []
            parts.append(markup.following(self.shelf.following(run, typed), typed))
            parts.append(markup.tree(self.shelf.tree(run, typed)))
        except WavemoreError as error:
            return sentence(error)
        return "".join(parts)

    def list_runs(self) -> tuple[Any, ...]:
        """Show all runs."""
        found = board.rows()
        choice = gr.update(choices=[row.name for row in found if row.is_usable])
        return markup.runs(found), choice, choice

    def compare_runs(self, a: str | None, b: str | None) -> str:
        """Say which of two runs guesses better."""
        try:
            return markup.verdict(board.judge(a or "", b or ""), a or "", b or "")
        except WavemoreError as error:
            return sentence(error)
