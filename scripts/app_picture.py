"""Draw docs/pictures/app.png: the page of `wavemore app` after a short training on the bundled names, in Chromium.

python scripts/app_picture.py
"""

import os
import tempfile
from pathlib import Path
from shutil import which
from typing import Any

from playwright.sync_api import sync_playwright

from wavemore.app.server import served

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "app.png"
WAIT = 180_000


def draw(picture: Path) -> None:
    """Learn the names for a minute, make names that begin with m, keep two, and take a picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        os.chdir(folder)
        with served() as (url, _):
            browser = engine.chromium.launch(
                executable_path=which("chromium") or which("google-chrome"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.goto(url)
            _use(page)
            page.screenshot(path=picture, full_page=True)
            browser.close()
        os.chdir("/")


def _use(page: Any) -> None:
    page.get_by_role("button", name="Try 29,687 first names").click(timeout=WAIT)
    page.get_by_text("29,687 items").wait_for(timeout=WAIT)
    page.get_by_label("1 minute").check()
    page.get_by_role("button", name="Start").click()
    page.get_by_text("has learned your list").wait_for(timeout=WAIT)
    page.get_by_label("Beginning").fill("m")
    page.get_by_label("How many").fill("8")
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-star").nth(7).wait_for(timeout=WAIT)
    for number in (1, 4):
        page.locator(".w-star").nth(number).click()
    page.locator("a[download$='-favourites.txt']").wait_for(timeout=WAIT)
    page.evaluate("window.scrollTo(0, 0)")


if __name__ == "__main__":
    draw(PICTURE)
    print(f"wrote {PICTURE}")
