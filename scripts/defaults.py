"""Write the tables in docs/defaults.md from records/: `python scripts/defaults.py`.

A test fails if one of them is stale.
"""

import json
import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from wavemore.comparison.statistics import mean_std

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs/defaults.md"

RULES = {
    "real items": "real items, 20 at random",
    "1, first, 1": "temperature 1, as drawn",
    "0.8, first, 1": "0.8, as drawn",
    "0.6, first, 1": "0.6, as drawn",
    "0.8, typical, 4": "0.8, the 20 of 80 that are nearest to the val median",
    "0.8, best, 4": "0.8, the likeliest 20 of 80",
    "0.8, best in turn, 4": "0.8, the likeliest of each four in the order drawn",
    "0.8, best neighbour, 4": "0.8, the likeliest of each four in alphabetical order",
    "1, best by quotas, 4": "1, the likeliest 20 of 80 within the quotas",
    "0.8, best by quotas, 4": "**0.8, the likeliest 20 of 80 within the quotas**",
    "0.6, best by quotas, 4": "0.6, the likeliest 20 of 80 within the quotas",
}
"""Rules of the record `keepers` that are shown."""

SETTINGS = {
    "hidden": "hidden",
    "steps": "steps",
    "epochs": "epochs",
    "learning_rate": "learning rate",
    "adamw_learning_rate": "AdamW",
    "weight_decay": "weight decay",
    "dropout": "dropout",
    "distill_weight": "distillation weight",
    "teachers": "teachers",
}
"""Settings of the trials of the record `rules`, in the order of the columns."""


def with_tables(text: str) -> str:
    """Return docs/defaults.md with its tables made anew."""
    tables = {"short lists": _short_lists(_record("small-lists")), "kept lines": _kept(_record("keepers"))}
    tables |= {f"given time: {kind}": rows for kind, rows in _given_time(_record("given-time")).items()}
    tables |= {f"trials: {name}": rows for name, rows in _trials(_record("rules")).items()}
    for name, rows in tables.items():
        begin, end = f"<!-- {name}: made by scripts/defaults.py -->", f"<!-- end of {name} -->"
        made = "\n".join([begin, *rows, end])
        text = re.sub(f"{begin}.*?{end}", lambda _, made=made: made, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def _record(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((ROOT / f"records/{name}.json").read_text(encoding="utf-8"))
    return record


def _trials(record: dict[str, Any]) -> dict[str, list[str]]:
    """Return a table of the trials of each question, with the settings in which they differ."""
    tables = {}
    for name in record["questions"]:
        rows = dict[str, list[dict[str, Any]]]()  # the trials that differ in the seed alone
        for trial in record["trials"]:
            if trial["question"] == name:
                rows.setdefault(str(trial["settings"] | {"seed": 0}), []).append(trial)
        found = [trials[0]["settings"] for trials in rows.values()]
        varied = [key for key in SETTINGS if len({settings.get(key, 0) for settings in found}) > 1]
        columns = {SETTINGS[key]: [f"{settings.get(key, 0):,}" for settings in found] for key in varied}
        if "learning_rate" in varied:
            products = [each["learning_rate"] * each["weight_decay"] * each["steps"] for each in found]
            columns["rate x decay x steps"] = [f"{product:.1f}" for product in products]
        if "hidden" in varied:
            ratios = [trials[0]["characters_per_parameter"] for trials in rows.values()]
            columns["characters per parameter"] = [f"{ratio:.2g}" for ratio in ratios]
        losses = {"train": "train_nats", "val": "val_nats", "val at the end": "last_val_nats"}
        if "mean_of_teachers_val_nats" in next(iter(rows.values()))[0]:
            losses["val of the teachers' mean"] = "mean_of_teachers_val_nats"
        columns |= {
            what: [_mean([trial[key] for trial in trials]) for trials in rows.values()] for what, key in losses.items()
        }
        if columns["val at the end"] == columns["val"]:
            del columns["val at the end"]
        cells = map(" | ".join, zip(*columns.values(), strict=True))
        tables[name] = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *(f"| {row} |" for row in cells)]
    return tables


def _given_time(record: dict[str, Any]) -> dict[str, list[str]]:
    """Return a table for lists and one for texts: what was chosen, and what each change of it adds to the loss."""
    tables = {}
    for kind in ("lists", "texts"):
        cells = [cell for cell in record["cells"] if cell["data"].startswith("text") == (kind == "texts")]
        heads = [f"{cell['data']}, {60 * cell['minutes']:.0f} s" for cell in cells]
        found = [{trial["arm"]: trial for trial in cell["trials"]} for cell in cells]
        rows = [f"| | {' | '.join(heads)} |", "|---" * (1 + len(cells)) + "|"]
        rows.append(f"| chosen | {' | '.join(_chosen(trials['chosen']) for trials in found)} |")
        changes = [arm for arm in dict.fromkeys(arm for trials in found for arm in trials) if arm != "chosen"]
        tables[kind] = rows + [
            f"| {_named(arm)} | {' | '.join(_added(trials, arm) for trials in found)} |" for arm in changes
        ]
    return tables


def _named(arm: str) -> str:
    """Return the name of a change as it is shown."""
    return arm.replace("the adamw_learning_rate", "AdamW's learning rate").replace("_", " ")


def _chosen(trial: dict[str, Any]) -> str:
    """Return the models, the mean of their epochs and of their losses."""
    models = list[str]()
    for settings in trial["settings"]:
        teachers = f" with {settings['teachers']} teachers" if settings["teachers"] else ""
        models.append(f"{settings['model']} of {settings['width']}{teachers}")
    epochs = mean(settings["epochs"] for settings in trial["settings"])
    return f"{' or '.join(dict.fromkeys(models))}, {epochs:.2g} epochs: **{mean(trial['nats']):.3f}**"


def _added(trials: dict[str, dict[str, Any]], arm: str) -> str:
    """Return what an arm adds to the loss of the chosen one, with the standard deviation over the subsets."""
    if arm not in trials:
        return ""
    pairs = zip(trials[arm]["subsets"], trials[arm]["nats"], strict=True)
    added = [nats - trials["chosen"]["nats"][subset] for subset, nats in pairs]
    return f"{mean(added):+.3f}" + (f" ± {stdev(added):.3f}" if len(added) > 1 else "")


def _mean(losses: list[float]) -> str:
    """Return the mean of some losses, and their standard deviation if there are several."""
    return f"{losses[0]:.3f}" if len(losses) == 1 else str(mean_std(losses))


def _short_lists(record: dict[str, Any]) -> list[str]:
    """Return a table of the models, and one of settings that differ from the default ones."""
    temperatures = ("1", "0.8", "0.7", "0.6", "0.5")
    heads = [*(f"plausible at {temperature}" for temperature in temperatures), "new and distinct at 0.6", "seconds"]
    rows = [f"| list | model | val | {' | '.join(heads)} |", "|---" * (3 + len(heads)) + "|"]
    changes = [name for name in record["rows"][0]["arms"] if ", " in name]
    others = [
        f"| list | LSTM | {' | '.join(name.partition(', ')[2] for name in changes)} |",
        "|---" * (2 + len(changes)) + "|",
    ]
    for row in record["rows"]:
        arms, where = row["arms"], f"{row['lines']:,} {row['kind']}"
        for name in ("tree", "lstm", "ngram"):
            arm = arms[name]
            shares = [f"{arm[f'plausible@{temperature}']:.0%}" for temperature in temperatures]
            different = f"{arm['new@0.6']:.0%}, {arm['distinct@0.6']:.0%}"
            cells = [where, name, f"{arm['nats']:.3f} ± {arm['std']:.3f}", *shares, different, f"{arm['seconds']:.1f}"]
            rows.append(f"| {' | '.join(cells)} |")
        losses = [f"{arms[name]['nats']:.3f}" for name in ("lstm", *changes)]
        others.append(f"| {where} | {' | '.join(losses)} |")
    return [*rows, "", "Val of LSTMs with other settings:", "", *others]


def _kept(record: dict[str, Any]) -> list[str]:
    """Return tables of the rules, averaged over the kinds of lists, and of the chosen one on each list."""
    figures = ("plausible", "real", "apart", "begin", "end", "length")
    rows = []
    for size in dict.fromkeys(row["lines"] for row in record["rows"]):
        lists = [row for row in record["rows"] if row["lines"] == size]
        rows += ["", f"| {size:,} lines, {len(lists)} kinds of lists | {' | '.join(figures)} |"]
        rows.append("|---" * (1 + len(figures)) + "|")
        for rule, what in RULES.items():
            means = [sum(row["rules"][rule][figure] for row in lists) / len(lists) for figure in figures]
            cells = [f"{means[0]:.0%}", f"{means[1]:.0%}", *(f"{mean:.2f}" for mean in means[2:])]
            rows.append(f"| {what} | {' | '.join(cells)} |")
    compared = ("real items", "1, first, 1", "0.8, best by quotas, 4")
    rows += ["", "Plausible, real and apart on each list:", ""]
    rows += ["| list | the rule was chosen by it | real items | as drawn at 1 | kept |", "|---|---|---|---|---|"]
    for row in record["rows"]:
        found = [row["rules"][rule] for rule in compared]
        shown = [f"{f['plausible']:.0%}, {f['real']:.0%}, {f['apart']:.2f}" for f in found]
        chosen_by = "yes" if row["kind"] in record["tuning"] else ""
        rows.append(f"| {row['lines']:,} {row['kind']} | {chosen_by} | {' | '.join(shown)} |")
    return rows[1:]


def main() -> None:
    """Write the file."""
    DOC.write_text(with_tables(DOC.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
