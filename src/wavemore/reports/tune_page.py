"""The page of a tuning, made from its result alone: the winner, the verdicts, the search, the settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavemore.errors import RunError
from wavemore.html import Html, table, text
from wavemore.plots import Trial, importances, slices, trials_over_time
from wavemore.reports.tags import command, facts, page, paragraph, picture, tiles
from wavemore.studies.file import format_value
from wavemore.studies.record import Record
from wavemore.studies.tuning.record import FILE, answer, mean_text, name_of, read_tuning

MOST_ROWS = 15
"""Trials in the table."""
MOST_SLICES = 12


def tune_folder_page(folder: Path) -> str:
    """Return the page of a finished tuning. Raises `RunError` if its result is missing or damaged."""
    return tune_page(read_tuning(folder), folder / FILE)


def tune_page(record: Record, path: Path = Path(FILE)) -> str:
    """Return the page of a result. Raises `RunError` if it is damaged; `path` is where it was read."""
    try:
        return _page(record)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{path} is damaged ({repr(error)[:200]})"
        raise RunError(f"{reason}; `wavemore tune` makes it again from the runs") from None


def _page(record: Record) -> str:
    data, finalists = record["data"], record["finalists"]
    winner = finalists[0]
    states = [trial["state"] for trial in record["trials"]]
    default = next((each for each in finalists if each["trial"] == 1), None)
    gain = _mean(default) - _mean(winner) if default and default is not winner else None
    numbers = [
        ("val on fresh seeds", f"{_mean(winner):.4f}", "nats per character"),
        ("below the defaults by", "" if gain is None else f"{gain:.4f}", "nats per character"),
        ("parameters", f"{winner['parameters']:,}", ""),
        ("training", f"{winner['train_seconds']:.1f}", "seconds"),
        ("trials", f"{len(states):,}", f"{states.count('pruned'):,} pruned"),
    ]
    lead = [
        paragraph(f"{data['description']}, split {data['split']}; {_seconds(record['seconds'])} in all.", "quiet"),
        tiles([number for number in numbers if number[1]]),
    ]
    sections = [
        ("Result", [*map(paragraph, answer(record)), _finalists(record)]),
        ("Train the winner again", _again(winner)),
        ("The search", [_over_time(record), _trials(record), *_left_out(record)]),
        ("The settings", _settings(record)),
        ("Method", [*map(paragraph, _method(record))]),
    ]
    return page(f"Better settings for {data['name']}", lead, sections)


def _again(winner: Mapping[str, Any]) -> list[Html]:
    """Return how the winner is trained again, if the command is one of ours, and its settings."""
    words = list(map(str, winner["command"]))
    parts = []
    if words[:2] == ["wavemore", "train"]:
        seed = winner["runs"][0]["seed"]
        parts = [
            paragraph(f"This trains {name_of(winner['trial'])} on seed {seed} again, with bit-identical weights:"),
            command(*words),
        ]
    settings = {str(name).replace("_", " "): format_value(value) for name, value in winner["settings"].items()}
    return [*parts, facts(settings)]


def _finalists(record: Record) -> Html:
    header = ["trial", "model", "parameters", "val in the search", "val on fresh seeds", "seeds", "training"]
    rows = [
        [
            text(name_of(each["trial"])),
            text(each["description"]),
            text(f"{each['parameters']:,}"),
            text(_nats(each["search_val"])),
            text(mean_text(each)),
            text(len(each["runs"])),
            text(f"{each['train_seconds']:.1f} s"),
        ]
        for each in record["finalists"]
    ]
    return _wide(table(header, rows, left=(0, 1)))


def _trials(record: Record) -> Html:
    """Return a table of the best trials."""
    finished = sorted((each for each in record["trials"] if each["val_nats"] is not None), key=lambda t: t["val_nats"])
    header = ["trial", "model", "val", "parameters", "training"]
    rows = [
        [
            text(name_of(each["number"])),
            text(each["model"]),
            text(_nats(each["val_nats"])),
            text(f"{each['parameters'] or 0:,}"),
            text(f"{each['train_seconds'] or 0:.1f} s"),
        ]
        for each in finished[:MOST_ROWS]
    ]
    title = (
        "The best trials, by one seed:" if len(finished) > MOST_ROWS else "All trials that were finished, by one seed:"
    )
    return Html(paragraph(title) + _wide(table(header, rows, left=(0, 1))))


def _left_out(record: Record) -> list[Html]:
    """Say how many trials were pruned, and why those that failed did."""
    trials = record["trials"]
    pruned = [each for each in trials if each["state"] == "pruned"]
    failed = [each for each in pruned if each["failed"]]
    parts = []
    if pruned:
        parts.append(
            paragraph(f"{len(pruned)} of {len(trials)} trials were pruned, {len(failed)} after a failure.", "note")
        )
    reasons = dict.fromkeys(each["why"] for each in failed)
    if reasons:
        parts.append(paragraph(f"Failed: {'; '.join(list(reasons)[:5])}", "warning"))
    return parts


def _over_time(record: Record) -> Html:
    trials = [_drawn(each) for each in record["trials"] if _loss(each) is not None]
    description = f"The val loss of {len(trials)} trials in their order"
    caption = (
        "Trials above the upper edge are drawn on it. A pruned trial is shown with its lowest loss before it was "
        "stopped."
    )
    return picture(trials_over_time(trials, int(record["winner"])), description, caption)


def _settings(record: Record) -> list[Html]:
    model, winner = record["importance"]["model"], int(record["winner"])
    own = [each for each in record["trials"] if each["model"] == model and _loss(each) is not None]
    names = list(own[0]["values"]) if own else []
    scales = {name: record["ranges"].get(f"{model}.{name}") for name in names[:MOST_SLICES]}
    values = {str(name): float(value) for name, value in record["importance"]["values"].items()}
    parts = [paragraph(f"Trials of {model}, the winner's kind: {len(own)}.")]
    if values:
        caption = (
            "How much the best quarter of the trials differs from all trials in each setting (PED-ANOVA). It shows "
            "what mattered in this search, not what would matter elsewhere."
        )
        description = "Importance of each setting: " + ", ".join(
            f"{name} {value:.0%}" for name, value in values.items()
        )
        parts.append(picture(importances(values), description, caption))
    else:
        parts.append(paragraph(f"Fewer than ten trials of {model} cannot show which settings mattered.", "note"))
    if scales:
        caption = (
            "decay: learning rate * weight decay * steps per epoch; averaging: steps in the running average of the "
            "weights; length: fraction of the longest training. Hollow: pruned. Circle: the winner."
        )
        drawn = slices([_drawn(each) for each in own], winner, scales)
        parts.append(picture(drawn, f"The val loss against {', '.join(scales)}", caption))
    return parts


def _method(record: Record) -> list[str]:
    search, machine = record["search"], record["environment"]
    limits = [f"at most {search['max_parameters']:,} parameters"] if search["max_parameters"] is not None else []
    if search["seconds"] is not None:
        limits.append(f"as many steps as fit into {search['seconds']:g} CPU-seconds, evaluations not counted")
    within = f", with {' and '.join(limits)}" if limits else ""
    return [
        f"Searched: {', '.join(search['models'])}{within}. The first trial has the settings of `wavemore train`, "
        "within the limits; a few others are fixed starting points, and Optuna's TPE sampler chooses the rest. All "
        "trials have the same seed. A trial is pruned if its loss would stay above that of the third-best trial even "
        "if it fell further from there on than the losses of nine in ten finished trials of the same kind did.",
        "The best trials and the defaults are trained again on seeds that the search did not use. The verdicts are "
        "t-tests at the 5 % level that add the errors of the seeds and of the val lines, their p-values adjusted by "
        "Holm's method; the intervals are not adjusted. The settings were chosen on val, so val is a little too good "
        "even on fresh seeds; nothing has looked at test.",
        f"{machine['cpu']}; torch {machine['torch']}; wavemore {machine['wavemore']}; {record['finished']}.",
    ]


def _drawn(trial: Mapping[str, Any]) -> Trial:
    values = {str(name): value for name, value in trial["values"].items()}
    loss = _loss(trial)
    assert loss is not None
    return Trial(int(trial["number"]), str(trial["model"]), loss, trial["val_nats"] is None, values)


def _loss(trial: Mapping[str, Any]) -> float | None:
    if trial["val_nats"] is not None:
        return float(trial["val_nats"])
    return min(map(float, trial["losses"].values()), default=None)


def _mean(finalist: Mapping[str, Any]) -> float:
    return sum(float(run["val_nats"]) for run in finalist["runs"]) / len(finalist["runs"])


def _nats(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _seconds(value: float) -> str:
    return f"{value:.0f} seconds" if value < 120 else f"{value / 60:.0f} minutes"


def _wide(content: str) -> Html:
    return Html(f'<div class="wide" tabindex="0">{content}</div>\n')
