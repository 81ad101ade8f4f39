"""`wavemore study`: an experiment file run, resumed and written up."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from wavemore.cli.options import Flag, Number
from wavemore.cli.progress import interrupts
from wavemore.cli.screen import Screen, seconds, table
from wavemore.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """Answer a question by trainings: several seeds, the same tuning for every arm, a page with a verdict.

    Example: wavemore study fusion, or with a file of your own: wavemore study mine.toml
    """

    study: Annotated[Positional[str], arg(metavar="[STUDY]", help_behavior_hint="")] = ""
    """A TOML file, or a study that comes with wavemore; without one: a list of these."""
    folder: Annotated[str, arg(metavar="FOLDER", help_behavior_hint="(default: studies/<its name>)")] = ""
    """Where the runs, the record and the page are kept; the same folder again goes on."""
    data: Annotated[str, arg(metavar="DATA", help_behavior_hint="(default: what the study says)")] = ""
    """Another file or data set than the study's."""
    seeds: Annotated[
        tuple[int, ...], arg(metavar="N [N ...]", help_behavior_hint="(default: what the study says)")
    ] = ()
    """Other seeds than the study's."""
    jobs: Number = 0
    """Trainings at once, one thread each; 0: as many as there are cores."""
    json: Flag = False
    """At the end print the record as JSON; all other words go to standard error."""

    def run_command(self) -> int:
        """Run the study, or go on with it."""
        from wavemore.studies.file import parse_seeds, read_study

        screen = Screen(stderr=self.json)
        if not self.study:
            return self._list(screen)
        if not 0 <= self.jobs <= 1024:
            raise UsageError(f"jobs is {self.jobs}; it must be at least 0 and at most 1024")
        study = read_study(self.study)
        if self.seeds:
            study = replace(study, file=parse_seeds(study.file, self.seeds))
        from wavemore.studies.page import page
        from wavemore.studies.runner import StudyRunner
        from wavemore.studies.write import write_page

        folder = Path(self.folder or f"studies/{study.name}")
        runner = StudyRunner(study, folder, self.data, self.jobs)
        screen.say(study.file.question, style="bold")
        screen.say(
            f"{len(study.arms)} arms, seeds {', '.join(map(str, study.file.seeds))}, {runner.jobs} at once; {folder}"
        )
        began, first = time.monotonic(), -1
        with interrupts() as interrupted:
            for event in runner.run():
                if first < 0 and event.total > 1:
                    first, began = event.done, time.monotonic()
                if event.said:
                    left = ""
                    if event.done > first >= 0:
                        rest = (time.monotonic() - began) / (event.done - first) * (event.total - event.done)
                        left = f", about {seconds(rest)} left" if event.done < event.total else ""
                    screen.say(f"{event.done} of {event.total}{left}: {event.said}")
                if interrupted():
                    screen.say(
                        f"\nstopped; what was trained is kept. The same command goes on: wavemore study {self.study}"
                    )
                    return 128 + interrupted()
        record = runner.record()
        write_page(record, folder / "page.md")
        if self.json:
            print(json.dumps(record, ensure_ascii=False, indent=1))
        screen.say("\n" + page(record).split("## Answer\n\n")[1].split("\n\n##")[0])
        screen.say(f"\npage    {folder / 'page.md'}\nrecord  {folder / 'study.json'}\nruns    wavemore log {folder}")
        return 0

    def _list(self, screen: Screen) -> int:
        from wavemore.studies.file import read_study, shipped

        studies = [read_study(name) for name in shipped()]
        if self.json:
            print(json.dumps([{"name": study.name, "question": study.file.question} for study in studies], indent=1))
            return 0
        rows = [[study.name, str(len(study.arms)), study.file.question] for study in studies]
        screen.say(table(screen, ["study", "arms", "question"], rows, left=("study", "question"), spare=("arms",)))
        return 0
