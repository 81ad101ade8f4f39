"""`wavemore tune`: a search for better settings, which can be stopped and continued."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from wavemore.cli.data_flags import DataFlags, source_of
from wavemore.cli.options import (
    NO_HINT,
    Flag,
    Folder,
    IntOrAuto,
    Length,
    Minutes,
    Number,
    RealOrNone,
    Text,
    trainings_at_a_time,
)
from wavemore.cli.progress import interrupts
from wavemore.cli.screen import Screen, print_json, seconds
from wavemore.cli.start import started
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wavemore.studies.record import Record
    from wavemore.studies.tuning.trainings import Event
    from wavemore.studies.tuning.tuner import Tuner


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Search for better settings for a list or a text.

    Trials are runs. The best are repeated on fresh seeds and compared.

    If stopped, the same command continues it.

    Examples:
      wavemore tune list.txt --minutes 20
      wavemore tune list.txt --trials 50 --model tree,lstm
    """

    source: Annotated[Positional[tuple[str, ...]], arg(metavar="[DATA ...]"), NO_HINT] = ()
    """files, folders, or names (the default), tinyshakespeare, ..."""
    trials: Length = None
    """number of trials"""
    minutes: Minutes = None
    """time for the whole command, the repeats of the best trials included"""
    model: Text = None
    """kinds of models to search, such as tree,lstm (default: those that suit the data)"""
    max_parameters: Length = None
    """maximum number of parameters of a model"""
    max_seconds: RealOrNone = None
    """maximum CPU time of each training in seconds, evaluations excluded (default with --minutes: a share of M)"""
    repeats: Number = 3
    """number of fresh seeds on which the best trials are repeated"""
    seed: Number = 0
    """seed of all trials and of the search; the repeats use the seeds that follow it"""
    folder: Folder = None
    """folder for the runs, the result and the page (default: runs/tune-NAME)"""
    jobs: IntOrAuto = "auto"
    """training runs at a time, one thread each (auto: one per core)"""
    cluster: Annotated[Text, arg(metavar="ADDRESS")] = None
    """train on the workers of this Dask scheduler, such as tcp://192.168.0.5:8786"""
    json: Flag = False
    """print the result as JSON at the end; everything else goes to standard error"""
    reading: OmitArgPrefixes[DataFlags] = field(default_factory=DataFlags)

    def run_command(self, arguments: Sequence[str]) -> int:
        """Search, or continue."""
        from wavemore.runs.find import run_name
        from wavemore.studies.tuning.request import Request
        from wavemore.studies.tuning.tuner import Tuner

        models = () if self.model is None else tuple(name.strip() for name in self.model.split(","))
        request = Request(
            trials=self.trials,
            minutes=self.minutes,
            models=() if models == ("auto",) else models,
            max_parameters=self.max_parameters,
            max_seconds=self.max_seconds,
            seed=self.seed,
            repeats=self.repeats,
            jobs=trainings_at_a_time(self.jobs, self.cluster),
            cluster=self.cluster or "",
        )
        source = source_of(self.source, None)
        corpus, explanation = self.reading.load(source)
        if "-" in source:  # which was kept as a file
            source = (corpus.source,)
        folder = Path(self.folder or f"runs/tune-{run_name(source[0])}")
        words, command = (*source, *data_words(self.reading)), ("wavemore", *arguments)
        tuner = Tuner(request, corpus, folder, words=words, command=command, started=started())
        screen = Screen(stderr=self.json)
        if explanation:
            screen.say(f"data    {explanation}")
        screen.say(f"tuning  {_describe(tuner)}; {folder}")
        if stopped := _run(tuner, screen, command):
            return stopped
        assert tuner.result is not None
        page = _write_page(tuner.result, folder, screen)
        if self.json:
            print_json(tuner.result)
        _show(tuner.result, folder, page, screen)
        return 0


def data_words(flags: DataFlags) -> list[str]:
    """Return the flags of `wavemore train` that read the data in the same way."""
    words = []
    for each in fields(flags):
        value, name = getattr(flags, each.name), each.name.replace("_", "-")
        if isinstance(value, bool):
            words += [] if value == each.default else [f"--{name}" if value else f"--no-{name}"]
        elif value != each.default:
            words += [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]
    return words


def _run(tuner: "Tuner", screen: Screen, command: Sequence[str]) -> int:
    """Run a tuning to its end or to Ctrl-C; return the exit code, 0 at the end."""
    go_on = f"Continue with the same command: {shlex.join(command)}"
    try:
        with interrupts() as interrupted, _display(screen) as show:
            for event in tuner.run():
                show(event)
                if interrupted():
                    break
            else:
                return 0
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; all that was trained is kept. {go_on}") from None
    screen.say("", f"stopped; all that was trained is kept. {go_on}")
    return 128 + interrupted()


@contextmanager
def _display(screen: Screen) -> "Iterator[Callable[[Event], None]]":
    """Show each event as a line and, on a terminal, what is running and how long it will take."""
    from rich.text import Text as RichText

    status = screen.console.status(RichText("the first trials begin")) if screen.live else None

    def show(event: "Event") -> None:
        of = "" if event.total is None else f" of {event.total}"
        left = "" if event.left is None else f", {seconds(event.left)} left"
        if event.message:
            screen.say(f"{event.done}{of}{left}: {event.message}")
        if status is not None:
            status.update(RichText(f"{event.done}{of} done{left}; running: {', '.join(event.running) or 'nothing'}"))

    if status is None:
        yield show
        return
    with status:
        yield show


def _describe(tuner: "Tuner") -> str:
    request, limits = tuner.request, tuner.space.limits
    where = f"workers of {request.cluster}" if request.cluster else f"training runs at a time: {request.jobs}"
    parts = [", ".join(tuner.space.kinds), where]
    if limits.max_parameters is not None:
        parts.append(f"at most {limits.max_parameters:,} parameters")
    if limits.max_seconds is not None:
        parts.append(f"at most {limits.max_seconds:g} s of CPU time per training")
    return "; ".join(parts)


def _write_page(record: "Record", folder: Path, screen: Screen) -> Path | None:
    """Write the page; None without matplotlib."""
    from wavemore.files import write_atomic

    path = folder / "page.html"
    try:
        from wavemore.reports.tune_page import tune_page
    except UsageError as error:
        screen.say(f"no page: {error}")
        return None
    write_atomic(path, tune_page(record).encode("utf-8", "xmlcharrefreplace"))
    return path


def _show(record: "Record", folder: Path, page: Path | None, screen: Screen) -> None:
    from wavemore.studies.tuning.record import answer

    winner = record["finalists"][0]
    screen.say("")
    for sentence in answer(record):
        screen.say(f"- {sentence}")
    screen.say("", "to train the winner again, bit-identically:", f"  {shlex.join(winner['command'])}", "")
    screen.say(f"sample  wavemore sample {shlex.quote(winner['paths'][0])}")
    screen.say(f"runs    wavemore log {shlex.quote(str(folder))}")
    if page is not None:
        screen.say(f"page    {page}")
