"""A study on one page of HTML: what its page of Markdown says, with the pictures inside."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from wavemore.errors import RunError
from wavemore.reports.tags import Html, items, page, picture, table, text
from wavemore.studies import page as study_page
from wavemore.studies.write import figures


@dataclass(frozen=True)
class StudyFolder:
    """Where `wavemore study` keeps its runs and its record, `study.json`."""

    path: Path

    def exists(self) -> bool:
        """Whether a study was finished here."""
        try:
            return (self.path / "study.json").is_file()
        except OSError:  # a name that is too long for a file
            return False

    def record(self) -> dict[str, Any]:
        """What the study found.

        Raises `RunError` for a file that is damaged.
        """
        file = self.path / "study.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _damaged(file, error) from None


def report_study(folder: StudyFolder) -> str:
    """The page of a finished study.

    Raises `RunError` where its record is missing or damaged.
    """
    record = folder.record()
    try:
        return _page(record)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder.path / "study.json", error) from None


def _damaged(file: Path, why: Exception) -> RunError:
    said = str(why).splitlines()[0] if str(why) else type(why).__name__
    return RunError(f"{file} is damaged or was changed ({said}); `wavemore study` makes it anew from the runs")


def _page(record: Mapping[str, Any]) -> str:
    opening, *rest = study_page.page(record).split("\n## ")
    question = str(record["question"])
    sections: list[tuple[str, list[Html]]] = []
    for section in rest:
        heading, _, body = section.partition("\n")
        sections.append((heading, list(html_of(body))))
    sections[0][1].extend(
        picture(figure, f"Each seed, mean and 95 % interval of the arms of {name}")
        for name, figure in figures(record).items()
    )
    lead = html_of(opening.partition("\n")[2])
    return page(question, list(lead), sections)


def html_of(markdown: str) -> Iterator[Html]:
    r"""The blocks of our own Markdown (paragraphs, lists, tables; bold, code, links) as HTML.

    >>> list(html_of("Of **two** `a < b`.\n\n- one"))
    ['<p>Of <b>two</b> <code>a &lt; b</code>.</p>\n', '<ul><li>one</li>\n</ul>\n']
    """
    for block in re.split(r"\n\s*\n", markdown.strip()):
        lines = block.splitlines()
        if not lines or block.startswith(("<!--", "![")):
            continue
        if block.startswith("|"):
            header, _, *rows = [_cells(line) for line in lines]
            said = [column for column in range(len(header)) if not any(NUMBER.match(row[column]) for row in rows)]
            yield table(header, [[_inline(cell) for cell in row] for row in rows], left=said)
        elif block.startswith("### "):
            yield Html(f"<h3>{_inline(block.removeprefix('### '))}</h3>\n")
        elif block.startswith("- "):
            yield items(_inline(line.removeprefix("- ")) for line in lines)
        else:
            yield Html(f"<p>{_inline(' '.join(lines))}</p>\n")


NUMBER = re.compile(r"[+-]?\d")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _inline(words: str) -> Html:
    made = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text(words))
    return Html(re.sub(r"`(.+?)`", r"<code>\1</code>", made))
