"""Is B better than A? Two recipes by their seeds, on the same lines, with a verdict in words.

Two things could make a difference an accident: the seeds that were trained, and the lines that happen to be in val.
The first is tested over seeds (Welch's test), the second by a bootstrap over lines, paired, as both sides predict the
same lines. "Better" is said where both leave 0 out. Differences are B - A in nats per character: below 0, B is better.

L lines, B targets, S seeds, K looks.
"""

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from wavemore.comparison.bootstrap import Interval, ratio_intervals
from wavemore.comparison.result import Comparison, LineDifference, Outcome, PartName, Seen, Side
from wavemore.comparison.slices import Look, line_sums, looks
from wavemore.comparison.statistics import spread, welch
from wavemore.engine.blocks import batches_to_evaluate
from wavemore.engine.evaluate import token_nats
from wavemore.errors import RunError, UsageError
from wavemore.nn.model import Model
from wavemore.runs.config import Config
from wavemore.runs.entry import Entry, changed, data_key, data_words, model_words, other_data, read, recipe_key
from wavemore.runs.find import find_group
from wavemore.runs.run import Run
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus, Part
from wavemore.text.lines import Lines

SHOWN_LINES = 5
"""On which B gains most, and on which it loses most."""


def compare(a: str | Run | Sequence[Run], b: str | Run | Sequence[Run], part: PartName = "val") -> Comparison:
    """Compare two recipes by their runs, on the val lines or, once all choices are made, the test lines.

    A side is a name (of a run, of an experiment, or a folder of runs), a run, or runs that differ in their seed
    alone. Runs that have not ended are left out where others have.

    Raises `UsageError` for runs of other data or another split, of several recipes on one side, or on both sides;
    `RunError` for runs that are missing, damaged or have not ended.
    """
    if part not in ("val", "test"):
        raise UsageError(f"part is {part!r}; it must be val or test")
    (name_a, entries_a, out_a), (name_b, entries_b, out_b) = _entries(a), _entries(b)
    first, second = _config(entries_a[0]), _config(entries_b[0])
    _check_comparable(name_a, entries_a, name_b, entries_b)
    corpus = _corpus([*entries_a, *entries_b])
    models_a, models_b = ([entry.run.model() for entry in entries] for entries in (entries_a, entries_b))
    return _compare(
        (_side(name_a, entries_a, out_a, models_a), _side(name_b, entries_b, out_b, models_b)),
        (models_a, models_b),
        corpus,
        part,
        data_words(first),
        changed(first, second),
    )


def compare_models(
    a: Sequence[Model], b: Sequence[Model], corpus: Corpus | TextStream, part: PartName = "val"
) -> Comparison:
    """The same for models in memory, one a seed on each side.

    Raises `UsageError` for a side without a model.
    """
    if not a or not b:
        raise UsageError("each side needs a model or more")
    sides = [
        Side(name, "", models[0].parameter_count(), tuple(range(len(models))), (), ())
        for name, models in (("A", a), ("B", b))
    ]
    return _compare((sides[0], sides[1]), (a, b), corpus, part, corpus.name, ())


def _compare(
    sides: tuple[Side, Side],
    models: tuple[Sequence[Model], Sequence[Model]],
    corpus: Corpus | TextStream,
    part_name: PartName,
    data: str,
    changes: tuple[str, ...],
) -> Comparison:
    part, side_nats = _part_and_nats(corpus, part_name)
    each = [np.stack([side_nats(model) for model in side]) for side in models]
    mean_a, mean_b = (nats.mean(axis=0) for nats in each)  # (S, B) -> (B,)
    every = np.ones(part.targets, np.bool_)
    free = part.leak_free_targets
    two_kinds = bool(free.any() and not free.all())
    found = [Look("train", "all", every), *([Look("train", "leak-free", free)] if two_kinds else [])]
    seen_in = looks(corpus, part)
    targets = [look.targets for look in (*found, *seen_in)]
    above = np.stack([line_sums(part, (mean_b - mean_a) * chosen) for chosen in targets], axis=1)  # (L, K)
    below = np.stack([line_sums(part, chosen.astype(np.float64)) for chosen in targets], axis=1)
    intervals = ratio_intervals(above, below)
    outcomes = [_outcome_of(each, look.targets, interval) for look, interval in zip(found, intervals, strict=False)]
    seen = [
        Seen(
            group=look.group,
            what=look.what,
            lines=int(np.count_nonzero(below[:, column])),
            targets=int(look.targets.sum()),
            a=float(mean_a[look.targets].mean()),
            b=float(mean_b[look.targets].mean()),
            difference=float((mean_b - mean_a)[look.targets].mean()),
            interval=intervals[column],
        )
        for column, look in enumerate(seen_in, start=len(found))
    ]
    gained = _extremes(part.lines, line_sums(part, mean_a), line_sums(part, mean_b))
    return Comparison(
        a=sides[0],
        b=sides[1],
        data=data,
        part=part_name,
        count=len(part.lines),
        changed=changes,
        overall=outcomes[0],
        leak_free=outcomes[1] if two_kinds else None,
        kinds=tuple(s for s in seen if s.group != "position"),
        positions=tuple(s for s in seen if s.group == "position"),
        wins=tuple(line for line in gained[:SHOWN_LINES] if line.difference < 0),
        losses=tuple(line for line in gained[: -SHOWN_LINES - 1 : -1] if line.difference > 0),
    )


def _part_and_nats(corpus: Corpus | TextStream, name: PartName) -> tuple[Part, Callable[[Model], NDArray[np.float64]]]:
    """The part as lines, and what gives the nats of their targets (B,).

    A text is looked at line by line, each predicted with the text before it.
    """
    if isinstance(corpus, Corpus):
        part = corpus.val if name == "val" else corpus.test
        return part, lambda model: token_nats(model, batches_to_evaluate(part, model))
    if name == "test":
        raise UsageError(f"{corpus.name} is a continuous text, which has no test part: compare on val")
    lines, text = corpus.val.as_lines(corpus.vocabulary), corpus.val
    if not len(lines.lines):
        raise UsageError(f"the val part of {corpus.name} has no line end, so it cannot be compared line by line")
    return lines, lambda model: token_nats(model, batches_to_evaluate(text, model))[: lines.targets]


def _outcome_of(each: Sequence[NDArray[np.float64]], chosen: NDArray[np.bool_], lines: Interval | None) -> Outcome:
    a, b = (nats[:, chosen].mean(axis=1).tolist() for nats in each)  # (S, B) -> S losses
    one, other = spread(a), spread(b)
    if not (isfinite(one.mean) and isfinite(other.mean)):
        raise RunError("a loss is not finite, so the two cannot be compared: train the side again")
    return Outcome(int(chosen.sum()), one, other, other.mean - one.mean, lines, welch(a, b))


def _extremes(lines: Lines, a: NDArray[np.float64], b: NDArray[np.float64]) -> list[LineDifference]:
    """Distinct lines, those on which B gains most first; of the middle, where no one looks, some are left out."""
    order = np.argsort(b - a, kind="stable")
    near = SHOWN_LINES * 20  # of lines that stand there several times, the first is taken
    picked = order if len(order) <= 2 * near else np.concatenate([order[:near], order[-near:]])
    found: dict[str, LineDifference] = {}
    for place in picked.tolist():
        text = lines[place]
        found.setdefault(text, LineDifference(text, float(a[place]), float(b[place])))
    return list(found.values())


def _entries(given: str | Run | Sequence[Run]) -> tuple[str, list[Entry], list[str]]:
    """A side's name, its runs that have ended, one a seed, and what was left out."""
    if isinstance(given, str):
        runs, name = find_group(given), given
    else:
        runs = [given] if isinstance(given, Run) else list(given)
        name = ""
    if not runs:
        raise UsageError("each side needs a run or more")
    entries = [read(run) for run in runs]
    configs = [entry.config for entry in entries if entry.config is not None]
    if len(entries) > 1 and len({recipe_key(config) for config in configs}) > 1:
        other = next(config for config in configs if recipe_key(config) != recipe_key(configs[0]))
        difference = "; ".join([*other_data(configs[0].data, other.data), *changed(configs[0], other)])
        raise UsageError(f"{name or 'a side'} holds runs of several recipes ({difference}): name the seeds of one")
    ended: dict[int, Entry] = {}
    left_out = []
    for entry in entries:
        if entry.problem or entry.config is None:
            if len(entries) == 1:
                raise RunError(_unfit(entry))
            left_out.append(f"{entry.run.path}: {entry.problem}")
        elif entry.config.recipe.seed in ended:
            left_out.append(f"{entry.run.path}: seed {entry.config.recipe.seed} again")
        else:
            ended[entry.config.recipe.seed] = entry
    if not ended:
        raise RunError(f"no run of {name or 'a side'} has ended, the first of them: {_unfit(entries[0])}")
    if not name:
        config = _config(next(iter(ended.values())))
        name = config.experiment or (str(runs[0].path) if len(runs) == 1 else model_words(config))
    return name, [ended[seed] for seed in sorted(ended)], left_out


def _unfit(entry: Entry) -> str:
    if not entry.stopped:  # it says what to do already
        return entry.problem
    return f"{entry.run.path} was {entry.problem}; finish it: wavemore train --resume --run {entry.run.path}"


def _check_comparable(name_a: str, a: Sequence[Entry], name_b: str, b: Sequence[Entry]) -> None:
    paths = {entry.run.path.resolve() for entry in a}
    both = [str(entry.run.path) for entry in b if entry.run.path.resolve() in paths]
    if both:
        raise UsageError(f"{both[0]} is on both sides: a run is as good as itself; name two different ones")
    one, other = _config(a[0]), _config(b[0])
    if data_key(one) != data_key(other):
        difference = "; ".join(other_data(one.data, other.data))
        raise UsageError(f"{name_a} and {name_b} cannot be compared: {difference}; train both on the same lines")


def _corpus(entries: Sequence[Entry]) -> Corpus | TextStream:
    """The data, from the first run that can still read it."""
    problems = []
    for entry in entries:
        try:
            return entry.run.data()
        except RunError as error:
            problems.append(error)
    raise problems[0]


def _side(name: str, entries: Sequence[Entry], left_out: Sequence[str], models: Sequence[Model]) -> Side:
    return Side(
        name=name,
        model=model_words(_config(entries[0])),
        parameters=models[0].parameter_count(),
        seeds=tuple(_config(entry).recipe.seed for entry in entries),
        runs=tuple(str(entry.run.path) for entry in entries),
        left_out=tuple(left_out),
    )


def _config(entry: Entry) -> Config:
    assert entry.config is not None
    return entry.config
