"""The page of a study: its Markdown page, with the figures inside."""

import re
from pathlib import Path

from markdown_it import MarkdownIt

from wavemore.errors import RunError
from wavemore.html import Html
from wavemore.reports.tags import page, picture
from wavemore.signs import visible
from wavemore.studies.page import figures
from wavemore.studies.page import page as markdown_page
from wavemore.studies.record import Record, read_record


def study_page(folder: Path) -> str:
    """Return the page of a finished study.

    Raises `RunError` if its record is missing or damaged.
    """
    record = read_record(folder)
    try:
        return _page(record)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{folder / 'study.json'} is damaged ({repr(error)[:200]})"
        raise RunError(f"{reason}; `wavemore study` makes it again from the runs") from None


def _page(record: Record) -> str:
    introduction, *rest = markdown_page(record).split("\n## ")
    parts = (section.partition("\n") for section in rest)
    sections = [(heading, [render(body)]) for heading, _, body in parts]
    for name, figure in figures(record).items():
        sections[0][1].append(picture(figure, f"Each seed, mean and 95 % interval of the arms of {name}"))
    return page(str(record["question"]), [render(introduction.partition("\n")[2])], sections)


def render(markdown: str) -> Html:
    r"""Render Markdown as HTML: text, lists and tables; HTML, links and images in it are shown as text.

    >>> render("**Two** `a < b` <b>\n\n- one")
    '<p><strong>Two</strong> <code>a &lt; b</code> &lt;b&gt;</p>\n<ul>\n<li>one</li>\n</ul>\n'
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "autolink", "image"])
    without_comments = re.sub(r"^<!--.*-->$", "", markdown, flags=re.MULTILINE)
    content = parser.render("\n".join(map(visible, without_comments.split("\n"))))
    content = content.replace("<table>", '<div class="wide" tabindex="0"><table>')
    return Html(content.replace("</table>", "</table></div>"))
