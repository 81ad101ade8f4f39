"""What `wavemore train` prints before and after a training."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavemore.cli.screen import Screen, cells, label_table, losses, padded, seconds
from wavemore.signs import visible
from wavemore.text.vocabulary import BOUNDARY

if TYPE_CHECKING:
    from wavemore.engine.evaluate import Evaluation
    from wavemore.engine.recipe import Recipe
    from wavemore.engine.training_plan import TimeBudget
    from wavemore.nn.model import Model
    from wavemore.runs.config import RunConfig, SourceConfig
    from wavemore.runs.record import Summary
    from wavemore.runs.run import Run
    from wavemore.text.corpus import Corpus
    from wavemore.text.parts import Part

EXAMPLES, EXAMPLE_CELLS = 10, 90
"""Items that are shown, at most, and their width together."""
PIECE = 1 << 20
"""Characters that are counted at once."""
RARE, SHORT = 3, 300
"""Times that a rare character occurs, at most, and lines below which this is no surprise."""
LOOKED_AT, MOSTLY = 1_000, 0.9
"""Items that are looked at for a number at their end, and the fraction that has one if most have."""
ENDS_IN_NUMBER = re.compile(r"\w\W*[\s,;:|]\d[\d.,]*$")
FEW_CHARACTERS = 5_000
"""Below this number of val characters, the loss of a text is uncertain by more than 0.02 nats."""
COUNTING_LEARNS = 1e6
"""Parameters times predicted characters of a training, per train character of a text, that counting is often worth."""


def show_settings(screen: Screen, run: "Run", model: "Model", corpus: "Corpus", explanation: str) -> None:
    """Print the data, its split, the model and the recipe; `explanation` says how the data is read."""
    from wavemore.engine.defaults import suggested_temperature
    from wavemore.runs.describe import describe_split, describe_teachers
    from wavemore.text.reports import pluralize

    config = run.config
    screen.say(f"data    {corpus.name}: {corpus.report}")
    if explanation:
        screen.say(f"format  {explanation}")
        if corpus.format == "lines":
            screen.say(f"items   {_examples(corpus)}")
            if rare := _rare(corpus):
                screen.say(f"rare    {rare}")
    for line in _labels(corpus):
        screen.say(line)
    if corpus.report.invisible:
        screen.say(f"note    {_invisible(corpus)}")
    screen.say(f"split   {describe_split(config.data)}: {_sizes(corpus)}")
    for note in (*_oddities(corpus), *_leaks(corpus)):
        screen.say(f"note    {note}")
    if variants := corpus.case_variants:
        screen.say(
            f"note    {pluralize(variants, 'val line')} differ from a train line in upper and lower case only, and "
            "count as lines that are not in train"
        )
    count = corpus.val.num_targets
    if corpus.format == "text" and count < FEW_CHARACTERS:
        # The loss of a character has a standard deviation of about 1.5 nats, and characters are not independent.
        screen.say(
            f"note    with only {count:,} val characters the loss is uncertain by {1.5 / count**0.5:.2f} nats or more; "
            "a longer text would give a more reliable figure"
        )
    if (temperature := suggested_temperature(corpus)) < 1:
        screen.say(
            f"samples at temperature {temperature:g}, as the list is short: expect most, but not all, to look right; "
            "more lines make a better model"
        )
    if config.model == "ngram":
        screen.say(f"model   ngram: {config.model_config.describe()}; counted in one pass")
    else:
        screen.say(f"model   {config.model}: {config.model_config.describe()}; {model.parameter_count():,} parameters")
        screen.say(f"recipe  {_recipe(config.recipe, corpus)}")
        if _is_limited(config, corpus):
            screen.say("note    this is a short training for so much data; --minutes 30 trains for half an hour")
    if config.carried_from is not None:
        screen.say(*_carried(config.carried_from, config))
    if config.budget is not None:
        screen.say(f"plan    {_budget(config.budget, run)}")
        if corpus.format == "text" and _learned(config, model) < COUNTING_LEARNS * corpus.train.num_targets:
            screen.say("note    in so short a time, counting may predict this text better: try --model ngram too")
    if config.teachers and config.budget is None:
        time = seconds(sum(teacher.train_seconds for teacher in config.teachers))
        screen.say(
            f"distill from {describe_teachers(config)}, weight {config.recipe.distill_weight:g}; "
            f"training the teachers took {time}"
        )
    old = "; it replaces the run there after its first evaluation" if run.is_replacement else ""
    screen.say(f"run     {run.home}{old}")


def show_result(
    screen: Screen, run: "Run", corpus: "Corpus", summary: "Summary", val: "Evaluation", samples: Sequence[Any]
) -> None:
    """Print the losses, the samples and the commands that a user may want next."""
    unit = by_count(corpus.val)
    screen.say("", f"train  {losses(summary.train_nats)}{unit}{_of_train(summary, corpus)}")
    screen.say(f"val    {losses(val.nats)}{unit}", style="bold")
    if val.leak_free_targets not in (0, val.num_targets):
        screen.say(f"       {losses(val.leak_free_nats)}, on the val lines that are not in train")
    if summary.val_label_recovery is not None:
        screen.say(f"label  recovered from {summary.val_label_recovery:.1%} of the val items; losses per label:")
        screen.say(label_table(screen, val.by_label))
    if summary.memorised is not None:
        suited = f"drawn at temperature {summary.temperature:g}, which suits this list"
        first, *others = [*summary.memorised.sentences, suited]
        screen.say(f"known  {first}", *(f"       {other}" for other in others))
    recipe = run.config.recipe
    planned = f" (planned: {recipe.planned_first.steps:,})" if recipe.replanned else ""
    screen.say(
        f"trained for {seconds(summary.train_seconds)}; "
        f"best checkpoint: step {summary.best_step:,} of {summary.steps:,}{planned}",
        "",
    )
    path = shlex.quote(str(run.path))
    commands = [f"wavemore evaluate {path}", "wavemore log"]
    if corpus.format == "text":
        for row in samples[0].text.split("\n"):
            screen.say(f"  {row}")
        commands.insert(0, f"wavemore sample {path} --length 500")
    else:
        _show_lines(screen, samples)
        label = f" --label {shlex.quote(corpus.vocabulary.labels.names[0])}" if corpus.vocabulary.labels else ""
        commands[:0] = [f"wavemore sample {path}{label}", *_score_command(path, corpus)]
    screen.say("", "next:", *(f"  {command}" for command in commands))


def by_count(part: "Part") -> str:
    """Return the end of a loss's unit: whether items weigh as much as their counts."""
    return "" if part.segment_weights is None else ", items weighted by their counts"


def _oddities(corpus: "Corpus") -> Iterator[str]:
    """Yield what the lines of a plain list may have that is no part of the items: a header, or numbers at the end."""
    if corpus.format != "lines" or corpus.layout.kind != "plain":
        return
    if header := corpus.header:
        yield f"the first item is {header}, which looks like a header: if it is one, add --column {header}"
    lines = list(corpus.train.as_lines(corpus.vocabulary).lines[:LOOKED_AT])
    numbered = [line for line in lines if ENDS_IN_NUMBER.search(line)]
    if len(numbered) >= MOSTLY * len(lines):
        yield (
            f"most items end with a number, as in {visible(numbered[0][:EXAMPLE_CELLS])!r}, which is learned as a part "
            "of them; if it is a count, put a comma before it, and add --count-column 2"
        )


def _leaks(corpus: "Corpus") -> Iterator[str]:
    """Yield how many lines of the files that are a part of their own are in train too."""
    for name, file, part in (("val", corpus.val_file, corpus.val), ("test", corpus.test_file, corpus.test)):
        leaks = int((~part.leak_free_segments).sum())
        if file is not None and part.format == "lines" and leaks:
            count = len(part.leak_free_segments)
            yield f"{leaks:,} of {count:,} {name} lines are also in train: their loss says little about new lines"


def _carried(source: "SourceConfig", config: "RunConfig") -> list[str]:
    """Return what was carried over from another run, and what may make it less useful."""
    from wavemore.text.reports import pluralize

    new = source.new_characters
    known = f"{source.known} of {pluralize(source.known + len(new), 'character')} known"
    shown = " ".join(map(visible, new[:EXAMPLES])) + (" ..." if len(new) > EXAMPLES else "")
    rows = [
        f"from    carried over from {source.run}: {config.model} {config.model_config.label}, {known}"
        + (f", new: {shown}" if new else "")
    ]
    if source.lost_by_case:
        rows.append(
            f"note    {pluralize(source.lost_by_case, 'new character')} would be known in lower case: add --case lower"
        )
    normalize = source.cleaning.normalize
    if source.lost_by_form and normalize != config.data.cleaning.normalize:
        rows.append(
            f"note    {pluralize(source.lost_by_form, 'new character')} would be known in the form of that run's data: "
            f"add --normalize {normalize}"
        )
    if source.shared_val_lines:
        verb = "is" if source.shared_val_lines == 1 else "are"
        rows.append(
            f"note    {pluralize(source.shared_val_lines, 'val line')} {verb} also in that run's data: the val loss "
            "looks better than it would on lines that are new to the model"
        )
    return rows


def _invisible(corpus: "Corpus") -> str:
    """Return the invisible characters of the data, and the flag that takes them out."""
    from wavemore.text.cleaning import NEEDED, describe_invisible

    found = corpus.report.invisible
    characters = {invisible.character for invisible in found}
    advice = "--invisible strip takes them out"
    if corpus.cleaning.invisible == "strip":
        advice = "emoji or scripts need them there; --invisible strip-all takes them out"
    elif characters & NEEDED:
        advice += " where no emoji or script needs them, --invisible strip-all everywhere"
    if corpus.encoding in ("latin-1", "iso8859-1") and any("\x80" <= character < "\xa0" for character in characters):
        advice += "; a file from Windows needs --encoding cp1252"
    return f"invisible characters: {describe_invisible(found)}; {advice}"


def _of_train(summary: "Summary", corpus: "Corpus") -> str:
    """Return what the train loss is of, if not of all of train."""
    from wavemore.engine.loss_parts import train_loss_part

    targets = summary.train_targets
    if targets is None or train_loss_part(corpus).num_targets == corpus.train.num_targets:
        return ""
    which = "the last" if corpus.format == "text" else "a sample of"
    return f", on {which} {targets:,} train characters"


def _examples(corpus: "Corpus") -> str:
    """Return some items as they were read."""
    shown, width = list[str](), 0
    for item in corpus.train.as_lines(corpus.vocabulary).lines[:EXAMPLES]:
        width += cells(item) + 2
        if shown and width > EXAMPLE_CELLS:
            break
        shown.append(item if len(item) <= EXAMPLE_CELLS else item[:EXAMPLE_CELLS] + "...")
    return ", ".join([*shown, "..."])


def _labels(corpus: "Corpus") -> Iterator[str]:
    """Yield the labels with their items, the most frequent first, and a note on those with few."""
    from wavemore.text.reports import pluralize
    from wavemore.text.splits import MIN_DISTINCT

    columns = [column for part in (corpus.train, corpus.val, corpus.test) if (column := part.labels) is not None]
    if not columns:
        return
    counts = Counter(dict.fromkeys(columns[0].names, 0))
    for column in columns:
        numbers, found = np.unique(column.numbers, return_counts=True)
        counts.update({column.names[number]: int(count) for number, count in zip(numbers, found, strict=True)})
    words = [f"{visible(name)} {count:,}" for name, count in counts.most_common(EXAMPLES)]
    yield f"labels  {len(counts):,}: {', '.join(words)}{', ...' if len(counts) > EXAMPLES else ''}"
    few = [name for name, count in counts.most_common() if count < MIN_DISTINCT]
    if few:
        names = ", ".join(map(visible, few[:EXAMPLES])) + (", ..." if len(few) > EXAMPLES else "")
        verb = "has" if len(few) == 1 else "have"
        yield (
            f"note    {pluralize(len(few), 'label')} {verb} fewer than {MIN_DISTINCT} items ({names}): too few to be "
            "learned, or to be in train, val and test"
        )


def _rare(corpus: "Corpus") -> str:
    """Return the characters that occur seldom, in words; empty for a short list, of which most do."""
    counts = np.zeros(len(corpus.vocabulary), np.int64)
    for part in (corpus.train, corpus.val, corpus.test):
        for start in range(0, part.num_targets, PIECE):  # numpy counts copies of eight bytes per character
            counts += np.bincount(part.tokens[start : start + PIECE], minlength=len(counts))
    if counts[BOUNDARY] < SHORT:
        return ""
    rare = sorted(
        pair for pair in zip(counts[1:].tolist(), corpus.vocabulary.characters, strict=True) if 1 <= pair[0] <= RARE
    )
    words = [f"{character} {'once' if count == 1 else f'{count} times'}" for count, character in rare[:EXAMPLES]]
    more = [f"and {len(rare) - EXAMPLES:,} more characters"] if len(rare) > EXAMPLES else []
    return ", ".join([*words, *more])


def _sizes(corpus: "Corpus") -> str:
    """Return the sizes of train, val and test: characters of a text, lines of a list."""
    parts = {"train": corpus.train, "val": corpus.val, "test": corpus.test}
    if corpus.format == "text":
        sizes = {name: part.num_targets for name, part in parts.items()}
        unit = "characters"
    else:
        sizes = {name: len(part.as_lines(corpus.vocabulary).lines) for name, part in parts.items()}
        unit = "lines"
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items()) + f" {unit}"


def _recipe(recipe: "Recipe", corpus: "Corpus") -> str:
    epochs = recipe.steps * recipe.batch_size / corpus.train.num_targets
    batch = f"{recipe.batch_size:,} characters"
    if corpus.format == "text":
        batch += f" in blocks of {recipe.block_size:,}"
    rates = f"learning rate {recipe.learning_rate:g}"
    if recipe.optimizer == "muon":
        rates += f" (AdamW {recipe.adamw_learning_rate:g})"
    return (
        f"{recipe.optimizer}, {epochs:.3g} epochs = {recipe.steps:,} steps of {batch}, {rates}, "
        f"schedule {recipe.schedule}, weight decay {recipe.weight_decay:g}, {recipe.precision}, seed {recipe.seed}"
    )


def _is_limited(config: "RunConfig", corpus: "Corpus") -> bool:
    """Whether the data is so large that the default length does not read it once."""
    own_length = any(word.startswith(("--steps", "--epochs", "--minutes")) for word in config.command)
    return not own_length and config.recipe.steps * config.recipe.batch_size < corpus.train.num_targets


def _learned(config: "RunConfig", model: "Model") -> float:
    """Return the parameters times predicted characters of a training."""
    return float(config.recipe.steps * config.recipe.batch_size * model.parameter_count())


def _budget(budget: "TimeBudget", run: "Run") -> str:
    """Return what was chosen for a time, as the flags that would train the same without it."""
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in budget.chosen.items())
    if count := len(run.config.teachers):
        folder = Path(run.config.teachers[0].run).parent
        flags = f"{count} teachers, then {flags} --teachers {shlex.quote(str(run.home / folder.name))}"
    return f"{seconds(60 * budget.minutes)} at {budget.chars_per_second:,.0f} characters/s as measured: {flags}"


def _show_lines(screen: Screen, samples: Sequence[Any]) -> None:
    texts, labels = ([visible(getattr(sample, name)) for sample in samples] for name in ("text", "label"))
    width, label_width = (max(map(cells, column), default=0) for column in (texts, labels))
    for sample, text, label in zip(samples, texts, labels, strict=True):
        of_label = f"  {padded(label, label_width)}" if label else ""
        screen.say(f"  {padded(text, width)}{of_label}  {'new' if sample.new else 'known'}")


def _score_command(path: str, corpus: "Corpus") -> list[str]:
    """Return a command that scores a val line, if one is short and printable."""
    for line in corpus.val.as_lines(corpus.vocabulary).lines:
        if len(line) <= 40 and line.isprintable():
            return [f"wavemore score {path} {'-- ' if line.startswith('-') else ''}{shlex.quote(line)}"]
    return []
