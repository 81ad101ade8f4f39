"""From the record of a study to a page of Markdown and its figures: nothing here but what the record says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from wavemore.comparison.statistics import LEVEL, SeedsTest, Spread, holm, spread, welch
from wavemore.studies.file import words

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """An arm against the one that it is compared with."""

    arm: str
    base: str
    test: SeedsTest | None
    """None where one of them has a single seed that did not fail."""
    p: float
    """Adjusted for all comparisons of the study."""
    seeds: tuple[int, int]

    @property
    def verdict(self) -> str:
        """better, worse or not shown."""
        if self.test is None or self.p >= 1 - LEVEL:
            return "not shown"
        return "better" if self.test.difference < 0 else "worse"

    def __str__(self) -> str:
        if self.test is None:
            return f"{self.arm} against {self.base}: not shown, it takes two seeds or more each."
        interval = f"95 % interval {signed(-self.test.high)} to {signed(-self.test.low)}"
        one, other = self.seeds
        seeds = f"{one} seeds each" if one == other else f"{one} and {other} seeds"
        if self.verdict == "not shown":
            gain = f"gain {signed(-self.test.difference)} nats, {interval}, {seeds}"
            return f"{self.arm} against {self.base}: not shown ({gain})."
        by = f"by {abs(self.test.difference):.4f} nats ({interval}, {seeds})"
        return f"{self.arm} is {self.verdict} than {self.base} {by}."


def signed(nats: float) -> str:
    """A difference with its sign; what is nothing has none to speak of.

    >>> signed(0.01), signed(-0.00001)
    ('+0.0100', '+0.0000')
    """
    return f"{round(nats, 4) + 0.0:+.4f}"


def values(arm: Mapping[str, Any], key: str) -> list[float]:
    """A figure of every seed of an arm that did not fail."""
    return [run[key] for run in arm["runs"] if run.get(key) is not None]


def comparisons(record: Record, key: str = "val_nats") -> dict[str, Comparison]:
    """Each arm against its base, by the arm's name; the p-values are adjusted for their number."""
    arms = {arm["name"]: arm for arm in record["arms"]}
    pairs = [(arm, arms[arm["against"]]) for arm in record["arms"] if arm["against"] is not None]
    tests = [_welch(values(base, key), values(arm, key)) for arm, base in pairs]
    adjusted = iter(holm([test.p for test in tests if test is not None]))
    return {
        arm["name"]: Comparison(
            arm["name"],
            base["name"],
            test,
            next(adjusted) if test else 1.0,
            (len(values(arm, key)), len(values(base, key))),
        )
        for (arm, base), test in zip(pairs, tests, strict=True)
    }


def _welch(a: Sequence[float], b: Sequence[float]) -> SeedsTest | None:
    return welch(a, b) if a and b else None


def page(record: Record, figures: Sequence[str] = ()) -> str:
    """The study as Markdown; `figures` are the addresses of its pictures, as seen from the page."""
    machine = record["environment"]
    parts = [
        f"# {record['question']}",
        f"<!-- Made from the record of `wavemore study {record['name']}`; do not edit. -->",
    ]
    if record["expected"]:
        parts.append(f"**Expected before it was run:** {record['expected']}")
    parts += ["## Answer", _answer(record), *(f"![{record['question']}]({address})" for address in figures)]
    parts += ["## Results", _results(record)]
    if len({arm.get("model", {}).get("name") for arm in record["arms"]}) > 1:
        parts += ["## Models", _models(record)]
    if "memory" in record["measure"]:
        parts += ["## Memory", _memory(record)]
    parts += ["## Tuning", _tuning(record)]
    parts += [
        "## How it was measured",
        f"{_measured(record)} Each verdict is Welch's t-test over the seeds at 5 %, its p-value adjusted after Holm "
        "for all comparisons of this page; the intervals are of each difference alone. A gain above 0 is a lower loss. "
        "The state with the best val loss of each run is kept, the same for all arms.",
        f"{machine['cpu']}, {_at_once(record['jobs'])}; torch {machine['torch']}, commit "
        f"{_commits(record)}; {record['training_seconds']:,.0f} s of training in all.",
    ]
    return "\n\n".join(parts) + "\n"


def _measured(record: Record) -> str:
    """The data and the losses."""
    data, seeds = record["data"], ", ".join(map(str, record["seeds"]))
    if is_text(record):
        return (
            f"`wavemore study {record['name']}` on {data['name']}, a continuous text, the first "
            f"{100 * data['share']:g} % of it train: {data['train_targets']:,} train and {data['val_targets']:,} val "
            "characters. Losses are nats per character, exact, over the whole val part, each character with all that "
            f"the model sees before it; bits are nats by ln 2; mean ± standard deviation over seeds {seeds}. The train "
            "loss is that of the last train characters, as many as are val, 500,000 at most."
        )
    return (
        f"`wavemore study {record['name']}` on {data['name']}, {data['split']} split: {data['train_lines']:,} train "
        f"and {data['val_lines']:,} val lines. Losses are nats per character, exact, the end of a line counted as one; "
        f"mean ± standard deviation over seeds {seeds}. Leak-free: on the val lines that train does not hold, "
        f"{data['leak_free_val_targets']:,} of {data['val_targets']:,} characters."
    )


def is_text(record: Record) -> bool:
    """Whether the study is of a continuous text; else it is of a list."""
    return bool(record["data"].get("text") == "stream")


def _at_once(jobs: int) -> str:
    return "one training at a time, one thread" if jobs == 1 else f"{jobs} trainings at once, one thread each"


def _commits(record: Record) -> str:
    """What the runs were trained by; a study that was interrupted may have been updated in between."""
    found = dict.fromkeys(run["commit"] for arm in record["arms"] for run in arm["runs"] if run.get("commit"))
    return ", ".join(found) or "unknown"


def _answer(record: Record) -> str:
    found = comparisons(record)
    said = [f"- {comparison}" for comparison in found.values()]
    for group in groups(record):
        arms = [arm for arm in record["arms"] if arm["group"] == group and values(arm, "val_nats")]
        if arms and len(groups(record)) <= 6:
            best = min(arms, key=lambda arm: spread(values(arm, "val_nats")).mean)
            where = f"Lowest of {group}" if group else "Lowest of all"
            said.append(f"- {where}: {best['name']}, val {spread(values(best, 'val_nats'))}.")
    return "\n".join(said)


def groups(record: Record) -> list[str]:
    """The groups of arms, in the order of the file."""
    return list(dict.fromkeys(arm["group"] for arm in record["arms"]))


def _results(record: Record) -> str:
    """A table a group of arms."""
    tables = [
        f"### {sentence(group)}\n\n{_results_of(record, group)}" if group else _results_of(record, group)
        for group in groups(record)
    ]
    said = "\n\n".join(tables)
    failed = [
        f"{arm['name']}, seed {run['seed']}: {run['failed']}"
        for arm in record["arms"]
        for run in arm["runs"]
        if "failed" in run
    ]
    if failed:
        said += "\n\nFailed: " + "; ".join(failed) + "."
    if record["source"]:
        said += f"\n\nPublished figures: {record['source']}"
    return said


def sentence(words: str) -> str:
    """The same with a capital at its beginning.

    >>> sentence("larger BatchNorm")
    'Larger BatchNorm'
    """
    return words[:1].upper() + words[1:]


def _results_of(record: Record, group: str) -> str:
    arms = [arm for arm in record["arms"] if arm["group"] == group]
    published = any(arm["published"] for arm in arms)
    gaps, text = "mode_gap" in record["measure"], is_text(record)
    header = ["arm", "parameters", "epochs", "train", "val", "bits" if text else "leak-free val"]
    header += ["published train", "published val", "val less published"] if published else []
    header += ["gain", "verdict"]
    header += ["train-mode less eval-mode loss"] if gaps else []
    header += ["training"]
    found = comparisons(record)
    rows = []
    for arm in arms:
        row = [arm["name"], _parameters(arm), f"{arm['epochs']:g}"]
        row += [_spread(arm, "train_nats"), _spread(arm, "val_nats")]
        row += [_bits(arm) if text else _spread(arm, "leak_free_val_nats")]
        row += _published(arm) if published else []
        row += _gain(found.get(arm["name"]))
        row += [_spread(arm, "mode_gap")] if gaps else []
        times = values(arm, "seconds")
        rows.append([*row, f"{spread(times).mean:.1f} s" if times else ""])
    return table(header, rows)


def _models(record: Record) -> str:
    """What each arm was, where they are different models."""
    rows = [[arm["name"], arm["model"]["name"], arm.get("words", "")] for arm in record["arms"]]
    said = table(["arm", "model", ""], rows)
    if any(row[1] == "ngram" for row in rows):
        said += (
            "\n\nAn n-gram is counted, not trained: it takes the time that it takes, has as many parameters as n-grams "
            "were found, and is the same for every seed."
        )
    return said


def _bits(arm: Mapping[str, Any]) -> str:
    """The val loss in bits per character."""
    known = values(arm, "val_nats")
    return f"{spread(known).mean / log(2):.4f}" if known else ""


def _parameters(arm: Mapping[str, Any]) -> str:
    known = values(arm, "parameters")
    return f"{known[0]:,}" if known else ""


def _spread(arm: Mapping[str, Any], key: str) -> str:
    known = values(arm, key)
    return str(spread(known)) if known else "failed" if key == "val_nats" else ""


def _published(arm: Mapping[str, Any]) -> list[str]:
    published, known = arm["published"], values(arm, "val_nats")
    if not published:
        return ["", "", ""]
    train = "" if published["train"] is None else f"{published['train']:.3f}"
    less = f"{signed(spread(known).mean - published['val'])}" if known else ""
    return [train, f"{published['val']:.3f}", less]


def _gain(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["", ""]
    if comparison.test is None:
        return ["", comparison.verdict]
    test = comparison.test
    return [f"{signed(-test.difference)} ({signed(-test.high)} to {signed(-test.low)})", comparison.verdict]


def _memory(record: Record) -> str:
    """How much of each gain is gone on lines that train does not hold."""
    arms = {arm["name"]: arm for arm in record["arms"]}
    rows = []
    for name, comparison in comparisons(record).items():
        arm, base = arms[name], arms[comparison.base]
        free = _welch(values(base, "leak_free_val_nats"), values(arm, "leak_free_val_nats"))
        excess = [
            [
                val - leak_free
                for val, leak_free in zip(values(one, "val_nats"), values(one, "leak_free_val_nats"), strict=True)
            ]
            for one in (base, arm)
        ]
        memory = _welch(*excess)
        if comparison.test is None or free is None or memory is None:
            continue
        gain, part = -comparison.test.difference, -memory.difference
        share = f"{100 * part / gain:.0f} %" if comparison.verdict == "better" else "no gain shown"
        rows.append(
            [
                f"{name} against {comparison.base}",
                f"{signed(gain)}",
                f"{signed(-free.difference)}",
                f"{signed(part)} ({signed(-memory.high)} to {signed(-memory.low)})",
                share,
            ]
        )
    data = record["data"]
    leaked = data["val_targets"] - data["leak_free_val_targets"]
    said = (
        f"{leaked:,} of {data['val_targets']:,} val characters are in lines that train holds too. What a gain on val "
        "has more than the gain on the other lines comes from these: memory of lines that were trained on, or lines "
        "that are easier to learn. Intervals of 95 %."
    )
    header = ["", "gain on val", "gain on leak-free val", "difference: memory", "share of the gain"]
    return f"{said}\n\n{table(header, rows)}"


def _excess(arm: Mapping[str, Any]) -> list[float]:
    """Of each seed, the val loss less the leak-free one."""
    pairs = zip(values(arm, "val_nats"), values(arm, "leak_free_val_nats"), strict=True)
    return [val - leak_free for val, leak_free in pairs]


def _tuning(record: Record) -> str:
    tuned = [arm for arm in record["arms"] if arm["tries"]]
    if not tuned:
        return "Nothing was tuned for this study: the settings are those of its file."
    seeds = ", ".join(map(str, record["tune_seeds"]))
    said = f"Each arm tried {len(tuned[0]['tries'])} combinations on seed {seeds} and kept the one with the lowest val."
    rows = []
    for arm in tuned:
        tried = [one["val_nats"] for one in arm["tries"] if one["val_nats"] is not None]
        failed = len(arm["tries"]) - len(tried)
        kept = ", ".join(f"{key.replace('_', ' ')} {words(value)}" for key, value in arm["tuned"].items())
        edges = ", ".join(key.replace("_", " ") for key in _at_the_edge(arm))
        rows.append([arm["name"], kept, f"{min(tried):.4f}", f"{max(tried):.4f}", str(failed or ""), edges])
    header = ["arm", "kept", "lowest val", "highest val", "failed", "at the edge of what was tried"]
    return f"{said}\n\n{table(header, rows)}"


def _at_the_edge(arm: Mapping[str, Any]) -> list[str]:
    """The tuned settings whose best value is the least or the greatest that was tried, of three or more."""
    found = []
    for key, value in arm["tuned"].items():
        tried = sorted({one["settings"][key] for one in arm["tries"] if isinstance(value, int | float)})
        if len(tried) > 2 and value in (tried[0], tried[-1]):
            found.append(key)
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [header, *rows]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in lines]
    return "\n".join([f"| {cells[0]} |", "|" + "---|" * len(header), *(f"| {row} |" for row in cells[1:])])


def spreads(record: Record, key: str = "val_nats") -> dict[str, Spread]:
    """Mean and deviation of each arm that has a figure."""
    return {arm["name"]: spread(values(arm, key)) for arm in record["arms"] if values(arm, key)}
