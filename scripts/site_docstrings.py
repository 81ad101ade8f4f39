"""A griffe extension for the documentation site: the doctest examples of docstrings become code blocks."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


def fenced(docstring: str) -> str:
    """Return the docstring with each example in a code block."""
    return EXAMPLE.sub(lambda match: f"```pycon\n{match[0]}\n```", docstring)


class Examples(griffe.Extension):
    """Put the examples of every docstring into code blocks."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was just read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
