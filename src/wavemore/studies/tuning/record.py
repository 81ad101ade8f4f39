"""`tune.json`, the record of a finished tuning, and what it says in sentences. Nothing here needs Optuna."""

from pathlib import Path

import msgspec

from wavemore.comparison.statistics import mean_std
from wavemore.comparison.verdict import Outcome, p_text
from wavemore.studies.record import Record, read_finished

FILE, FORMAT = "tune.json", 1


def read_tuning(folder: Path) -> Record:
    """Read the result of the tuning in a folder. Raises `RunError` if there is none, or if it is damaged."""
    return read_finished(folder / FILE, FORMAT, "tuning", "tune")


def answer(record: Record) -> list[str]:
    """Return the result in sentences."""
    finalists = record["finalists"]
    winner = finalists[0]
    parts = [
        f"Lowest val loss on fresh seeds: {name_of(winner['trial'])}, {winner['description']}, "
        f"{mean_text(winner)} over {_seeds_text(winner)}, {winner['parameters']:,} parameters, "
        f"{winner['train_seconds']:.1f} s of training."
    ]
    parts += [verdict(winner, other) for other in record["comparisons"]]
    if sum(each["val_nats"] is not None for each in record["trials"]) == 1:
        parts.append("No other trial was trained to its end.")
    else:
        if winner["trial"] == 1:
            parts.append("Nothing that was tried is better than the defaults.")
        parts += curse_text(record)
    return [part[:1].upper() + part[1:] for part in parts]


def name_of(number: int) -> str:
    """Return how a trial is called: the first one has the default settings."""
    return "the defaults (trial 1)" if number == 1 else f"trial {number}"


def verdict(winner: Record, comparison: Record) -> str:
    """Say in a sentence whether the winner is better than another finalist."""
    outcome = msgspec.convert(comparison["outcome"], Outcome)
    names = f"{name_of(winner['trial'])} and {name_of(comparison['trial'])}"
    gain = -outcome.difference
    if outcome.interval is None or outcome.p is None:
        return (
            f"{names}: no verdict, as it needs at least two repeats of each, and 20 distinct val lines or 2,000 "
            f"characters of a text (difference {gain:.4f} nats per character)."
        )
    low, high = sorted((-outcome.interval.low, -outcome.interval.high))
    p = comparison["p"]
    details = f"95 % interval {low:+.4f} to {high:+.4f}, {p_text(p)}"
    if outcome.winner(p) == "b":
        better = f"{name_of(winner['trial'])} is better than {name_of(comparison['trial'])} by {gain:.4f}"
        return f"{better} nats per character ({details}, {outcome.seeds_text})."
    return f"{names}: no significant difference ({gain:+.4f} nats per character, {details}, {outcome.seeds_text})."


def curse_text(record: Record) -> list[str]:
    """Say in numbers how much too good the search made its best trial look."""
    curse = record["curse"]
    if curse is None:
        return []
    search, fresh = curse["search"], curse["fresh"]
    too_good = f"made it look {fresh - search:.4f} too good" if fresh > search else "did not make it look too good"
    text = (
        f"Winner's curse: the lowest val loss of the search is {search:.4f}, of {name_of(curse['trial'])}; on fresh "
        f"seeds the same settings have {fresh:.4f}, so the search {too_good}."
    )
    number, of_repeats = len(record["finalists"]), curse["of_repeats"]
    if number > 1:
        size = "look too good: two repeats of each would show by how much"
        size = size if of_repeats is None else f"look up to {of_repeats:.4f} too good"
        text += f" The winner is the best of {number} on fresh seeds, which can make it {size}."
    return [text]


def mean_text(finalist: Record) -> str:
    """Return the mean and the standard deviation of a finalist's repeats."""
    return str(mean_std([run["val_nats"] for run in finalist["runs"]]))


def _seeds_text(finalist: Record) -> str:
    seeds = [str(run["seed"]) for run in finalist["runs"]]
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(seeds)}"
