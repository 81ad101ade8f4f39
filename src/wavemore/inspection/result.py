"""What an inspection found, as text, as a table in a notebook, as numbers."""

from dataclasses import asdict, dataclass
from html import escape
from math import isfinite
from typing import Any

from wavemore.inspection.finding import Finding, Losses
from wavemore.inspection.layer_stats import Histogram, Layer

HEADER = ("layer", "shape", "numbers", "params", "mean", "std", "flat", "grad", "update")
TEXT = (0, 1, 2)
KINDS = ("+", "", ".0%", ".2g", ".1f")
MEANINGS = {"B": " windows", "T": " characters", "V": " tokens (the characters and the boundary)"}


@dataclass(frozen=True)
class Inspection:
    """What is inside of a model; a table in a notebook, and in text with `print`."""

    title: str
    layers: list[Layer]
    findings: list[Finding]
    activations: dict[str, Histogram]
    gradients: dict[str, Histogram]
    parameters: int
    vocabulary: int
    context: int
    receptive_field: int | None
    """How many characters back the prediction depends on anything; None where it is the whole line."""
    tree: str
    """A drawing of which characters meet where; empty for models without fusions."""
    fuse: tuple[int, ...]
    line: str
    """The line of the data in the drawing."""
    losses: Losses
    letters: dict[str, int]
    """What the letters of the shapes stand for."""
    of_text: bool = False
    """Whether it was looked at on a continuous text, which has no lines."""

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as JSON takes them: no NaN."""
        record: dict[str, Any] = {
            "title": self.title,
            "parameters": self.parameters,
            "vocabulary": self.vocabulary,
            "context": self.context,
            "receptive_field": self.receptive_field,
            "fuse": list(self.fuse),
            "sizes": self.letters,
            "losses": asdict(self.losses),
            "layers": [asdict(layer) | {"shape": list(layer.shape)} for layer in self.layers],
            "findings": [asdict(finding) for finding in self.findings],
        }
        return {key: _finite(value) for key, value in record.items()}

    def rows(self) -> list[list[str]]:
        """The cells of the table below `HEADER`."""
        return [
            [
                layer.name,
                layer.letters,
                " x ".join(map(str, layer.shape)),
                f"{layer.parameters:,}" if layer.parameters else "",
                *(_cell(value, kind) for value, kind in zip(_numbers(layer), KINDS, strict=True)),
            ]
            for layer in self.layers
        ]

    @property
    def sees(self) -> str:
        """How far the prediction looks back, in words."""
        if self.receptive_field is None:
            return f"sees the whole {'text so far' if self.of_text else 'line'}"
        return f"sees {self.receptive_field:,} character{'s' if self.receptive_field != 1 else ''}"

    @property
    def legend(self) -> str:
        """What the letters stand for: `B = 1,024 windows, T = 8 characters, ...`."""
        return ", ".join(f"{letter} = {size:,}{MEANINGS.get(letter, '')}" for letter, size in self.letters.items())

    @property
    def told(self) -> list[Finding]:
        """The findings to be read: those that say the same of several layers are one."""
        together: dict[tuple[str, str], list[str]] = {}
        for finding in self.findings:
            together.setdefault((finding.kind, finding.words), []).append(finding.where)
        return [Finding(kind, ", ".join(filter(None, where)), words) for (kind, words), where in together.items()]

    @property
    def verdict(self) -> str:
        """How many findings there are, in words."""
        count = len(self.told)
        return "nothing found that is wrong" if not count else f"{count} finding{'s' if count > 1 else ''}:"

    def __str__(self) -> str:
        rows = [list(HEADER), *self.rows()]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADER))]
        table = [
            "  ".join(
                cell.ljust(width) if place in TEXT else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        tree = ["", self.tree] if self.tree else []
        found = [f"- {finding}" for finding in self.told]
        facts = f"{self.title}: {self.parameters:,} parameters, {self.sees}"
        return "\n".join([facts, self.legend, "", *table, *tree, "", self.verdict, *found])

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='{_side(place)}'>{name}</th>" for place, name in enumerate(HEADER))
        body = "".join(
            "<tr>"
            + "".join(f"<td style='{_side(place)}'>{escape(cell)}</td>" for place, cell in enumerate(row))
            + "</tr>"
            for row in self.rows()
        )
        found = "".join(
            f"<li><b>{escape(finding.kind)}</b>{f' ({escape(finding.where)})' if finding.where else ''}: "
            f"{escape(finding.words)}</li>"
            for finding in self.told
        )
        return (
            "<div class='wavemore-inspection'>"
            f"<p><b>{escape(self.title)}</b>: {self.parameters:,} parameters, {self.sees}"
            f"<br><small>{escape(self.legend)}</small></p>"
            f"<table style='color:inherit'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            + (f"<pre style='font-family:monospace;line-height:1.15'>{escape(self.tree)}</pre>" if self.tree else "")
            + f"<p>{escape(self.verdict)}</p>"
            + (f"<ul>{found}</ul>" if found else "")
            + "</div>"
        )


def _numbers(layer: Layer) -> tuple[float | None, ...]:
    return layer.mean, layer.std, layer.saturated, layer.gradient, layer.update_ratio


def _cell(value: float | None, kind: str) -> str:
    if value is None:
        return ""
    if kind in ("", "+"):  # mean and std: two digits behind the point, unless they are tiny or huge
        small = abs(value) < (0.1 if kind == "" else 0)
        kind += ".2g" if small or abs(value) >= 1000 else ".2f"
    return f"{value:{kind}}"


def _side(place: int) -> str:
    return f"text-align:{'left' if place in TEXT else 'right'};padding:0.1em 0.6em"


def _finite(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
