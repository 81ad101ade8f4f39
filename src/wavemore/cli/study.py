"""`wavemore study`: a question answered by many training runs, which can be stopped and continued."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from wavemore.cli.options import File, Flag, Folder, IntOrAuto, Ints, Text, trainings_at_a_time
from wavemore.cli.progress import interrupts
from wavemore.cli.screen import Screen, print_json, seconds, table

if TYPE_CHECKING:
    from wavemore.studies.runner import Event


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """Answer a question with training runs: several seeds, equal tuning.

    It writes a page with the verdict. If stopped, the same command continues it.

    Examples:
      wavemore study fusion
      wavemore study mine.toml
    """

    study: Annotated[Positional[Text], arg(metavar="[STUDY]")] = None
    """a TOML file, or a study that comes with wavemore (default: list these)"""
    folder: Folder = None
    """folder for the runs, the record and the page (default: studies/NAME)"""
    data: Annotated[File, arg(metavar="DATA")] = None
    """a file or data set other than the study's"""
    seeds: Ints = None
    """seeds other than the study's"""
    tuned: Folder = None
    """folder of an earlier run of this study: use its tuned settings and steps, without tuning again"""
    jobs: IntOrAuto = "auto"
    """training runs at a time, one thread each (auto: one per core)"""
    cluster: Annotated[Text, arg(metavar="ADDRESS")] = None
    """train on the workers of this Dask scheduler, such as tcp://192.168.0.5:8786"""
    json: Flag = False
    """print the record as JSON at the end; everything else goes to standard error"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Run the study, or continue it."""
        from wavemore.studies.file import read_study

        screen = Screen(stderr=self.json)
        if self.study is None:
            return self._list(screen)
        jobs = trainings_at_a_time(self.jobs, self.cluster)
        study = read_study(self.study)
        if self.seeds is not None:
            study = study.with_seeds(self.seeds)
        from wavemore.studies.page import write_page
        from wavemore.studies.record import PAGE, answer, read_record
        from wavemore.studies.runner import StudyRunner

        folder = Path(self.folder or f"studies/{study.name}")
        tuned = read_record(Path(self.tuned)) if self.tuned else None
        command = ("wavemore", *arguments)
        runner = StudyRunner(study, folder, self.data or "", jobs, tuned, command, self.cluster or "")
        screen.say(study.file.question, style="bold")
        seeds = ", ".join(map(str, study.file.seeds))
        where = f"workers of {self.cluster}" if self.cluster else f"training runs at a time: {runner.jobs}"
        screen.say(f"{len(study.arms)} arms, seeds {seeds}, {where}; {folder}")
        show = _event_printer(screen)
        with interrupts() as interrupted:
            for event in runner.run():
                show(event)
                if interrupted():
                    screen.say(
                        "",
                        "stopped; all finished training runs are kept. Continue with the same command: "
                        + shlex.join(command),
                    )
                    return 128 + interrupted()
        record = runner.record()
        write_page(record, folder / PAGE)
        if self.json:
            print_json(record)
        screen.say("")
        for sentence in answer(record):
            screen.say(f"- {sentence}")
        screen.say("", f"page    {folder / PAGE}", f"record  {folder / 'study.json'}")
        screen.say(f"runs    wavemore log {folder}")
        return 0

    def _list(self, screen: Screen) -> int:
        from wavemore.studies.file import read_study, shipped_studies

        studies = [read_study(name) for name in shipped_studies()]
        if self.json:
            print_json([{"name": study.name, "question": study.file.question} for study in studies])
        else:
            rows = [[study.name, str(len(study.arms)), study.file.question] for study in studies]
            screen.say(table(screen, ["study", "arms", "question"], rows, left=("study", "question"), spare=("arms",)))
        return 0


def _event_printer(screen: Screen) -> "Callable[[Event], None]":
    """Return a function that prints each event with the time that is left, measured from the first training on."""
    start = first = last = -1.0

    def show(event: "Event") -> None:
        nonlocal start, first, last
        if first < 0 and event.total > 1:
            first, start = event.done, time.monotonic()
        elif first >= 0 and not event.message:
            first += max(0, event.done - last)  # they were finished before this command
        last = max(last, event.done)
        if not event.message:
            return
        left = ""
        if 0 <= first < event.done < event.total:
            per_training = (time.monotonic() - start) / (event.done - first)
            left = f", about {seconds(per_training * (event.total - event.done))} left"
        screen.say(f"{event.done} of {event.total}{left}: {event.message}")

    return show
