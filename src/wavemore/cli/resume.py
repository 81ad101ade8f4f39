"""`wavemore train --resume`: a stopped run is continued with its own settings."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wavemore.cli.options import option_names
from wavemore.cli.screen import Screen, losses, print_json
from wavemore.errors import RunError, UsageError

if TYPE_CHECKING:
    from wavemore.nn.ranks import Ranks
    from wavemore.runs.run import Run

ALLOWED = ("--resume", "--data", "--tensorboard", "--json")


def resume(name: str, data: str, arguments: Sequence[str], ranks: "Ranks", *, tensorboard: bool, as_json: bool) -> int:
    """Continue a run, or start it if it has not begun yet; `data` is where its data is now.

    Raises `UsageError` for any other flag: the run keeps its settings.
    """
    from wavemore.runs.describe import describe_training
    from wavemore.runs.find import find_run
    from wavemore.runs.ranks import received_run, send_run, together

    for option in option_names(arguments):
        if option not in ALLOWED:
            raise UsageError(f"--resume continues a run with its own settings; leave {option} out, or train a new run")
    if Path(name).is_file():
        raise UsageError(f"--resume continues a run, and {name} is a file; name the run's folder, or give no name")
    screen = Screen(stderr=as_json)
    if ranks.rank:
        with together(ranks):
            pass  # rank 0 looks for the run
        with received_run(ranks) as own:
            return 0 if own.summary() else _continued(own, screen, ranks, tensorboard=tensorboard, as_json=as_json)
    with ExitStack() as stack:
        with together(ranks):
            run = find_run(name, data)
            if not run.replacement.exists():
                run.config  # noqa: B018 (raises if the folder holds no run)
            stack.enter_context(run.lock())
            if run.replacement.exists():
                run = run.replacement
            config, summary, failure = run.config, run.summary(), run.failure()
            if failure is not None:
                raise RunError(
                    f"{run.path} has failed, and would fail again: {failure}; train again with other settings"
                )
            if summary is not None and data:
                run.corpus()  # raises for other data
            if summary is not None and tensorboard:
                raise UsageError(f"{run.path} is finished; leave --tensorboard out, or train a new run")
        send_run(ranks, run)
        if summary is None:
            return _continued(run, screen, ranks, tensorboard=tensorboard, as_json=as_json)
    screen.say(f"{run.path} is finished ({describe_training(config)}; val {losses(summary.val_nats)})")
    if as_json:
        print_json({"run": str(run.path), **asdict(summary)})
    return 0


def _continued(run: "Run", screen: Screen, ranks: "Ranks", *, tensorboard: bool, as_json: bool) -> int:
    """Read the data again, and train on."""
    from wavemore.cli.training import train_run
    from wavemore.runs.environment import use_threads
    from wavemore.runs.ranks import together
    from wavemore.runs.teachers import check_teachers

    with together(ranks):
        corpus = run.corpus()
        run.found_data(corpus.source)
        check_teachers(run.config, corpus)
    use_threads(run.config.threads)
    return train_run(run, corpus, screen, tensorboard=tensorboard, as_json=as_json)
