"""The result of an inspection: as text, as a table in a notebook, as numbers."""

from dataclasses import dataclass
from typing import Any

import msgspec

from wavemore.html import table, text
from wavemore.inspection.finding import Finding, Losses
from wavemore.inspection.layer_stats import Histogram, Layer
from wavemore.text.parts import Format

HEADER = ("layer", "shape", "size", "params", "mean", "std", "saturated", "grad std", "log10 update/weight")
TEXT = (0, 1, 2)
"""The columns of `HEADER` that hold text."""
UNITS = {"B": " windows", "T": " characters", "V": " tokens (the characters and the boundary)"}


@dataclass(frozen=True)
class Inspection:
    """What is inside a model: a table in a notebook, text with `print`."""

    title: str
    layers: list[Layer]
    findings: list[Finding]
    activations: dict[str, Histogram]
    gradients: dict[str, Histogram]
    parameters: int
    vocabulary_size: int
    context: int
    receptive_field: int | None
    """Number of characters that the prediction depends on; None for the whole line or text so far."""
    tree: str
    """A drawing of which characters meet where; empty for models without fusions."""
    fuse: tuple[int, ...]
    line: str
    """The line of the data in the drawing."""
    losses: Losses
    format: Format
    """Of the data."""

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON, with null for those that are not finite."""
        record = {
            "title": self.title,
            "parameters": self.parameters,
            "vocabulary_size": self.vocabulary_size,
            "context": self.context,
            "receptive_field": self.receptive_field,
            "fuse": self.fuse,
            "sizes": self.sizes,
            "losses": self.losses,
            "layers": self.layers,
            "findings": self.findings,
        }
        return msgspec.json.decode(msgspec.json.encode(record), type=dict[str, Any])

    def rows(self) -> list[list[str]]:
        """The cells of the table below `HEADER`."""
        return [
            [
                layer.name,
                layer.shape_letters,
                " x ".join(map(str, layer.shape)),
                f"{layer.parameters:,}" if layer.parameters else "",
                _decimal(layer.mean, sign="+"),
                _decimal(layer.std),
                "" if layer.saturated is None else f"{layer.saturated:.0%}",
                "" if layer.gradient_std is None else f"{layer.gradient_std:.2g}",
                "" if layer.update_ratio is None else f"{layer.update_ratio:.1f}",
            ]
            for layer in self.layers
        ]

    @property
    def sizes(self) -> dict[str, int]:
        """The values of the letters in shapes, from the layers whose output is just that letter."""
        sizes = {"B": self.layers[0].shape[0]} if self.layers else {}
        sizes["T"] = self.context
        for layer in self.layers:
            for letter, size in zip(layer.shape_letters.strip("()").split(", "), layer.shape, strict=True):
                if letter[:1] in "EH":
                    sizes.setdefault(letter, size)
        return {**sizes, "V": self.vocabulary_size}

    @property
    def summary(self) -> str:
        """The size of the model, and how far the prediction looks back: `76,579 parameters, sees 8 characters`."""
        if self.receptive_field is None:
            sees = "the whole text so far" if self.format == "text" else "the whole line"
        else:
            sees = f"{self.receptive_field:,} character{'s' if self.receptive_field != 1 else ''}"
        return f"{self.parameters:,} parameters, sees {sees}"

    @property
    def legend(self) -> str:
        """The values of the letters: `B = 1,024 windows, T = 8 characters, ...`."""
        return ", ".join(f"{letter} = {size:,}{UNITS.get(letter, '')}" for letter, size in self.sizes.items())

    @property
    def problems(self) -> list[Finding]:
        """The findings for reading: those with the same message for several layers are one."""
        places: dict[tuple[str, str], list[str]] = {}
        for finding in self.findings:
            places.setdefault((finding.kind, finding.message), []).append(finding.where)
        return [Finding(kind, message, ", ".join(filter(None, where))) for (kind, message), where in places.items()]

    @property
    def verdict(self) -> str:
        """The number of problems, in words."""
        count = len(self.problems)
        return "no problems found" if not count else f"{count} problem{'s' if count > 1 else ''}:"

    def __str__(self) -> str:
        rows = [list(HEADER), *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [
                cell.ljust(width) if column in TEXT else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        tree = ["", self.tree] if self.tree else []
        problems = [f"- {finding}" for finding in self.problems]
        return "\n".join([f"{self.title}: {self.summary}", self.legend, "", *lines, *tree, "", self.verdict, *problems])

    def _repr_html_(self) -> str:
        rows = [[text(cell) for cell in row] for row in self.rows()]
        tree = f"<pre style='font-family:monospace;line-height:1.15'>{text(self.tree)}</pre>" if self.tree else ""
        problems = "".join(
            f"<li><b>{text(finding.kind)}</b>{f' ({text(finding.where)})' if finding.where else ''}: "
            f"{text(finding.message)}</li>"
            for finding in self.problems
        )
        return (
            f"<div class='wavemore-inspection'><p><b>{text(self.title)}</b>: {text(self.summary)}"
            f"<br><small>{text(self.legend)}</small></p>{table(HEADER, rows, left=TEXT)}{tree}"
            f"<p>{text(self.verdict)}</p>{f'<ul>{problems}</ul>' if problems else ''}</div>"
        )


def _decimal(value: float | None, sign: str = "") -> str:
    """Format with two decimals, or two digits if the number is huge, or small and without a sign."""
    if value is None:
        return ""
    digits = ".2g" if abs(value) >= 1000 or (not sign and abs(value) < 0.1) else ".2f"
    return f"{value:{sign}{digits}}"
