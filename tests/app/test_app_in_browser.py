"""`wavemore app` as a process, in a real Chromium and by gradio_client: from a list to what is handed on."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest

import wavemore as wm
from tests.app.conftest import NAMES

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'wavemore[dev]'")
pytest.importorskip("gradio", reason="needs Gradio: pip install 'wavemore[app]'")
CHROMIUM = which("chromium") or which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium"),
]
LIST = [f"{a}{b}" for a in NAMES for b in ("", "ta", "lo")]
ATTACKS = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "a\x1b[31mb", "x\u202ey", "{{x}}${y}"]
WAIT = 90_000


class App:
    """The command as a process in a folder, and what it printed."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "wavemore", "app", "--no-open"]
        restore: Any = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
        self.folder = folder
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=restore
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("the page is at http://127.0.0.1:"), self.process.stderr and self.process.stderr.read()
        self.url = line.split()[4].rstrip(";/")

    def end(self) -> tuple[int, str, str]:
        """Press Ctrl-C; return the exit code and what was printed."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The page in a folder that holds nothing but a secret file."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "secret.txt").write_text("secret", encoding="utf-8")
    app = App(folder)
    yield app
    code, _, err = app.end()
    assert (code, err) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"runs", "secret.txt"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page in a browser of its own, and what it must not do: errors, dialogs, requests to elsewhere."""

    def __init__(self, chromium: Any, app: App, width: int = 1200, scheme: str = "light") -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.app, self.faults = app, list[str]()
        self.page = self.open()

    def open(self) -> Any:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", self._note_dialog)
        page.on("request", lambda request: self._note(request.url))
        page.goto(self.app.url)
        page.get_by_role("heading", name="wavemore").wait_for(timeout=WAIT)
        return page

    def _note_dialog(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _note(self, url: str) -> None:
        if not url.startswith((self.app.url, "data:", "blob:")):
            self.faults.append(url)

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


@pytest.fixture
def tab(chromium: Any, app: App) -> Iterator[Tab]:
    tab = Tab(chromium, app)
    yield tab
    tab.close()


def learn(page: Any, lines: list[str], heading: str = "") -> None:
    page.get_by_label("Or paste it").fill("\n".join([*([heading] if heading else []), *lines]))
    page.get_by_role("button", name="Read the pasted list").click()
    if heading:
        page.get_by_text(f"The first item, {heading}, looks like a heading").wait_for(timeout=WAIT)
        page.get_by_role("button", name="Read it in another way").click()
        page.get_by_label("The first line is a heading").check()
    page.get_by_text(f"{len(lines)} items").wait_for(timeout=WAIT)
    page.get_by_label("10 seconds").check()
    page.get_by_role("button", name="Start").click()


def test_from_a_list_to_a_page_to_hand_on(tab: Tab) -> None:
    page = tab.page
    nothing = page.get_by_text("Nothing has been learned yet")
    for _ in range(WAIT // 1000):  # what it says before it has looked for runs does not stay
        page.get_by_role("button", name="Make", exact=True).click()
        page.wait_for_timeout(1000)
        if nothing.is_visible():
            break
    playwright.expect(nothing).to_be_visible()
    learn(page, LIST, heading="Name")
    nothing.wait_for(state="hidden", timeout=WAIT)
    page.get_by_text(re.compile("What it (makes now|made on the way)")).wait_for(timeout=WAIT)  # busy: only at the end
    page.locator("svg[aria-label^='It hesitates between']").wait_for(timeout=WAIT)
    page.get_by_text("has learned your list").wait_for(timeout=WAIT)
    page.get_by_label("Beginning").fill("m")
    page.get_by_label("How many").fill("7")
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-star").nth(6).wait_for(timeout=WAIT)
    made = page.eval_on_selector_all(".w-table tbody tr td:nth-child(2)", "(all) => all.map((x) => x.textContent)")
    assert len(made) == 7
    assert all(item.startswith("m") and item not in LIST for item in made)
    page.evaluate("for (const number of [2, 5]) document.querySelectorAll('.w-star')[number].click()")  # at once
    star = page.locator(".w-star").nth(4)
    star.focus()
    page.keyboard.press("Space")
    playwright.expect(star).to_have_attribute("aria-pressed", "true")
    links = page.locator("a[download$='-favourites.txt']")
    links.wait_for(timeout=WAIT)
    playwright.expect(page.locator(".w-chips").last.locator("li")).to_have_count(3, timeout=WAIT)
    assert set(content_of(links).splitlines()) == {made[2], made[4], made[5]}
    page.get_by_role("button", name="Prepare the file").click()
    with page.expect_download(timeout=WAIT) as found:
        page.get_by_text("Save pasted-list-1.html").click(timeout=WAIT)
    assert "<title>" in Path(found.value.path()).read_text(encoding="utf-8")
    again = tab.open()
    playwright.expect(again.locator(".w-chips").last.locator("li")).to_have_count(3, timeout=WAIT)
    assert wm.find_run(str(tab.app.folder / "runs" / "pasted-list-1")).summary() is not None


def test_words_are_looked_at_and_runs_compared(tab: Tab, app: App) -> None:
    data = next((app.folder / "runs" / "lists").rglob("*.txt"))
    words = ["--run", "runs/other", "--model", "tree", "--steps", "60", "--threads", "1"]
    words = ["train", str(data), "--column", "Name", *words]
    subprocess.run([sys.executable, "-m", "wavemore", *words], cwd=app.folder, check=True, capture_output=True)
    page = tab.open()
    choose(page, "Learned from", "other")
    page.get_by_role("tab", name="Look inside").click()
    page.get_by_label("An item").fill("mari")
    page.get_by_role("button", name="Look", exact=True).click()
    page.locator(".w-letters li").nth(4).wait_for(timeout=WAIT)
    assert "mari" in page.locator("pre.w-tree").first.inner_text().replace(" ", "")
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("cell", name="other").first.wait_for(timeout=WAIT)
    for label, name in (("One", "other"), ("The other", "pasted-list-1")):
        page.get_by_label(label, exact=True).fill(name)
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("items that neither has learned from").first.wait_for(timeout=WAIT)


def test_runs_of_kinds_and_of_texts_are_used(tab: Tab, app: App, tmp_path: Path) -> None:
    rows = "".join(f"{name},{'fi' if name[-1] in 'ae' else 'de'}\n" for name in LIST)
    (tmp_path / "kinds.csv").write_text(f"name,country\n{rows}", encoding="utf-8")
    (tmp_path / "story.txt").write_text("It was\na dark and stormy night, and it rained.\n" * 80, encoding="utf-8")
    kinds = wm.load_corpus(tmp_path / "kinds.csv", label_column="country")
    wm.train(kinds, model="gru", hidden=24, steps=60, num_evals=1, run=app.folder / "runs" / "kinds")
    story = wm.load_corpus(tmp_path / "story.txt", format="text")
    wm.train(story, model="ngram", run=app.folder / "runs" / "story")
    page = tab.open()
    choose(page, "Learned from", "kinds")
    choose(page, "Kind", "fi")
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-star").nth(19).wait_for(timeout=WAIT)
    assert {*page.locator(".w-items tbody td:last-child").all_inner_texts()} == {"fi"}
    choose(page, "Learned from", "story")
    page.locator(".w-items").wait_for(state="detached", timeout=WAIT)
    page.get_by_label("Beginning").fill("It was\na d")
    page.get_by_label("How many characters").fill("60")
    page.get_by_role("button", name="Continue the text").click()
    end, content = time.monotonic() + WAIT / 1000, ""
    while len(content) < len("It was\na d") + 60:  # it grows
        assert time.monotonic() < end, content
        content = content_of(page.locator("a[download='story.txt']"))
    assert content.startswith("It was\na d")
    playwright.expect(page.get_by_label("Kind")).to_be_hidden()


def content_of(link: Any) -> str:
    return base64.b64decode(link.get_attribute("href", timeout=WAIT).partition("base64,")[2]).decode()


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_a_page_that_is_opened_again_finds_its_run(chromium: Any, app: App) -> None:
    tab = Tab(chromium, app)
    page = tab.page
    page.get_by_label("Or paste it").fill("\n".join(LIST))
    page.get_by_role("button", name="Read the pasted list").click()
    page.get_by_label("20 minutes").check()
    page.get_by_role("button", name="Start").click()
    page.get_by_text("What it makes now").wait_for(timeout=WAIT)
    page.close()
    page = tab.open()
    page.get_by_text("What it makes now").wait_for(timeout=WAIT)
    playwright.expect(page.get_by_role("button", name="Stop and keep")).to_be_visible()
    page.close()
    run = wm.find_run(str(app.folder / "runs" / "pasted-list-2"))
    end = time.monotonic() + 60
    while run.is_training():
        assert time.monotonic() < end, "a training goes on that nobody watches"
        time.sleep(0.5)
    assert run.progress().startswith("stopped at step")
    page = tab.open()
    page.get_by_role("button", name="Use it as it is").click(timeout=WAIT)
    page.get_by_text("has learned your list").wait_for(timeout=WAIT)
    assert run.summary() is not None
    tab.close()


def test_hostile_lists_are_one_sentence_or_text(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    alert = page.locator(".w-problem, .toast-body")
    files = {
        "large.txt": b"anna\n" * 20_000_000,
        "binary.txt": bytes(range(256)) * 100,
        "archive.zip": b"PK\x03\x04" + bytes(200),
        "empty.txt": b"",
    }
    chooser = page.locator("input[type=file]").first
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        chooser.set_input_files(tmp_path / name, timeout=WAIT)
        alert.first.wait_for(timeout=WAIT)
        assert "Traceback" not in alert.first.inner_text()
        assert alert.first.inner_text().count("\n") <= 2, alert.first.inner_text()
        page.reload()
        page.get_by_role("heading", name="wavemore").wait_for(timeout=WAIT)
    lines = [a + b for a in ATTACKS for b in ("", *NAMES[:12])]
    learn(page, lines)
    page.get_by_text("has learned your list").wait_for(timeout=WAIT)
    page.get_by_label("Only new ones").uncheck()
    page.get_by_label("How many").fill("100")
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-star").first.wait_for(timeout=WAIT)
    assert page.locator("img[src=x]").count() == 0
    page.get_by_label("Beginning").fill("<b>ß")
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-problem").wait_for(timeout=WAIT)
    assert page.locator(".w-problem b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_a_screen_reader_can_use_it(scheme: str, chromium: Any, app: App) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    tab = Tab(chromium, app, width=360, scheme=scheme)
    page = tab.page
    page.get_by_role("button", name="Try 29,687 first names").click()
    page.get_by_text("29,687 items").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Make", exact=True).click()
    page.locator(".w-star").first.wait_for(timeout=WAIT)
    found = []
    for name in ("Make", "Look inside", "Runs"):
        page.get_by_role("tab", name=name).click()
        if name == "Look inside":
            page.get_by_label("An item").fill("mari")
            page.get_by_role("button", name="Look", exact=True).click()
            page.locator(".w-letters li").first.wait_for(timeout=WAIT)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        violations = axe.Axe().run(page).response["violations"]
        found += [(name, each["id"], each["nodes"][0]["html"][:200]) for each in violations if each["impact"] in GRAVE]
    assert json.dumps(found, indent=1) == "[]"
    tab.close()


GRAVE = ("serious", "critical")


def test_programs_can_call_it(app: App) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gradio_client import Client
        from gradio_client.exceptions import AppError

        client = Client(app.url, verbose=False)
        facts = client.predict("\n".join(LIST), api_name="/read")
        assert facts["items"] == len(LIST)
        job = client.submit("\n".join(LIST), 0.1, api_name="/train")
        reports = list(job)
        assert reports[-1]["state"] == "done"
        assert reports[-1]["run"] == "list-1"
        items = client.predict(run="list-1", count=5, beginning="st", seed=1, api_name="/sample")
        assert [item["text"][:2] for item in items] == ["st"] * 5
        assert items == client.predict(run="list-1", count=5, beginning="st", seed=1, api_name="/sample")
        assert len(client.predict(word="stan", run="list-1", api_name="/letters")) == 5
        assert "list-1" in [row["name"] for row in client.predict(api_name="/runs")]
        for values, message in (
            ({"beginning": "ß"}, "unknown character"),
            ({"run": "../secret.txt"}, "there is no run"),
            ({"count": -1}, "“How many”"),
        ):
            with pytest.raises(AppError, match=f"(?i){re.escape(message)}") as error:
                client.predict(**{"run": "list-1", **values}, api_name="/sample")
            assert "\n" not in str(error.value)
        client.close()


def test_nothing_else_is_served(app: App) -> None:
    with httpx.Client(trust_env=False) as client:
        for path in (app.folder / "secret.txt", app.folder / "runs" / "list-1" / "config.json", Path("/etc/passwd")):
            for address in (
                f"/gradio_api/file={path}",
                f"/file={path}",
                f"/gradio_api/file={os.path.relpath(path, app.folder)}",
            ):
                answer = client.get(app.url + address)
                assert answer.status_code in (403, 404), address
        assert client.get(app.url, headers={"host": "evil.example"}).status_code == 403
        assert "default-src 'self'" in client.get(app.url).headers["content-security-policy"]
        for name in ("monitoring", "gradio_api/monitoring", "docs", "redoc"):
            assert client.get(f"{app.url}/{name}").status_code in (403, 404), name


def test_ctrl_c_saves_what_was_learned_and_says_so(tmp_path: Path) -> None:
    app = App(tmp_path)
    with httpx.Client(trust_env=False, timeout=60) as client:
        called = client.post(f"{app.url}/gradio_api/call/train", json={"data": ["\n".join(LIST), 30]}).json()
        with client.stream("GET", f"{app.url}/gradio_api/call/train/{called['event_id']}") as answer:
            for line in answer.iter_lines():
                if '"state":"learning"' in line.replace(" ", "") and '"train_nats":null' not in line.replace(" ", ""):
                    break
            code, out, err = app.end()
    assert (code, err) == (0, "")
    assert out == "runs/list-1 is kept; continue it with: wavemore train --resume runs/list-1\n"
    run = wm.find_run(str(tmp_path / "runs" / "list-1"))
    assert [*run.path.rglob("state.safetensors")], "that of the run, or of its first teacher"
    assert not run.is_training()
