"""Write the pages of docs/studies/ from the records in records/studies/: `python scripts/studies.py`.

Folders of finished studies (`wavemore study NAME --folder FOLDER`) as arguments are copied to the records first:
`python scripts/studies.py studies/lecture studies/norm`. A test fails if a page is stale.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from wavemore.studies.page import page, pictures
from wavemore.studies.record import groups, read_record, verdicts

ROOT = Path(__file__).resolve().parents[1]
RECORDS, PAGES = ROOT / "records" / "studies", ROOT / "docs" / "studies"
BEGIN, END = "<!-- studies: made by scripts/studies.py -->", "<!-- end of studies -->"


def records() -> dict[str, dict[str, Any]]:
    """Return all records by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))}


def written(record: dict[str, Any]) -> str:
    """Return the page of a study; its pictures are beside it."""
    return page(record, [f"{record['name']}-{number}.svg" for number in range(1, len(groups(record)) + 1)])


def index(text: str, found: dict[str, dict[str, Any]]) -> str:
    """Return the index with its table made anew; the text around it stays."""
    lines = ["| question | significant differences |", "|---|---|"]
    for name, record in found.items():
        significant = [verdict.significant for verdict in verdicts(record).values()]
        lines.append(f"| [{record['question']}]({name}.md) | {sum(significant)} of {len(significant)} |")
    seconds = sum(record["training_seconds"] for record in found.values())
    lines += [
        "",
        f"All of them took {seconds / 60:.0f} minutes of training, tuning included, with one thread each; two at a",
        "time take half as long.",
    ]
    made = "\n".join([BEGIN, *lines, END])
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


def main() -> None:
    """Copy new records, write all pages."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    PAGES.mkdir(parents=True, exist_ok=True)
    for folder in sys.argv[1:]:
        record = read_record(Path(folder))
        (RECORDS / f"{record['name']}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    found = records()
    for name, record in found.items():
        (PAGES / f"{name}.md").write_text(written(record), encoding="utf-8")
        for file, content in pictures(record).items():
            (PAGES / file).write_bytes(content)
    readme = PAGES / "README.md"
    readme.write_text(index(readme.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
