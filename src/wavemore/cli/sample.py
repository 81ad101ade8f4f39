"""`wavemore sample`: new lines, or new text, from a trained model."""

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from wavemore.cli.model_flags import SamplingFlags
from wavemore.cli.options import Flag, IntOrAuto, RunName, given
from wavemore.cli.screen import Screen, print_item, print_json
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.engine.sampling import Sampling
    from wavemore.runs.run import Run

FOR_LINES = ("suffix", "contains", "without", "match", "label", "min_length", "max_length", "distinct", "new")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Print new lines, or new text, from a trained model.

    Examples:
      wavemore sample -n 20 --prefix mar --temperature 0.8 --new --distinct
      wavemore sample runs/story-1 --length 500
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
    n: Annotated[IntOrAuto, arg(name="num", aliases=["-n"])] = "auto"
    """how many (auto: 20 lines, or one text)"""
    length: IntOrAuto = "auto"
    """for a model of continuous text: characters after the prefix (auto: 500)"""
    json: Flag = False
    """print a JSON list of objects with text, nats, nats_per_char and, for lines, new and the label"""
    sampling: OmitArgPrefixes[SamplingFlags] = field(default_factory=SamplingFlags)

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the lines, or the text, as they are drawn."""
        from wavemore.runs.find import find_run

        run = find_run(self.run)
        sampling = self._sampling(run)
        if run.config.data.format == "text":
            self._print_text(run, sampling)
            enough = True
        else:
            enough = self._print_lines(run, sampling)
        if self.sampling.seed == "auto" and sampling.temperature > 0:
            sys.stdout.flush()
            suggested = self.sampling.temperature == "auto" and sampling.temperature != 1
            note = f"; --temperature is {sampling.temperature:g}, as the list is short" if suggested else ""
            Screen(stderr=True).say(f"wavemore: --seed {sampling.seed} draws the same again{note}")
        return 0 if enough else 1

    def _print_lines(self, run: "Run", sampling: "Sampling") -> bool:
        """Print lines; say whether there are as many as were asked for."""
        from wavemore.engine.generate_lines import generate
        from wavemore.text.layout import broken

        if self.length != "auto":
            raise UsageError(f"--length is for continuous text, and {run.path} makes lines: use --max-length")
        n = 20 if self.n == "auto" else self.n
        vocabulary, layout = run.vocabulary(), run.config.data.layout
        samples = generate(run.model(), vocabulary, n, sampling, run.line_hashes())
        count, records = 0, list[dict[str, Any]]()
        for sample in samples:
            count += 1
            text = broken(sample.text) if layout.kind == "separated" else sample.text
            if self.json:
                per_char = sample.nats / (len(sample.text) + 1)
                records.append({"text": text, "nats": sample.nats, "nats_per_char": per_char, "new": sample.new})
                if sample.label:
                    records[-1]["label"] = sample.label
            elif layout.kind == "separated":
                print_item(f"{text}\n{layout.separator}")
            else:
                print_item(text if sampling.label else sample.row)
        if self.json:
            print_json(records)
        if count < n:
            sys.stdout.flush()
            Screen(stderr=True).say(
                f"wavemore: found only {count:,} of {n:,} lines: further draws gave none that meets your "
                "wishes. Try a higher --temperature or fewer wishes"
            )
        return count == n

    def _print_text(self, run: "Run", sampling: "Sampling") -> None:
        """Print one text while it is drawn, or several one after the other."""
        from wavemore.engine.generate_text import generate_text, stream_text

        for name in FOR_LINES:
            if getattr(self.sampling, name) != getattr(SamplingFlags, name):
                raise UsageError(f"`{name}` is for lines, and {run.path} makes continuous text: use --length")
        length = 500 if self.length == "auto" else self.length
        n = 1 if self.n == "auto" else self.n
        model, vocabulary = run.model(), run.vocabulary()
        if n == 1 and not self.json:
            text, steps = sampling.prefix, stream_text(model, vocabulary, 1, length, sampling)
            print_item(text, end="")
            for step in steps:
                text = vocabulary.decode_text(step.ids)
                print_item(text, end="")
            print_item("", end="" if text.endswith("\n") else "\n")
            return
        texts = generate_text(model, vocabulary, n, length, sampling)
        if self.json:
            print_json([{"text": t.text, "nats": t.nats, "nats_per_char": t.nats / length} for t in texts])
        else:
            for number, generated in enumerate(texts, start=1):
                print_item(f"--- {number} of {n:,}")
                print_item(generated.text)

    def _sampling(self, run: "Run") -> "Sampling":
        from wavemore.engine.sampling import Sampling
        from wavemore.text.layout import LINE_BREAK

        settings = given(self.sampling)
        longest = max(1, run.config.data.longest_line)
        flags = self.sampling
        parts = (flags.prefix, flags.suffix, *flags.contains)
        shortest = max(flags.min_length, sum(map(len, parts)))
        settings.setdefault("max_length", longest if shortest < longest else shortest + longest)
        summary = run.summary()
        settings.setdefault("temperature", summary.temperature if summary else 1.0)
        if run.config.data.layout.kind == "separated":
            settings["prefix"] = self.sampling.prefix.replace("\n", LINE_BREAK)
        settings.setdefault("seed", secrets.randbelow(10**9))
        return Sampling(**settings)
