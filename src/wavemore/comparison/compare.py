"""Is B better than A? Two recipes by their seeds, on the same lines, with a verdict in words.

Differences are B - A in nats per character: below 0, B is better. The verdict is that of `evidence.judge`.

L lines, B targets, S seeds, U units.
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from wavemore.comparison.evidence import SideLosses, judge, units_interval
from wavemore.comparison.result import Comparison, LineDifference, Side, SliceResult, SplitName
from wavemore.comparison.slices import Slice, slices
from wavemore.comparison.verdict import Outcome
from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import token_nats
from wavemore.engine.line_spans import line_sums
from wavemore.errors import A_CORPUS, RunError, UsageError, all_of, require_kind
from wavemore.nn.model import Model
from wavemore.runs.config import RunConfig
from wavemore.runs.describe import describe_data, describe_model
from wavemore.runs.entry import FinishedRun, one_per_seed, read_entry
from wavemore.runs.find import find_group
from wavemore.runs.identity import changed_settings, data_differences, recipe_key
from wavemore.runs.run import Run
from wavemore.text.corpus import Corpus
from wavemore.text.lines import Lines
from wavemore.text.parts import LinePart

SHOWN_LINES = 5
"""Lines listed as B's largest gains, and as its largest losses."""


def compare(
    a: str | Run | Sequence[Run], b: str | Run | Sequence[Run], split: SplitName = "val", data: str = ""
) -> Comparison:
    """Compare two recipes by their runs, on the val lines or, after all decisions are made, the test lines.

    A side is a name (of a run, an experiment or a folder of runs), a run, or runs that differ only in their seed.
    Unfinished runs are left out if the side has finished ones. `data` is where the data is now, if it was moved.

    Raises `UsageError` for runs on other data or another split, several recipes on one side, or a run on both sides;
    `RunError` for runs that are missing, damaged or unfinished.
    """
    if split not in ("val", "test"):
        raise UsageError(f"`split` is {split!r}; it must be val or test")
    (side_a, runs_a), (side_b, runs_b) = _side(a, "a"), _side(b, "b")
    _check_comparable(side_a, runs_a, side_b, runs_b)
    corpora = _corpora(runs_a, runs_b, data)
    models = [[each.run.model() for each in runs] for runs in (runs_a, runs_b)]
    config = runs_a[0].config
    changes = changed_settings(config, runs_b[0].config)
    return _compare([side_a, side_b], models, corpora, split, describe_data(config), changes)


def compare_models(a: Sequence[Model], b: Sequence[Model], corpus: Corpus, split: SplitName = "val") -> Comparison:
    """Compare models in memory, one per seed on each side.

    Raises `UsageError` for a side without a model.
    """
    a, b = (all_of(side, name, Model, "a list of models, one per seed") for side, name in ((a, "a"), (b, "b")))
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    if not a or not b:
        raise UsageError("each side needs at least one model")
    sides = [
        Side(name, "", models[0].parameter_count(), tuple(range(len(models))), (), ())
        for name, models in (("A", a), ("B", b))
    ]
    return _compare(sides, [a, b], (corpus, corpus), split, corpus.name, ())


def _compare(
    sides: Sequence[Side],
    models: Sequence[Sequence[Model]],
    corpora: tuple[Corpus, Corpus],
    split: SplitName,
    data: str,
    changes: tuple[str, ...],
) -> Comparison:
    part, units, (nats_a, nats_b) = _target_nats(models, corpora, split)
    mean_a, mean_b = nats_a.mean(axis=0), nats_b.mean(axis=0)  # (B,)
    times = part.target_weights()
    weights = np.ones(len(units)) if times is None else times.astype(np.float64)

    def by_unit(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        sums = np.bincount(units, weights=values * mask * weights, minlength=int(units.max()) + 1)  # (B,) -> (U,)
        return sums.astype(np.float64)

    def outcome(mask: NDArray[np.bool_]) -> Outcome:
        a, b = (
            SideLosses(np.stack([by_unit(row, mask) for row in nats]), side[0].config.counted)
            for nats, side in zip((nats_a, nats_b), models, strict=True)
        )
        return judge(a, b, by_unit(np.ones(len(units)), mask))

    def slice_result(each: Slice) -> SliceResult:
        mask = each.targets
        counts = by_unit(np.ones(len(units)), mask)
        return SliceResult(
            group=each.group,
            name=each.name,
            lines=int(np.count_nonzero(line_sums(part, mask.astype(np.float64)))),
            num_targets=int(weights[mask].sum()),
            a=float(np.average(mean_a[mask], weights=weights[mask])),
            b=float(np.average(mean_b[mask], weights=weights[mask])),
            difference=float(np.average((mean_b - mean_a)[mask], weights=weights[mask])),
            interval=units_interval(by_unit(mean_b - mean_a, mask), counts),
        )

    leak_free = part.leak_free_targets
    results = [slice_result(each) for each in slices(corpora[0], part)]
    lines_a, lines_b = line_sums(part, mean_a), line_sums(part, mean_b)
    order = np.argsort(lines_b - lines_a, kind="stable")  # from B's largest gain to its largest loss
    return Comparison(
        a=sides[0],
        b=sides[1],
        data=data,
        split=split,
        num_lines=len(part.lines),
        changed_settings=changes,
        overall=outcome(np.ones(len(units), np.bool_)),
        leak_free=outcome(leak_free) if leak_free.any() and not leak_free.all() else None,
        kinds=tuple(result for result in results if result.group != "position"),
        positions=tuple(result for result in results if result.group == "position"),
        wins=tuple(line for line in _first_lines(part.lines, order, lines_a, lines_b) if line.difference < 0),
        losses=tuple(line for line in _first_lines(part.lines, order[::-1], lines_a, lines_b) if line.difference > 0),
    )


def _target_nats(
    models: Sequence[Sequence[Model]], corpora: tuple[Corpus, Corpus], split: SplitName
) -> tuple[LinePart, NDArray[np.int64], list[NDArray[np.float64]]]:
    """The lines of the split, the unit of each of their targets (B,), and for each side their nats (S, B).

    A text is compared line by line, each line predicted with the text before it.
    """
    corpus, parts = corpora[0], [each.val if split == "val" else each.test for each in corpora]
    part, lines = parts[0], parts[0].as_lines(corpus.vocabulary)
    if not len(lines.lines):
        raise UsageError(f"the {split} part of {corpus.name} has no line end, so it cannot be compared line by line")
    nats = [
        np.stack([token_nats(model, evaluation_batcher(own, model)) for model in side])
        for side, own in zip(models, parts, strict=True)
    ]
    return lines, part.units()[: lines.num_targets], [each[:, : lines.num_targets] for each in nats]


def _first_lines(
    lines: Lines, order: NDArray[np.intp], a: NDArray[np.float64], b: NDArray[np.float64]
) -> list[LineDifference]:
    """The first distinct lines of an order, with their losses."""
    indices: dict[str, int] = {}
    for index in order:
        indices.setdefault(lines[int(index)], index)
        if len(indices) == SHOWN_LINES:
            break
    return [LineDifference(text, float(a[i]), float(b[i]), float(b[i] - a[i])) for text, i in indices.items()]


def _side(side: str | Run | Sequence[Run], parameter: str) -> tuple[Side, list[FinishedRun]]:
    """A side, and its finished runs, one per seed."""
    name = side if isinstance(side, str) else ""
    runs = find_group(side) if isinstance(side, str) else [side] if isinstance(side, Run) else side
    runs = all_of(runs, parameter, Run, "a name, a run, or a list of runs")
    if not runs:
        raise UsageError("each side needs at least one run")
    entries = [read_entry(run) for run in runs]
    _check_one_recipe(name or "a side", [entry.config for entry in entries if entry.config is not None])
    finished, left_out = one_per_seed(entries)
    if not finished:
        entry = entries[0]
        unfinished = f"{entry.run.path} is unfinished ({entry.problem}): finish its training, or name another run"
        raise RunError(unfinished if entry.unfinished else entry.problem)
    config = finished[0].config
    name = name or config.experiment or (str(runs[0].path) if len(runs) == 1 else describe_model(config))
    return (
        Side(
            name=name,
            model=describe_model(config),
            parameters=finished[0].summary.parameters,
            seeds=tuple(each.config.recipe.seed for each in finished),
            runs=tuple(str(each.run.path) for each in finished),
            left_out=tuple(f"{entry.run.path}: {entry.problem}" for entry in left_out),
        ),
        finished,
    )


def _check_one_recipe(name: str, configs: Sequence[RunConfig]) -> None:
    other = next((config for config in configs if recipe_key(config) != recipe_key(configs[0])), None)
    if other is not None:
        differences = [*data_differences(configs[0].data, other.data), *changed_settings(configs[0], other)]
        raise UsageError(
            f"{name} holds runs of several recipes ({'; '.join(differences)}); name runs that differ only in their seed"
        )


def _check_comparable(a: Side, runs_a: Sequence[FinishedRun], b: Side, runs_b: Sequence[FinishedRun]) -> None:
    paths = {each.run.path.resolve() for each in runs_a}
    both = [each.run.path for each in runs_b if each.run.path.resolve() in paths]
    if both:
        raise UsageError(f"{both[0]} is on both sides; name two different sets of runs")
    differences = data_differences(runs_a[0].config.data, runs_b[0].config.data)
    if differences:
        raise UsageError(
            f"{a.name} and {b.name} cannot be compared: {'; '.join(differences)}; train both on the same lines"
        )


def _corpora(a: Sequence[FinishedRun], b: Sequence[FinishedRun], data: str) -> tuple[Corpus, Corpus]:
    """The data of each side: the same lines, with other ids if a side began with a run of other characters."""
    if a[0].config.data.extra_characters == b[0].config.data.extra_characters:
        return (_corpus([*a, *b], data),) * 2
    return _corpus(a, data), _corpus(b, data)


def _corpus(runs: Sequence[FinishedRun], data: str) -> Corpus:
    """The data, from the first run that can still read it."""
    if data:
        return Run(runs[0].run.path, data).corpus()
    for each in runs[:-1]:
        with suppress(RunError):
            return each.run.corpus()
    return runs[-1].run.corpus()
