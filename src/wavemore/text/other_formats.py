"""Files that cannot be read: archives and documents, recognised by how they begin.

Each comes with a shell command that makes a list of it.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_ARCHIVES = (
    (rb"PK\x03\x04(?s:.{0,4000})(\[Content_Types\]\.xml|vnd\.oasis)", "an office document", ""),
    (rb"PK\x03\x04", "a zip archive", "unzip -p FILE > LIST"),
    (rb"(?s:.){257}ustar", "a tar archive", "tar -xOf FILE > LIST"),
    (rb"%PDF-\d", "a PDF document", "pdftotext FILE LIST"),
    (rb"PAR1[\0-\x1f]|SQLite format 3\0", "a database", ""),
)


@dataclass(frozen=True)
class OtherFormat:
    """What a file is, and a command that makes a list of the file FILE; empty if there is none."""

    name: str
    command: str

    def advice(self, path: str) -> str:
        """Return what the file is, and what to do."""
        target = shlex.quote(f"{Path(path).name.split('.')[0] or 'my'}-list.txt")
        file = shlex.quote(f"./{path}" if path.startswith("-") else path)
        advice = self.command.replace("LIST", target).replace("FILE", file) or "export its items as plain text or CSV"
        return f"this is {self.name}; give a plain list, one item per line: {advice}"


def recognize_bytes(head: bytes) -> OtherFormat | None:
    r"""Recognise an archive or a document.

    >>> recognize_bytes(b"PK\x03\x04").advice("names.zip")
    'this is a zip archive; give a plain list, one item per line: unzip -p names.zip > names-list.txt'
    """
    for pattern, name, command in _ARCHIVES:
        if re.match(pattern, head):
            return OtherFormat(name, command)
    return None
