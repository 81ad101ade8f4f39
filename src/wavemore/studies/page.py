"""The page of a study in Markdown, and its figures, made from the record alone."""

from collections.abc import Collection, Mapping, Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavemore.comparison.statistics import half_interval, mean_std
from wavemore.comparison.verdict import Outcome
from wavemore.errors import UsageError
from wavemore.files import write_atomic
from wavemore.markdown import escape, markdown_table
from wavemore.signs import visible
from wavemore.studies.file import format_value, slug
from wavemore.studies.record import Record, answer, groups, interval, signed, values, verdicts
from wavemore.text.parts import MAX_BLOCKS

if TYPE_CHECKING:
    from wavemore.plots import Figure


def write_page(record: Record, path: Path) -> None:
    """Write the page to `path` and its figures beside it; without matplotlib, the page says why it has none."""
    try:
        drawn = pictures(record)
    except UsageError as error:
        write_atomic(path, f"{page(record)}\nNo pictures: {error}\n".encode())
        return
    for name, content in drawn.items():
        write_atomic(path.parent / name, content)
    write_atomic(path, page(record, list(drawn)).encode())


def pictures(record: Record) -> dict[str, bytes]:
    """Return the figures as SVG by file name; they adapt to light and dark pages."""
    from wavemore.plots import to_svg

    return {f"{name}.svg": to_svg(figure, page="any") for name, figure in figures(record).items()}


def figures(record: Record) -> dict[str, "Figure"]:
    """Draw one figure per group of arms: the loss of each seed, the mean and its interval. Keyed by file name."""
    from wavemore.plots import Arm, arms

    drawn = {}
    for number, group in enumerate(groups(record).values(), start=1):
        # Published losses are those of val.
        split = "val" if any(arm["published"] for arm in group) else "test"
        finished = [(arm, nats) for arm in group if (nats := values(arm, f"{split}_nats"))]
        if finished:
            rows = [Arm(arm["name"], n, (arm["published"] or {}).get("val"), half_interval(n)) for arm, n in finished]
            drawn[f"{slug(record['name'])}-{number}"] = arms(rows, split=split)
    return drawn


def page(record: Record, figures: Sequence[str] = ()) -> str:
    """Write the study as Markdown; `figures` are the addresses of its pictures, relative to the page."""
    question = escape(record["question"])
    parts = [
        f"# {question}",
        f"<!-- Generated from the record of `wavemore study {escape(record['name'])}`; do not edit. -->",
    ]
    if record["expected"]:
        parts.append(f"**Expected before it was run:** {escape(record['expected'])}")
    parts += ["## Answer", "\n".join(f"- {escape(sentence)}" for sentence in answer(record))]
    parts += [f"![{question}]({address})" for address in figures]
    parts += ["## Results", *_results(record)]
    if len({arm.get("model", {}).get("name") for arm in record["arms"]}) > 1:
        parts += ["## Models", *_models(record)]
    if "memorisation" in record["measure"]:
        parts += ["## Memorisation", *_memorisation(record)]
    parts += ["## Tuning", *_tuning(record), "## Method", *_method(record)]
    return visible("\n\n".join(parts), keep="\n") + "\n"


def _results(record: Record) -> list[str]:
    """One table per group of arms, then the failures and the source of published losses."""
    parts = []
    for group, arms in groups(record).items():
        if group:
            parts.append(f"### {escape(group[:1].upper() + group[1:])}")
        parts.append(_results_table(record, arms))
    failures = [
        f"{arm['name']}, seed {run['seed']}: {run['failed']}"
        for arm in record["arms"]
        for run in arm["runs"]
        if "failed" in run
    ]
    if failures:
        parts.append(f"Failed: {escape('; '.join(failures))}.")
    if record["source"]:
        parts.append(f"Published losses: {escape(record['source'])}")
    return parts


def _results_table(record: Record, arms: Sequence[Mapping[str, Any]]) -> str:
    all_verdicts = verdicts(record)
    rows = []
    for arm in arms:
        parameters, seconds, nats = values(arm, "parameters"), values(arm, "seconds"), values(arm, "test_nats")
        row = {
            "arm": escape(arm["name"]),
            "parameters": f"{parameters[0]:,}" if parameters else "",
            "epochs": f"{arm['epochs']:g}",
            "train": _mean_std(arm, "train_nats"),
            "val": _mean_std(arm, "val_nats") or "failed",
            "test": _mean_std(arm, "test_nats"),
        }
        if record["data"].get("format") == "text":
            row["test, bits per character"] = f"{mean_std(nats).mean / log(2):.4f}" if nats else ""
        elif any(values(arm, "leak_free_test_nats") for arm in arms):
            row["leak-free test"] = _mean_std(arm, "leak_free_test_nats")
        if any(arm["published"] for arm in arms):
            row |= _published(arm)
        verdict = all_verdicts.get(arm["name"])
        row["gain"] = _gain(verdict.outcome) if verdict and verdict.outcome else ""
        row["verdict"] = verdict.verdict if verdict else ""
        if "mode_gap" in record["measure"]:
            row["loss in training mode minus eval mode"] = _mean_std(arm, "mode_gap")
        row["training"] = f"{mean_std(seconds).mean:.1f} s" if seconds else ""
        rows.append(row)
    return _table(rows, text=("arm", "verdict"))


def _gain(outcome: Outcome) -> str:
    gain = signed(-outcome.difference)
    return f"{gain} ({interval(outcome.interval)})" if outcome.interval else gain


def _published(arm: Mapping[str, Any]) -> dict[str, str]:
    published, nats = arm["published"] or {}, values(arm, "val_nats")
    train, val = published.get("train"), published.get("val")
    return {
        "published train": "" if train is None else f"{train:.3f}",
        "published val": "" if val is None else f"{val:.3f}",
        "val minus published": "" if val is None or not nats else signed(mean_std(nats).mean - val),
    }


def _models(record: Record) -> list[str]:
    rows = [
        {"arm": escape(arm["name"]), "model": arm["model"]["name"], "settings": escape(arm["description"])}
        for arm in record["arms"]
    ]
    parts = [_table(rows, text=("arm", "model", "settings"))]
    if any(row["model"] == "ngram" for row in rows):
        parts.append(
            "An n-gram model is counted, not trained: it has no time budget, has one parameter per n-gram of the text, "
            "and is the same for every seed."
        )
    return parts


def _memorisation(record: Record) -> list[str]:
    """How much of each gain is lost on lines that do not occur in train."""
    rows = []
    for name, verdict in verdicts(record).items():
        outcome, leak_free, excess = verdict.outcome, verdict.leak_free, verdict.excess
        if outcome is None or leak_free is None or excess is None:
            continue
        fraction = excess.difference / outcome.difference if verdict.verdict == "better" else None
        rows.append(
            {
                "arm and baseline": escape(f"{name} and {verdict.baseline}"),
                "gain on test": signed(-outcome.difference),
                "gain on leak-free test": signed(-leak_free.difference),
                "difference": _gain(excess),
                "share of the gain": "no significant gain" if fraction is None else f"{100 * fraction:.0f} %",
            }
        )
    total, leak_free_targets = record["data"]["test_targets"], record["data"]["leak_free_test_targets"]
    return [
        f"{total - leak_free_targets:,} of {total:,} test characters are in lines that also occur in train. If a gain "
        "is larger on test than on leak-free test, the difference comes from these lines: they were memorised, or are "
        "easier to predict. The intervals are 95 % intervals.",
        *([_table(rows, text=("arm and baseline",))] if rows else []),
    ]


def _tuning(record: Record) -> list[str]:
    arms = [arm for arm in record["arms"] if arm["trials"]]
    if not arms:
        return ["Nothing was tuned for this study: the settings are those of its file."]
    rows = []
    for arm in arms:
        nats = [trial["val_nats"] for trial in arm["trials"] if trial["val_nats"] is not None]
        tuned = [f"{key.replace('_', ' ')} {format_value(value)}" for key, value in arm["tuned"].items()]
        rows.append(
            {
                "arm": escape(arm["name"]),
                "chosen": ", ".join(tuned),
                "lowest val": f"{min(nats):.4f}",
                "highest val": f"{max(nats):.4f}",
                "failed": str(len(arm["trials"]) - len(nats) or ""),
                "at the edge of its range": _at_the_edge(arm),
            }
        )
    count, seeds = len(arms[0]["trials"]), ", ".join(map(str, record["tune_seeds"]))
    return [
        f"Each arm tried {count} combinations on seed {seeds} and uses the one with the lowest val loss.",
        _table(rows, text=("arm", "chosen", "at the edge of its range")),
    ]


def _at_the_edge(arm: Mapping[str, Any]) -> str:
    """The tuned settings whose chosen value is the lowest or highest of three or more."""
    numbers = {key: value for key, value in arm["tuned"].items() if isinstance(value, int | float)}
    tried = {key: {trial["settings"][key] for trial in arm["trials"]} for key in numbers}
    edges = [key for key, n in numbers.items() if len(tried[key]) > 2 and n in (min(tried[key]), max(tried[key]))]
    return ", ".join(edges).replace("_", " ")


def _method(record: Record) -> list[str]:
    machine, jobs = record["environment"], record["jobs"]
    parallel = "one training at a time, one thread" if jobs == 1 else f"{jobs} training runs at once, one thread each"
    # An interrupted study may have been continued with a newer version.
    runs = [run for arm in record["arms"] for run in arm["runs"]]
    commits = ", ".join(dict.fromkeys(run["commit"] for run in runs if run.get("commit")))
    processors = ", ".join(dict.fromkeys(run.get("cpu") or machine["cpu"] for run in runs if "failed" not in run))
    return [
        f"{_data(record)} Losses are exact, in nats per character: mean ± standard deviation over seeds "
        f"{', '.join(map(str, record['seeds']))}.",
        "A gain is the test loss of the baseline minus that of the arm, so above 0 the arm is better. Each verdict is "
        f"a t-test at the 5 % level that adds the errors of the seeds and of the {_units(record)}, its p-value "
        "adjusted by Holm's method for all comparisons on this page; the intervals are not adjusted. Settings and "
        "checkpoints are chosen on val; nothing is chosen on test.",
        f"{escape(processors or machine['cpu'])}, {parallel}; torch {machine['torch']}, commit {commits or 'unknown'}; "
        f"{record['training_seconds']:,.0f} s of training in total.",
    ]


def _units(record: Record) -> str:
    if record["data"].get("format") == "text":
        return f"{MAX_BLOCKS} blocks into which the test text is cut"
    return "test lines"


def _data(record: Record) -> str:
    data, command = record["data"], f"`wavemore study {escape(record['name'])}`"
    if data.get("format") == "text":
        return (
            f"{command} on {escape(data['name'])}, a continuous text whose first {100 * data['train_fraction']:g} % "
            f"are train, half of the rest val and half test: {data['train_targets']:,}, {data['val_targets']:,} and "
            f"{data['test_targets']:,} characters. The val and test losses are those of the whole part, each character "
            "predicted from all that the model can see before it. The train loss is that of as many characters from "
            "the end of train, at most 500,000."
        )
    return (
        f"{command} on {escape(data['name'])}, {data['split_method']} split: {data['train_lines']:,} train, "
        f"{data['val_lines']:,} val and {data['test_lines']:,} test lines. The end of a line counts as a character. "
        f"Leak-free test has the test lines that do not occur in train, {data['leak_free_test_targets']:,} of "
        f"{data['test_targets']:,} characters."
    )


def _table(rows: Sequence[Mapping[str, str]], text: Collection[str]) -> str:
    """Build a table from rows with the same keys; the columns that are not in `text` hold numbers."""
    header = list(rows[0])
    right = [number for number, name in enumerate(header) if name not in text]
    return markdown_table(header, [list(row.values()) for row in rows], right)


def _mean_std(arm: Mapping[str, Any], key: str) -> str:
    known = values(arm, key)
    return str(mean_std(known)) if known else ""
