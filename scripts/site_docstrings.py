"""Docstrings for the documentation site, as an extension of griffe: doctest examples become blocks of code."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


def fenced(docstring: str) -> str:
    """The text with its examples as blocks."""
    return EXAMPLE.sub(lambda match: f"```pycon\n{match[0]}\n```", docstring)


class Examples(griffe.Extension):
    """Fence the examples of every docstring."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Take what has just been read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
