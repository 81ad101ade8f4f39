"""Draw docs/pictures/export.png: the page that `wavemore export` writes of a run, in Chromium.

python scripts/export_picture.py runs/names-1
"""

import sys
import tempfile
from pathlib import Path
from shutil import which

from playwright.sync_api import sync_playwright

import wavemore as wm

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "export.png"
TYPED, SEED = "marianna", "3"


def draw(run: wm.Run, picture: Path) -> None:
    """Make names that begin with m, type one, and take a picture of both parts side by side."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        path = Path(folder) / "page.html"
        path.write_text(wm.export_page(run, title="New names"), encoding="utf-8")
        browser = engine.chromium.launch(
            executable_path=which("chromium") or which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 960, "height": 1500})
        page.goto(path.as_uri())
        page.fill("#beginning", "m")
        page.fill("#ending", "a")
        page.fill("#count", "6")
        page.fill("#seed", SEED)
        page.click("#make")
        page.wait_for_selector("#stop", state="hidden")
        page.fill("#typed", TYPED)
        page.screenshot(path=picture, full_page=True)
        browser.close()


if __name__ == "__main__":
    draw(wm.find_run(sys.argv[1] if len(sys.argv) > 1 else "latest"), PICTURE)
    print(f"wrote {PICTURE}")
