"""`wavemore sample`: new lines, or new text, from a trained model."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, arg

from wavemore.cli.model_flags import SamplingFlags
from wavemore.cli.options import NO_HINT, File, Flag, IntOrAuto, MovedData, RunName, Runs, Text, Texts, given
from wavemore.cli.progress import busy
from wavemore.cli.run_words import say_run
from wavemore.cli.screen import Screen, print_error, print_item, print_json
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.generate_lines import Known
    from wavemore.engine.line_source import Sample as Line
    from wavemore.engine.sampling import Sampling
    from wavemore.nn.model import Model
    from wavemore.runs.run import Run
    from wavemore.text.nearest import NearLines

FOR_LINES = (
    "suffix",
    "contains",
    "without",
    "match",
    "label",
    "min_length",
    "max_length",
    "distinct",
    "new",
    "min_distance",
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Print new lines, or new text, from a trained model.

    Examples:
      wavemore sample -n 50 --prefix St --contains berg --max-length 12
      wavemore sample runs/towns-1 --suffix a --min-distance 2 -o towns.csv
      wavemore sample runs/story-1 --length 500 --stop .
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
    n: Annotated[IntOrAuto, arg(name="num", aliases=["-n"])] = "auto"
    """how many (auto: 20 lines, or one text)"""
    like: Texts = ()
    """examples: the model is adapted to them, and the lines that are most like them are chosen"""
    rank: Annotated[Literal["auto", "best", "typical", "surprising"], NO_HINT] = "auto"
    """best: the likeliest of many lines; typical: near the list's median; surprising: unusual (auto: varied, good)"""
    raw: Flag = False
    """draw from the model as it is: at temperature 1, without selection, known and repeated lines too"""
    ensemble: Runs = None
    """more runs on the same data: draw from the mean of the probabilities of all"""
    nearest: Flag = False
    """show the known line that is nearest to each, and how many edits away it is"""
    data: MovedData = None
    """where the data of the run is now, if it was moved: --nearest and --min-distance read it"""
    length: IntOrAuto = "auto"
    """for a model of continuous text: characters after the prefix (auto: 500)"""
    stop: Text = None
    """for a model of continuous text: each text ends with the first TEXT after the prefix"""
    output: Annotated[File, arg(aliases=("-o",))] = None
    """write the lines to this file instead: .txt (the lines alone), .csv or .jsonl (with nats, new, ...)"""
    json: Flag = False
    """print a JSON list of objects with text, nats, nats_per_char and, for lines, new, the label, ..."""
    sampling: OmitArgPrefixes[SamplingFlags] = field(default_factory=SamplingFlags)

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the lines, or the text, as they are drawn."""
        from wavemore.runs.ensemble import load_ensemble
        from wavemore.runs.find import find_run

        runs = [find_run(name, self.data or "") for name in (self.run, *(self.ensemble or ()))]
        run, sampling = runs[0], self._sampling(runs[0])
        is_text = run.config.data.format == "text"
        self._check(run, is_text=is_text)
        model = load_ensemble(runs) if len(runs) > 1 else run.model()
        enough = self._print_text(run, model, sampling) if is_text else self._print_lines(run, model, sampling)
        sys.stdout.flush()
        say_run(run, is_named=self.run != "latest")
        if self.sampling.seed == "auto" and sampling.temperature > 0:
            print_error(f"wavemore: --seed {sampling.seed} draws the same again")
        return 0 if enough else 1

    def _check(self, run: "Run", *, is_text: bool) -> None:
        """Raise an error for flags of the other kind of data, and for a file that cannot be written."""
        from wavemore.runs.item_file import check_item_file

        if is_text:
            for name in FOR_LINES:
                if getattr(self.sampling, name) != getattr(SamplingFlags, name):
                    raise UsageError(f"`{name}` is for lines, and {run.path} makes continuous text: use --length")
            flags = {
                "--nearest": self.nearest,
                "--output": self.output,
                "--like": self.like,
                "--rank": self.rank != "auto",
            }
            if flag := next((flag for flag, value in flags.items() if value), ""):
                raise UsageError(f"{flag} is for lines, and {run.path} makes continuous text: leave it out")
        elif self.length != "auto" or self.stop:
            flag = "--length" if self.length != "auto" else "--stop"
            raise UsageError(f"{flag} is for continuous text, and {run.path} makes lines: use --max-length or --suffix")
        if bool(self.like) + (self.rank != "auto") + self.raw > 1:
            raise UsageError("--like, --rank and --raw choose lines in different ways: use one of them")
        if self.output is not None:
            if self.json:
                raise UsageError("--output writes a file and --json prints: use one of them")
            check_item_file(Path(self.output))

    def _print_lines(self, run: "Run", model: "Model", sampling: "Sampling") -> bool:
        """Print or write lines; say whether there are as many as were asked for."""
        from wavemore.runs.known_lines import known_lines
        from wavemore.text.nearest import NearLines

        n = 20 if self.n == "auto" else self.n
        with busy():
            lines = known_lines(run) if self.nearest or sampling.min_distance > 0 else None
            near = NearLines(lines) if lines is not None and self.nearest else None
            known = run.line_hashes() if lines is None else lines
            samples = self._chosen(run, model, sampling, n, known)
            first = next(samples, None)  # before it, the lookahead is made, and lines are indexed
        count = self._show(run, chain([] if first is None else [first], samples), near, hide_label=bool(sampling.label))
        if count < n:
            sys.stdout.flush()
            print_error(
                f"wavemore: found only {count:,} of {n:,} lines: further draws gave none that meets your wishes. Try a "
                "higher --temperature or fewer wishes"
            )
        return count == n

    def _chosen(self, run: "Run", model: "Model", sampling: "Sampling", n: int, known: "Known") -> "Iterator[Line]":
        """Draw lines, and choose some of them if that is wanted."""
        from wavemore.engine.adapt import adapt
        from wavemore.engine.generate_lines import generate
        from wavemore.engine.ranked import keepers, keepers_pool, pool_size, ranked
        from wavemore.text.layout import joined

        vocabulary, summary = run.vocabulary(), run.summary()
        if self.like:
            is_separated = run.config.data.layout.kind == "separated"
            like = [joined(text.strip("\n")) for text in self.like] if is_separated else self.like
            return iter(adapt(model, vocabulary, like, sampling).draw(n, sampling, known))
        if self.rank != "auto":
            percentiles = summary.val_line_percentiles if summary else None
            return iter(ranked(generate(model, vocabulary, pool_size(n), sampling, known), n, self.rank, percentiles))
        if self.raw or sampling.temperature == 0:
            return generate(model, vocabulary, n, sampling, known)
        return keepers(generate(model, vocabulary, keepers_pool(n), sampling, known), n)

    def _show(self, run: "Run", samples: "Iterator[Line]", near: "NearLines | None", *, hide_label: bool) -> int:
        """Print or write lines, and return their number."""
        from wavemore.runs.item_file import sample_items, write_items
        from wavemore.text.layout import broken

        layout, summary = run.config.data.layout, run.summary()
        separator = layout.separator if layout.kind == "separated" else None
        known = 0
        if self.json or self.output:
            with busy():
                made = list(samples)
                known = sum(not sample.new for sample in made)
                items = sample_items(made, summary.val_line_percentiles if summary else None, near)
                if self.output:
                    write_items(Path(self.output), items, [*items[0]] if items else ["text"], separator=separator)
                    Screen().say(f"{self.output}: {len(items):,} lines")
            if self.json:
                print_json([{**item, "text": broken(item["text"]) if separator else item["text"]} for item in items])
            self._say_known(known, len(made))
            return len(made)
        count = 0
        for count, sample in enumerate(samples, start=1):  # noqa: B007
            known += not sample.new
            row = sample.text if hide_label else sample.row
            if near is not None:
                (line, distance), *_ = near.nearest([sample.text])
                row += f"\t{line}\t{distance}"
            print_item(f"{broken(row)}\n{separator}" if separator is not None else row)
        self._say_known(known, count)
        return count

    def _say_known(self, known: int, count: int) -> None:
        """Say how many of the lines are in the data; without --raw, only those at temperature 0 can be."""
        if known:
            sys.stdout.flush()
            print_error(f"wavemore: {known:,} of these {count:,} are in the data, so the model may have memorised them")

    def _print_text(self, run: "Run", model: "Model", sampling: "Sampling") -> bool:
        """Print one text while it is drawn, or several one after the other."""
        from wavemore.engine.generate_text import generate_text, stream_text

        length = 500 if self.length == "auto" else self.length
        n, stop, vocabulary = 1 if self.n == "auto" else self.n, self.stop or "", run.vocabulary()
        if n == 1 and not self.json:
            text, steps = sampling.prefix, stream_text(model, vocabulary, 1, length, sampling, stop)
            print_item(text, end="")
            for step in steps:
                text = vocabulary.decode_text(step.ids)
                print_item(text, end="")
            print_item("", end="" if text.endswith("\n") else "\n")
            return True
        texts = generate_text(model, vocabulary, n, length, sampling, stop)
        if self.json:
            print_json([{"text": t.text, "nats": t.nats, "nats_per_char": t.nats_per_char} for t in texts])
        else:
            for number, generated in enumerate(texts, start=1):
                print_item(f"--- {number} of {n:,}")
                print_item(generated.text)
        return True

    def _sampling(self, run: "Run") -> "Sampling":
        from wavemore.runs.run_sampling import run_sampling

        settings: dict[str, Any] = given(self.sampling)
        settings.setdefault("temperature", self._temperature(run))
        if run.config.data.format == "lines" and not self.raw and settings["temperature"] > 0:
            settings |= {"new": True, "distinct": True}
        settings.setdefault("seed", secrets.randbelow(10**9))
        return run_sampling(run.config.data, settings)

    def _temperature(self, run: "Run") -> float:
        from wavemore.engine.ranked import KEEPERS_TEMPERATURE

        summary = run.summary()
        if self.raw or run.config.data.format == "text":
            return 1.0
        if self.rank != "auto":
            return summary.temperature if summary else 1.0
        return KEEPERS_TEMPERATURE
