"""`wavemore sample`: new lines from a trained model."""

import json
import secrets
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from wavemore.cli.options import Flag, RunName, flags_of, given
from wavemore.cli.screen import Screen, visible
from wavemore.engine.sampling import Sampling

SamplingFlags: Any = flags_of(Sampling, auto=("max_length", "seed"))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Make new lines with a trained model.

    Example: wavemore sample -n 20 --prefix mar --temperature 0.8 --new --distinct
    """

    run: RunName = "latest"
    """A run folder, or its name in runs/."""
    n: Annotated[int, arg(aliases=["-n"], metavar="N")] = 20
    """How many lines."""
    sampling: OmitArgPrefixes[SamplingFlags] = field(default_factory=SamplingFlags)
    """auto: --max-length is the data's longest line, --seed another one each time."""
    json: Flag = False
    """Print a JSON list of objects with text, nats, nats_per_char, new."""

    def run_command(self) -> int:
        """Print the lines as they are drawn."""
        from wavemore.engine.generate import generate
        from wavemore.lab.runs import find_run

        run = find_run(self.run)
        asked: dict[str, Any] = {
            "max_length": max(1, run.config.data.longest, len(self.sampling.prefix)),
            "seed": secrets.randbits(48),
        }
        asked |= given(self.sampling)
        sampling = Sampling(**asked)
        samples = generate(run.model(), run.vocabulary(), self.n, sampling, run.line_hashes())
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
        if made < self.n:
            sys.stdout.flush()
            Screen(stderr=True).say(
                f"wavemore: {made:,} of {self.n:,} lines: many more draws brought nothing else that passes; "
                "allow more with a higher --temperature, another --prefix or lengths, or without --new or --distinct"
            )
        return 0
