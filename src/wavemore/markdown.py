"""Markdown by hand: one way to escape text, and one table."""

from collections.abc import Collection, Sequence

from wavemore.signs import visible


def escape(text: str) -> str:
    r"""Return any text as one line of plain, visible Markdown text; `markdown_table` escapes the pipes.

    >>> print(escape("a_b <i>\n*c*"))
    a\_b \<i\> \*c\*
    """
    for sign in "\\<>*_`[]":
        text = text.replace(sign, f"\\{sign}")
    return visible(" ".join(text.split()))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    r"""Build a table of Markdown cells, each pipe escaped; the columns with an index in `right` are right-aligned.

    >>> print(markdown_table(["name", "nats"], [["a|b", "2.1"]], right=[1]))
    | name | nats |
    |---|---:|
    | a\|b | 2.1 |
    """
    rule = "".join("---:|" if column in right else "---|" for column in range(len(header)))
    lines = [" | ".join(visible(cell).replace("|", r"\|") for cell in row) for row in [header, *rows]]
    return "\n".join([f"| {lines[0]} |", f"|{rule}", *(f"| {line} |" for line in lines[1:])])
