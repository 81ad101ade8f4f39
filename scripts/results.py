"""Write RESULTS.md and the table in README.md from records/: `python scripts/results.py`.

A test fails if one of them is stale.
"""

import json
import re
from pathlib import Path
from typing import Any

from wavemore.comparison.statistics import mean_std

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: made by scripts/results.py -->", "<!-- end of results -->"

METHODS = {
    "unchanged": "the model as it is",
    "reranked": "the model as it is, the 1 in 20 that n-grams of the examples favour most",
    "tuned": "a copy trained on the examples and on its own lines",
    "adapted": "adapted, as drawn",
    "chosen": "**adapted, the 1 in 16 most like the examples**",
}
"""Methods of the record `like`."""

EXPERIMENTS = {
    "default": "`wavemore train`, no flags but the data and the split",
    "lecture": "the lecture's recipe, 200,000 steps",
    "small": "at most the lecture's 76,579 parameters",
    "large": "one large tree",
    "lstm": "one large LSTM, which sees whole lines",
    "distilled": "one LSTM distilled from four models (their training time included)",
    "distilled-small": "one LSTM of at most 76,579 parameters, distilled from four larger models (time included)",
}
"""The experiments in the order of the tables."""

TEXT_EXPERIMENTS = {
    "nanogpt": "`wavenet` in a few seconds on one core",
    "text-default": "`wavemore train tinyshakespeare`, no flags",
}
"""The experiments on a continuous text."""

BENCH = {
    "time_to_lecture_val_ratio": "training to val 1.9937, against the lecture's loop",
    "unique_step_ratio": "forward + backward of 1,024 windows, `unique` against `windows`",
    "unique_step_lecture_ratio": "the same, `unique` against the lecture's layers",
    "unique_evaluate_ratio": "exact losses of train, val and test, `unique` against `windows`",
    "sampling_ratio": "new names per second, against the lecture's sampling loop",
    "gemm_peak_share": "share of the GEMM peak while training hidden 256",
    "cold_start_seconds": "`wavemore train` on the bundled names, whole process",
}
"""The figures of `bench` in the order of the tables; a record may lack some."""

LSTM = {
    "lstm_training_ratio": "training an LSTM of hidden 384 on the names, against torch's layer",
    "lstm_sharing_ratio": "forward + backward of it, each distinct beginning once against every line by itself",
    "lstm_sampling_ratio": "new names per second from it, against torch's layer",
}
"""The figures of the record `lstm-speed`."""

WAVENET = {
    "decoding_ratio": "next character of a WaveNet that sees 1,024, cached against whole contexts",
    "wavenet_receptive": "training a WaveNet that sees 1,024, against one with as many blocks that sees 8",
}
"""The figures of the record `wavenet`."""

RIVALS = {
    "wavenet_text_ratio": "`wavenet` to the val loss of nanoGPT's CPU setting, tinyshakespeare",
    "transformer_ratio": "`transformer` to the val loss of makemore's, the lecture's names",
}
"""The figures of the record `rivals`."""


def records() -> dict[str, dict[str, Any]]:
    """Return all records by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "records").glob("*.json"))
    }


def results(found: dict[str, dict[str, Any]]) -> str:
    """Return the text of RESULTS.md."""
    parts = [
        "# Results\n",
        "Made by `python scripts/results.py` from `records/`; do not edit. `python -m benchmarks.record NAME` measures",
        "a record again. Losses are nats per character on the 32,033 names of the lecture, in the lecture's split,",
        "exact, mean ± standard deviation over seeds; *leak-free*: on names that are not in train. All choices were",
        "made on val; test was computed once, when the record was written.\n",
        "The lecture's own figures for its last model (76,579 parameters, seed 42): train 1.7690, val 1.9937.",
        f"{_baseline(found)}\n",
        "| | parameters | val | leak-free val | test | leak-free test | training | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    chosen = {name: found[name] for name in EXPERIMENTS if name in found}
    for name, record in chosen.items():
        run = record["runs"][0]
        losses = [_loss(record, key) for key in ("val_nats", "leak_free_val_nats", "test_nats", "leak_free_test_nats")]
        cells = [EXPERIMENTS[name], f"{run['parameters']:,}", *losses, _time(record)]
        parts.append(f"| {' | '.join(cells)} | {len(record['seeds'])} |")
        if "ensemble" in record:
            together = record["ensemble"]
            losses = [
                f"{together[k]:.4f}" for k in ("val_nats", "leak_free_val_nats", "test_nats", "leak_free_test_nats")
            ]
            cells = [
                f"these {len(record['seeds'])} models averaged",
                f"{len(record['seeds'])} x {run['parameters']:,}",
                *losses,
            ]
            parts.append(f"| {' | '.join(cells)} | {_time_together(together)}| |")
    texts = {name: found[name] for name in TEXT_EXPERIMENTS if name in found}
    if texts:
        parts += [
            "",
            "## A continuous text\n",
            "tinyshakespeare: the first 80 % of the characters are train, the next 10 % val, the last 10 % test. Every",
            "character is predicted, with the whole context that the model can see.\n",
            *_texts(texts, ""),
        ]
    published = [record for name, record in found.items() if name.startswith("published-")]
    if published:
        parts += ["", "## In a given time, beside published figures\n", *_published(published)]
    parts += ["", "## Speed\n"]
    if "bench" in found:
        parts += _speed(found["bench"], BENCH, "medians, the baseline and wavemore interleaved")
    if "lstm-speed" in found:
        how = "medians, both sides interleaved"
        parts += ["", "## An LSTM on a list\n", *_speed(found["lstm-speed"], LSTM, how)]
    if "earlier" in found:
        parts += ["", *_earlier(found["earlier"])]
    if "wavenet" in found:
        how = "medians, the baseline and wavemore interleaved"
        parts += ["", "## WaveNet with a growing receptive field\n", *_speed(found["wavenet"], WAVENET, how)]
    if "rivals" in found:
        how = "the rival trained once, wavemore with several seeds, interleaved; the median"
        parts += ["", "## Against rivals\n", *_speed(found["rivals"], RIVALS, how)]
    searches = [record for name, record in found.items() if name.startswith("tuning")]
    if searches:
        parts += ["", "## A search for better settings", *(line for each in searches for line in _tuning(each))]
    if "carry-over" in found:
        parts += ["", "## From another run\n", *_carry_over(found["carry-over"])]
    if "labels" in found:
        parts += ["", "## Labels\n", *_labels(found["labels"])]
    if "like" in found:
        parts += ["", "## More like these\n", *_like(found["like"])]
    if "app-load" in found:
        parts += ["", "## The page under load\n", *_app_load(found["app-load"])]
    if "wishes" in found:
        parts += ["", "## Wishes\n", *_wishes(found["wishes"])]
    if "ranks" in found:
        parts += ["", "## Several processes\n", *_ranks(found["ranks"])]
    clusters = [found[name] for name in ("cluster", "cluster-kills") if name in found]
    if clusters:
        parts += ["", "## A cluster\n", *map(_cluster, clusters)]
    if "busy" in found:
        parts += ["", "## Beside a busy process\n", *_busy(found["busy"])]
    if "nearest" in found:
        parts += ["", "## Near known items, and ranked lists\n", *_nearest(found["nearest"])]
    if "calibration" in found:
        parts += ["", '## How often "better" is wrong\n', *_calibration(found["calibration"])]
    parts += ["", "## Commands\n"]
    for name, record in {**chosen, **texts}.items():
        parts += [f"**{name}**: {record['question']} {_seeds(record)}. {_machine(record)}\n"]
        parts += ["```sh", record["command"], "```\n"]
    return "\n".join(parts).rstrip() + "\n"


def _published(found: list[dict[str, Any]]) -> list[str]:
    """Return a table of `wavemore train --minutes M` beside what others reached."""
    rows = [
        "`wavemore train FILE --minutes M` without other settings, on a GPU with `--device cuda`",
        "(`python -m benchmarks.published`): *time* is that",
        "of the whole command by the clock, *memory* its peak, without that of a GPU. The published figures took",
        "minutes or hours on a GPU.\n",
        "| data | published | minutes | wavemore | time | not training | memory | model | seeds | processor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in sorted(found, key=lambda record: (record["task"], _processor(record), record["minutes"])):
        mean, chosen = record["mean"], record["runs"][0]["chosen"]
        rows.append(
            f"| {record['about']} | {_figures(record['published'])} | {record['minutes']:g} | {_reached(record)} | "
            f"{mean['seconds']:.0f} s | {mean['not_training']:.0%} | {mean['peak_mb']:.0f} MB | "
            f"{_model(chosen, record['runs'][0].get('teachers', 0))} | {len(record['runs'])} | "
            f"{_processor(record)} |"
        )
    sources = {record["task"]: record["source"] for record in found}
    machine = next(record["environment"] for record in found if "gpu" not in record["environment"])
    return [
        *rows,
        "",
        *(f"- {task}: {source}" for task, source in sorted(sources.items())),
        f"\n{machine['cores']} cores, torch {machine['torch']}. The rows without AVX2 are from a processor with",
        "AVX-512 and bfloat16, which trains about three times as fast ([log](LOG.md#a-given-time)).",
    ]


def _model(chosen: dict[str, Any], teachers: int) -> str:
    """Return the model that was chosen, with its teachers."""
    model = f"{chosen.get('model', 'lstm')} {chosen.get('hidden', '')}".strip()
    return f"{model}, {_count(teachers, 'teacher')}" if teachers else model


def _processor(record: dict[str, Any]) -> str:
    """Return the name of the GPU, or else of the processor."""
    machine: dict[str, str] = record["environment"]
    return machine.get("gpu", machine["cpu"])


def _figures(figures: dict[str, float]) -> str:
    """Return a loss, or fractions of samples in percent."""
    if "nats" in figures:
        return f"{figures['nats']:.4g} nats"
    return ", ".join(f"{name} {value:.1%}" for name, value in figures.items())


def _reached(record: dict[str, Any]) -> str:
    """Return the figures of the same kind as the published ones, and the loss."""
    mean, std = record["mean"], record["std"]["nats"]
    loss = f"{record['loss'].removesuffix('_nats')} {mean['nats']:.4f}" + (f" ± {std:.4f}" if std else "")
    others = {name: mean[name] for name in record["published"] if name != "nats"}
    return f"{_figures(others)}; {loss}" if others else loss


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the short table of the README."""
    rows = [
        "| on the lecture's names and split | parameters | val | leak-free val | training |",
        "|---|---|---|---|---|",
    ]
    rows.append("| the lecture | 76,579 | 1.9937 | | 200,000 steps |")
    for name, what in EXPERIMENTS.items():
        if name in found:
            record = found[name]
            cells = [
                what,
                f"{record['runs'][0]['parameters']:,}",
                _loss(record, "val_nats"),
                _loss(record, "leak_free_val_nats"),
            ]
            rows.append(f"| {' | '.join(cells)} | {_time(record)} |")
            if "ensemble" in record:
                count = len(record["seeds"])
                losses = " | ".join(f"{record['ensemble'][key]:.4f}" for key in ("val_nats", "leak_free_val_nats"))
                rows.append(
                    f"| {count} of these averaged | {count} x {record['runs'][0]['parameters']:,} | {losses} "
                    f"| {_time_together(record['ensemble'])}|"
                )
    texts = {name: found[name] for name in TEXT_EXPERIMENTS if name in found}
    if texts:
        heading = "on tinyshakespeare (the first 80 % train, the next 10 % val)"
        rows += ["", *_texts(texts, heading)]
    if "bench" in found:
        rows += ["", "| speed, one thread (`python -m benchmarks`) | |", "|---|---|"]
        rows += [f"| {what} | {_ratio(key, found['bench'], 1)} |" for key, what in _measured(found["bench"], BENCH)]
    if "wavenet" in found:
        rows += [
            f"| {what} | {_ratio(key, found['wavenet'], 1)} |" for key, what in _measured(found["wavenet"], WAVENET)
        ]
    if "rivals" in found:
        rows += [f"| {what} | {_ratio(key, found['rivals'], 1)} |" for key, what in _measured(found["rivals"], RIVALS)]
    return "\n".join(rows)


def readme(text: str, found: dict[str, dict[str, Any]]) -> str:
    """Return README.md with its table made anew."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{table(found)}\n{END}", text, flags=re.DOTALL)


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _like(record: dict[str, Any]) -> list[str]:
    """Return a table of the methods on each list, and of other numbers of examples."""
    rows = [
        f"`{record['command']}`: the default model learns half of each kind of items, all kinds mixed. It is given",
        "examples of one kind and makes 50 new lines at temperature 0.8. *fits*: lines that an n-gram model of the",
        "other half, or a rule, finds to be of this kind; *near*: within one edit of an example; *plausible*: more",
        "likely, by an n-gram model, than the least likely 5 % of real items. Means over the kinds and",
        f"{len(record['seeds'])} choices of examples, ± their standard deviation. {_machine(record)}\n",
        "| list | examples | lines | fits | near | plausible | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        name = f"{row['world']} ({row['model']}{', tuned on' if row['tuned'] else ''})"
        fits = f"{_percent(row['fits'])} ± {_percent(row['fits_std'])}"
        shares = f"{fits} | {row['near']:.1%} | {_percent(row['plausible'])}"
        rows.append(f"| {name} | {row['examples']} | {METHODS[row['method']]} | {shares} | {row['seconds']:.1f} |")
    return rows


def _tuning(record: dict[str, Any]) -> list[str]:
    """Return a table of the winner of a search and of the defaults, and the verdict in sentences."""
    rows = [
        f"\n`{record['command']}` (`python -m benchmarks.tuning`): {record['trials']} trials, of which",
        f"{record['pruned']} were pruned; the whole command took {record['seconds']:.0f} s. Val and test are those of",
        f"fresh seeds, which the search did not use. {_machine(record)}\n",
        "| | model | parameters | val in the search | val | test | training | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        name = "the defaults, within the limits" if row["trial"] == 1 else f"the winner, trial {row['trial']}"
        search = "pruned" if row["search_val"] is None else f"{row['search_val']:.4f}"
        losses = [search, str(mean_std(row["val_nats"])), str(mean_std(row["test_nats"]))]
        cells = [name, row["description"], f"{row['parameters']:,}", *losses, f"{row['train_seconds']:.1f} s"]
        rows.append(f"| {' | '.join(cells)} | {len(row['seeds'])} |")
    return [*rows, "", *(f"- {sentence}" for sentence in record["answer"])]


def _carry_over(record: dict[str, Any]) -> list[str]:
    """Return a table of trainings on short lists from random weights and from those of a related run."""
    rows = [
        f"`{record['command']}`: trainings with default settings on short lists from `benchmarks/data/`, from random",
        "weights and from the weights of a run on a related list (`--from`). The training from random weights is",
        "repeated with other seeds until it took as long; the one with the best val loss counts. *val*: the loss on",
        "the val lines; *known*: the share of them that is in the data of the other run; *new*: the loss on all other",
        "lines of the list that are in the data of no other run. Nats per character, means of",
        f"{len(record['seeds'])} seeds, each with another short list; gains ± their standard deviation.\n",
        "| lines | begun with a run on | val | with `--from` | gain | known | new | with `--from` | gain | seconds |",
        "|---" * 10 + "|",
    ]
    for row in record["rows"]:
        val, new = (
            f"{row[f'scratch_{part}']:.3f} | {row[f'carried_{part}']:.3f} "
            f"| {row[f'gain_{part}']:+.3f} ± {row[f'gain_{part}_std']:.3f}"
            for part in ("val", "new")
        )
        times = f"{row['scratch_seconds']:.1f}, {row['carried_seconds']:.1f}"
        where = f"{row['lines']:,} {row['target']}"
        rows.append(f"| {where} | {row['source']} | {val} | {row['known']:.0%} | {new} | {times} |")
    return [*rows, "", _machine(record)]


def _wishes(record: dict[str, Any]) -> list[str]:
    """Return how fast lines that meet wishes are made, and how likely they are."""
    rows = [
        f"`{record['command']}`: the default model of {record['lines']:,} names. *rate*: how many of the lines drawn",
        "without wishes meet them; *nats*: mean per item, ± standard error, of these lines and of lines made with",
        "wishes; *seconds*: until there are 50 distinct new lines, drawn until they fit and made with wishes, without",
        f"loading the model; medians, interleaved. {_machine(record)}\n",
        "| wishes | rate | nats, drawn | nats, with wishes | seconds, drawn | seconds, with wishes | faster |",
        "|---" * 7 + "|",
    ]
    for case in record["cases"]:
        rate, wishes = 1 / case["rate"], case["wishes"]
        values = [(key, value if isinstance(value, list) else [value]) for key, value in wishes.items()]
        flags = " ".join(f"--{key.replace('_', '-')} {' '.join(map(str, value))}" for key, value in values)
        rows.append(
            f"| `{flags.replace('|', chr(92) + '|')}` | 1 in {rate:,.0f} "
            f"| {case['reference_nats']:.2f} ± {case['reference_error']:.2f} "
            f"| {case['nats']:.2f} ± {case['error']:.2f} "
            f"| {case['rejection_seconds']:.3g} | {case['seconds']:.2g} | {case['speedup']:.3g}x |"
        )
    return rows


def _labels(record: dict[str, Any]) -> list[str]:
    """Return how often labels are recovered from the likelihoods, and fit the samples."""
    runs, order = record["runs"], record["order"]

    def figure(key: str) -> str:
        return f"{record['mean'][key]:.1%} ± {record['std'][key]:.1%}"

    def nats(key: str) -> str:
        return f"{record['mean'][key]:.3f} ± {record['std'][key]:.3f}"

    return [
        f"`{record['command']}`: {record['words']:,} words of {len(record['labels'])} languages "
        f"({', '.join(record['labels'])}), {len(runs)} splits with one training each, mean ± standard deviation. "
        f"*naive Bayes*: an n-gram model of {order} characters per language. *recovered*: test words, about "
        f"{runs[0]['test_words']} per split, whose most likely language is their own. *samples*: new words, the same "
        f"number for each language, that naive Bayes assigns to the requested language. {_machine(record)}\n",
        "| | recovered | test, nats per character given the language | samples | training |",
        "|---|---|---|---|---|",
        f"| `{runs[0]['model']}`, one model of all languages | {figure('recovered')} | {nats('test_nats')} | "
        f"{figure('samples_fit')} | {record['mean']['seconds']:.0f} s |",
        f"| naive Bayes | {figure('bayes_recovered')} | {nats('bayes_test_nats')} | | |",
    ]


def _ranks(record: dict[str, Any]) -> list[str]:
    """Return how fast several processes train together."""
    speeds = record["medians"]
    return [
        f"`{record['command']}`, medians of {len(record['runs']['threads'])} interleaved trainings of "
        f"{record['steps']} steps: {record['what']}: {speeds['processes']:,.0f} against {speeds['threads']:,.0f} "
        f"{record['unit']}, **{record['ratio']:.2f}x**. {_machine(record)}",
    ]


def _cluster(record: dict[str, Any]) -> str:
    """Return what a Dask cluster costs, or what becomes of studies in which something is killed."""
    trainings = f"a study of {record['trainings']} trainings"
    if "rows" in record:
        return (
            f"- `{record['command']}`: a worker, the scheduler or the study itself was killed at a random moment of "
            f"{trainings} on two workers, and what was killed was started again. **{record['same']} of "
            f"{len(record['rows'])}** studies came to the record and weights, to the bit, of one that nothing had "
            f"disturbed. {_machine(record)}"
        )
    seconds, runs = record["medians"], record["seconds"]["cluster"]
    same = "with the same weights to the bit" if record["same"] else "WITH OTHER WEIGHTS"
    return (
        f"- `{record['command']}`: {trainings} takes {seconds['cluster']:.0f} s on two Dask workers of this machine, "
        f"and {seconds['processes']:.0f} s on two local processes, **{record['overhead']:+.1%}**; medians of "
        f"{len(runs)}, in turns, {same}. {_machine(record)}"
    )


def _earlier(record: dict[str, Any]) -> list[str]:
    """Return the speed of whole commands against those of an earlier commit."""
    medians, lines = record["medians"], record["lines"]

    def row(what: str, key: str, unit: str, *, is_time: bool = False) -> str:
        earlier, now = medians[key]["earlier"], medians[key]["now"]
        ratio = earlier / now if is_time else now / earlier
        digits = ".1f" if is_time else ",.0f"
        return f"| {what} | {earlier:{digits}} {unit} | {now:{digits}} {unit} | {ratio:.2f}x |"

    commit, repeats = record["earlier_commit"], record["repeats"]
    return [
        f"`{record['command']}`: `wavemore train --model lstm --hidden 384 --embedding 48` and `sample`, by this "
        f"version and by commit {commit}, in turns; medians of {repeats}. {_machine(record)}\n",
        "| | the earlier commit | now | ratio |",
        "|---|---|---|---|",
        row("training on the lecture's names, two epochs", "list", "characters/s"),
        row("training on tinyshakespeare, 40 steps of 4,096 characters", "text", "characters/s"),
        row(
            f"{lines:,} new distinct names, whole command (the earlier one with OMP_NUM_THREADS=1)",
            "sampling",
            "s",
            is_time=True,
        ),
    ]


def _busy(record: dict[str, Any]) -> list[str]:
    """Return the speed of training beside a busy process, with the default threads and with one."""
    return [
        f"`{record['command']}`: `wavemore train` on two cores, one of which another process keeps busy, with the "
        "threads that it chooses and with one thread, in turns; characters per second of training, medians. "
        f"{_machine(record)}\n",
        "| training | default threads | one thread | ratio |",
        "|---|---|---|---|",
        *(
            f"| {row['training']} | {row['chars_per_second']['auto']:,.0f} | {row['chars_per_second']['1']:,.0f} "
            f"| {row['chars_per_second']['auto'] / row['chars_per_second']['1']:.2f}x |"
            for row in record["rows"]
        ),
    ]


def _app_load(record: dict[str, Any]) -> list[str]:
    """Return the table of the page's answers to many clients."""
    rows = (("beside a training", record["beside_training"]), ("without one", record["without_training"]))
    return [
        f"`{record['command']}`: {record['clients']} clients at the same time, each of which asks `wavemore app` for "
        f"{record['items']} items and then pauses for {record['pause_seconds']:g} s on average. {_machine(record)}\n",
        "| | requests | errors | median | 95th percentile | slowest |",
        "|---|---|---|---|---|---|",
        *(
            f"| {what} | {row['requests']:,} | {row['errors']} | {row['median_ms']:.0f} ms | {row['p95_ms']:.0f} ms "
            f"| {row['slowest_ms']:.0f} ms |"
            for what, row in rows
        ),
    ]


def _nearest(record: dict[str, Any]) -> list[str]:
    """Return how fast known lines are found by edit distance, and lists are ranked."""
    searches = {
        "within_1": "is a known one within 1 edit?",
        "within_2": "within 2 edits?",
        "nearest": "which is the nearest?",
        "distinct_2": "is it 2 edits from all before?",
        "all_pairs": "baseline: each compared with all",
    }
    rows = []
    for row in record["rows"]:
        speeds = " | ".join(_rounded(row[f"{key}_per_second"]) for key in searches)
        rows.append(f"| {row['known']:,} | {row['index_seconds']:.2g} s | {row['index_megabytes']:.0f} MB | {speeds} |")
    ranking = record["ranking"]
    return [
        f"`{record['command']}`: candidates per second among known names, both drawn by a default tree; on one thread, "
        f"medians. {_machine(record)}\n",
        f"| known names | index | its memory | {' | '.join(searches.values())} |",
        f"|{'---|' * (3 + len(searches))}",
        *rows,
        "",
        f"`wavemore score RUN FILE` ranked {ranking['ranked']:,} names in {ranking['seconds']:.1f} s, and found the "
        f"known names one edit away: {_rounded(ranking['lines_per_second'])} names per second, imports not counted.",
    ]


def _rounded(number: float) -> str:
    """Return a number with two digits: 39,260 -> 39,000."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _calibration(record: dict[str, Any]) -> list[str]:
    header = (
        "| losses | seeds | error of the lines / of the seeds | wrongly called better | a real difference is found |"
    )
    rows = [
        f"| {kind}: {row['kind']} | {' and '.join(map(str, dict.fromkeys(row['seeds'])))} | {row['ratio']:g} "
        f"| {row['false_better']:.1%} | {row['power']:.0%} |"
        for kind in ("simulated", "trained")
        for row in record[kind]
    ]
    return [
        f"`{record['command']}`: the verdict of `compare`, `log` and `study` on {record['trials']:,} draws of seeds "
        "and lines per row, for two recipes that are equally good over all of them, and for two whose difference is "
        f"{record['power_errors']:g} times its standard error. *trained*: {record['models']} real trainings per "
        f"recipe on {record['train_names']:,} names each, evaluated on 21,000 others. {_machine(record)}\n",
        header,
        "|---|---|---|---|---|",
        *rows,
    ]


def _baseline(found: dict[str, dict[str, Any]]) -> str:
    if "baseline" not in found:
        return ""
    record = found["baseline"]
    return (
        f"Its loop, re-created plainly in `benchmarks/lecture.py`, gives train {record['train_nats']:.4f} and val "
        f"{record['val_nats']:.4f} at that seed, in {record['train_seconds']:.0f} s (`{record['command']}`)."
    )


def _loss(record: dict[str, Any], key: str) -> str:
    if key not in record["mean"]:
        return ""
    std = record["std"][key]
    return f"{record['mean'][key]:.4f}" + (f" ± {std:.4f}" if std is not None else "")


def _time(record: dict[str, Any]) -> str:
    """Return the training time, that of the teachers included."""
    mean = record["mean"]
    return f"{mean.get('total_seconds', mean['train_seconds']):.0f} s"


def _time_together(together: dict[str, Any]) -> str:
    """Return the training time of all averaged models, if it was recorded."""
    return f"{together['total_seconds']:.0f} s " if "total_seconds" in together else ""


def _texts(found: dict[str, dict[str, Any]], title: str) -> list[str]:
    """Return the table of the experiments on a text."""
    return [
        f"| {title} | parameters | val | test | training | seeds |",
        "|---|---|---|---|---|---|",
        *(
            f"| {TEXT_EXPERIMENTS[name]} | {record['runs'][0]['parameters']:,} | {_loss(record, 'val_nats')} "
            f"| {_loss(record, 'test_nats')} | {record['mean']['train_seconds']:.0f} s | {len(record['seeds'])} |"
            for name, record in found.items()
        ),
    ]


def _speed(record: dict[str, Any], keys: dict[str, str], how: str) -> list[str]:
    """Return the ratios by the number of threads, then both sides of each on one thread."""
    numbers = sorted({m["threads"] for m in record["measurements"]})
    words = {1: "one thread", 2: "two threads"}
    parts = [
        f"`{record['command']}`; {how}. {_machine(record)}\n",
        f"| | {' | '.join(words.get(number, f'{number} threads') for number in numbers)} |",
        f"|---|{'---|' * len(numbers)}",
    ]
    for key, what in _measured(record, keys):
        parts.append(f"| {what} | {' | '.join(_ratio(key, record, number) for number in numbers)} |")
    parts += ["", "| one thread | baseline | wavemore | |", "|---|---|---|---|"]
    parts += [
        f"| {m['what']} | {m['baseline']:,.4g} {m['unit']} | {m['measured']:,.4g} {m['unit']} | {m['detail']} |"
        for m in record["measurements"]
        if m["threads"] == 1
    ]
    return parts


def _measured(record: dict[str, Any], keys: dict[str, str]) -> list[tuple[str, str]]:
    """Return the keys that the record has, with their descriptions."""
    there = {m["key"] for m in record["measurements"]}
    return [(key, what) for key, what in keys.items() if key in there]


def _ratio(key: str, bench: dict[str, Any], threads: int) -> str:
    value = bench.get(f"threads_{threads}", {}).get(key)
    if value is None:
        return "not met"
    return {"gemm_peak_share": f"{value:.0%}", "cold_start_seconds": f"{value:.1f} s"}.get(key, f"{value:.1f}x")


def _machine(record: dict[str, Any]) -> str:
    machine = record["environment"]
    threads = "" if "measurements" in record else f"{_count(machine['threads'], 'thread')}, "
    return (
        f"{machine['cpu']}, {_count(machine['cores'], 'core')}, {threads}torch {machine['torch']}, "
        f"commit {machine['commit']}, {record['date'][:10]}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _seeds(record: dict[str, Any]) -> str:
    return f"Seed{'' if len(record['seeds']) == 1 else 's'} {', '.join(map(str, record['seeds']))}"


def main() -> None:
    """Write all files."""
    found = records()
    (ROOT / "RESULTS.md").write_text(results(found), encoding="utf-8")
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
