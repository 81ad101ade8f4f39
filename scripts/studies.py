"""Writes the pages of docs/studies/ from the records in records/studies/: `python scripts/studies.py`.

With folders of finished studies (`wavemore study NAME --folder FOLDER`) it takes their records first:
`python scripts/studies.py studies/lecture studies/norm`. A test fails when a page is stale.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from wavemore.studies.page import comparisons, page
from wavemore.studies.runner import read_record
from wavemore.studies.write import pictures

ROOT = Path(__file__).resolve().parents[1]
RECORDS, PAGES = ROOT / "records" / "studies", ROOT / "docs" / "studies"
BEGIN, END = "<!-- studies: made by scripts/studies.py -->", "<!-- end of studies -->"


def records() -> dict[str, dict[str, Any]]:
    """All records by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))}


def written(record: dict[str, Any]) -> str:
    """The page of a study; its pictures lie beside it."""
    groups = len(dict.fromkeys(arm["group"] for arm in record["arms"]))
    return page(record, [f"{record['name']}-{number}.svg" for number in range(1, groups + 1)])


def index(text: str, found: dict[str, dict[str, Any]]) -> str:
    """The index with its table made anew; what people wrote around it stays."""
    lines = ["| question | what was shown |", "|---|---|"]
    for name, record in found.items():
        shown = [
            f"{c.arm} is {c.verdict} than {c.base}" for c in comparisons(record).values() if c.verdict != "not shown"
        ]
        total = len(comparisons(record))
        lines.append(f"| [{record['question']}]({name}.md) | {len(shown)} of {total} differences |")
    seconds = sum(record["training_seconds"] for record in found.values())
    lines += [
        "",
        f"{seconds / 60:.0f} minutes of training for all of them, the tuning included, one thread each;",
        "so two at a time take half as long.",
    ]
    made = "\n".join([BEGIN, *lines, END])
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


def main() -> None:
    """Take records, write pages."""
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
