"""`wavemore sample`: new lines, or new text, from a trained model."""

import json
import secrets
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, arg

from wavemore.cli.options import Flag, RunName, flags_of, given
from wavemore.cli.screen import Screen, visible
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.runs.run import Run

SamplingFlags: Any = flags_of(Sampling, auto=("max_length", "seed"))

LENGTH = 500
"""Characters of a text, where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Make new lines with a trained model, or new text with one that was trained on continuous text.

    Example: wavemore sample -n 20 --prefix mar --temperature 0.8 --new --distinct   (a text: --length 500)
    """

    run: RunName = "latest"
    """A run folder, or its name in runs/."""
    n: Annotated[int | Literal["auto"], arg(aliases=["-n"], metavar="N")] = "auto"
    """How many; auto: 20 lines, one text."""
    length: Annotated[int | Literal["auto"], arg(metavar="N")] = "auto"
    """Of continuous text: characters after the prefix (auto: 500)."""
    sampling: OmitArgPrefixes[SamplingFlags] = field(default_factory=SamplingFlags)
    """auto: --max-length is the data's longest line, --seed another one each time."""
    json: Flag = False
    """Print a JSON list of objects with text, nats, nats_per_char, new."""

    def run_command(self) -> int:
        """Print the lines as they are drawn."""
        from wavemore.engine.generate_lines import generate
        from wavemore.runs.find import find_run

        run = find_run(self.run)
        if run.config.data.text == "stream":
            return self._write(run)
        if self.length != "auto":
            raise UsageError(f"--length is for continuous text, and {run.path} makes lines: see --max-length")
        n = 20 if self.n == "auto" else self.n
        asked: dict[str, Any] = {
            "max_length": max(1, run.config.data.longest, len(self.sampling.prefix)),
            "seed": secrets.randbits(48),
        }
        asked |= given(self.sampling)
        sampling = Sampling(**asked)
        samples = generate(run.model(), run.vocabulary(), n, sampling, run.line_hashes())
        made = 0
        if self.json:
            listed = [
                {"text": s.text, "nats": s.nats, "nats_per_char": s.nats / (len(s.text) + 1), "new": s.new}
                for s in samples
            ]
            made = len(listed)
            print(json.dumps(listed, ensure_ascii=False, indent=1))
        else:
            shown = visible if sys.stdout.isatty() else str  # a file or a pipe gets the lines as they are
            for sample in samples:
                print(shown(sample.text))
                made += 1
        if made < n:
            sys.stdout.flush()
            Screen(stderr=True).say(
                f"wavemore: {made:,} of {n:,} lines: many more draws brought nothing else that passes; "
                "allow more with a higher --temperature, another --prefix or lengths, or without --new or --distinct"
            )
        return 0

    def _write(self, run: "Run") -> int:
        """Print a text as it is drawn; several one after the other."""
        from wavemore.engine.generate_text import characters, write

        asked = given(self.sampling)
        defaults = Sampling()
        for name in ("min_length", "max_length", "distinct", "new"):
            if asked.get(name, getattr(defaults, name)) != getattr(defaults, name):
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} is for lines, and {run.path} makes continuous text: see --length")
        length = LENGTH if self.length == "auto" else self.length
        n = 1 if self.n == "auto" else self.n
        prefix = self.sampling.prefix
        sampling = Sampling(**{"seed": secrets.randbits(48), "max_length": max(1, len(prefix)), **asked})
        model, vocabulary = run.model(), run.vocabulary()
        if n == 1 and not self.json:
            drawn = characters(model, vocabulary, 1, length, sampling)
            shown = _shown_text if sys.stdout.isatty() else str
            sys.stdout.write(shown(prefix))
            last = prefix[-1:]
            for step in drawn:
                last = vocabulary.decode_text(step.ids)
                sys.stdout.write(shown(last))
                if sys.stdout.isatty():
                    sys.stdout.flush()
            if last != "\n":
                sys.stdout.write("\n")
            return 0
        texts = write(model, vocabulary, n, length, sampling)
        if self.json:
            listed = [{"text": t.text, "nats": t.nats, "nats_per_char": t.nats / length} for t in texts]
            print(json.dumps(listed, ensure_ascii=False, indent=1))
        else:
            shown = _shown_text if sys.stdout.isatty() else str
            for number, text in enumerate(texts, start=1):
                print(f"--- {number} of {n:,}")
                print(shown(text.text))
        return 0


def _shown_text(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))
