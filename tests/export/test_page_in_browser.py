"""The exported page in a real Chromium: its arithmetic, its items, its wishes, and what it must not do."""

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wavemore.engine.line_source import cap
from wavemore.engine.lookahead import Lookahead, NextCounts
from wavemore.engine.sampling import Sampling
from wavemore.engine.wishes import is_plain, wished
from wavemore.export.page import export_page
from wavemore.nn.model import Model
from wavemore.runs.run import Run
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import Vocabulary

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'wavemore[dev]'")
CHROMIUM = which("chromium") or which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium"),
]
MODELS = [
    "tree",
    "tree-relu-rms",
    "tree-gelu-layer",
    "tree-tanh-none",
    "tree-positions",
    "mlp",
    "wavenet",
    "wavenet-swiglu-layer",
    "lstm",
    "gru",
    "rnn",
    "transformer",
    "bow",
    "bigram",
    "ngram",
    "labels",
]
WISHES: dict[str, Any] = {
    "beginning": "",
    "ending": "",
    "contains": [],
    "without": [],
    "minLength": 1,
    "maxLength": 12,
    "temperature": 1,
    "isNew": False,
    "distinct": False,
    "label": "",
    "seed": 7,
}


class Browser:
    """Opens exported pages, and collects what a page must not do: errors, dialogs, requests."""

    def __init__(self, chromium: Any, folder: Path) -> None:
        self.chromium, self.folder, self.numbers = chromium, folder, itertools.count()
        self.faults: list[str] = []

    def open(self, run: Run, width: int = 1200, scheme: str = "light", **settings: Any) -> Any:
        path = self.folder / f"{next(self.numbers)}.html"
        path.write_text(export_page(run, **settings), encoding="utf-8")
        page = self.chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", self._note_dialog)
        page.on("request", lambda request: self._note_request(request.url, path))
        page.goto(path.as_uri())
        return page

    def _note_dialog(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _note_request(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith(("data:", "blob:")):
            self.faults.append(url)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any, tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(chromium, tmp_path)
    yield browser
    for context in chromium.contexts:
        context.close()
    assert browser.faults == []


def logits_of(model: Model, vocabulary: Vocabulary, line: str, label: str = "") -> Any:
    start = len(vocabulary) + vocabulary.labels.number(label) if label else 0
    with torch.no_grad():
        return model(torch.tensor([[start, *map(int, vocabulary.encode(line))]]))[0].numpy()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_python(name: str, small_run: Callable[[str], Run], browser: Browser) -> None:
    run = small_run(name)
    model, vocabulary = run.model(), run.vocabulary()
    lines = ["", "marian", "stana", "ynmeljnai", "jojojojojojojojo"]
    for exact, tolerance in ((False, 1e-3), (True, 1e-4)):
        page = browser.open(run, float32=exact)
        for line, label in itertools.product(lines, vocabulary.labels.names or [""]):
            got = page.evaluate("([line, label]) => wavemore.logits(line, label)", [line, label])
            assert np.abs(np.array(got) - logits_of(model, vocabulary, line, label)).max() < tolerance


class PageRandom:
    """The generator of the page: sfc32 of PractRand, https://pracrand.sourceforge.net."""

    def __init__(self, seed: int) -> None:
        self.a, self.b, self.c, self.counter = seed % 2**32, seed >> 32, 0x9E3779B9, 1
        for _ in range(15):
            self.next()

    def next(self) -> int:
        result = (self.a + self.b + self.counter) % 2**32
        self.a, self.b = self.b ^ self.b >> 9, self.c * 9 % 2**32
        self.c = ((self.c << 21 | self.c >> 11) + result) % 2**32
        self.counter = (self.counter + 1) % 2**32
        return result

    def uniform(self) -> float:
        return float(((self.next() >> 5) * 2**26 + (self.next() >> 6)) / 2**53)

    def pick(self, weights: Any) -> int:
        cumulative = list(itertools.accumulate(float(weight) for weight in weights))
        target = self.uniform() * cumulative[-1]
        return next(i for i, total in enumerate(cumulative) if total > target)


class PageCounts(NextCounts):
    """The n-gram that the page has."""

    def __init__(self, page: Any, k: int, vocabulary_size: int) -> None:
        super().__init__(k, vocabulary_size, 1)
        [level] = [level for level in page.evaluate("() => wavemore.lookahead()") if level["k"] == k]
        self.p = torch.tensor(level["p"], dtype=torch.float64).view(-1, vocabulary_size)
        self.ratios = torch.tensor(level["ratios"], dtype=torch.float64)

    def probabilities(self) -> Tensor:
        return self.p

    def end_ratios(self, p: Tensor) -> Tensor:
        return self.ratios


class Reference:
    """What page/sampling.js does, in Python with the run's own model and the command's own lookahead."""

    def __init__(self, run: Run, sampling: Sampling, page: Any) -> None:
        self.model, self.vocabulary, self.sampling = run.model().double(), run.vocabulary(), sampling
        self.random, self.prefix = PageRandom(sampling.seed), self.vocabulary.encode(sampling.prefix)
        self.label = self.vocabulary.labels.number(sampling.label) if sampling.label else None
        self.lookahead = None
        if not is_plain(sampling):
            counts = PageCounts(page, 2, len(self.vocabulary))
            self.lookahead = Lookahead(
                wished(sampling, self.vocabulary), counts, sampling.min_length, sampling.max_length
            )

    def line(self) -> tuple[list[int], float] | None:
        """Draw a line and the log of its weight; None if it does not end."""
        labels = self.vocabulary.labels
        label = self.random.pick(labels.shares) if labels and self.label is None else self.label
        starts = None if label is None else torch.tensor([len(self.vocabulary) + label])
        decoder, ids, state = self.model.decoder(1, starts), list[int](), torch.zeros(1, dtype=torch.int64)
        context, log_weight = state, 0.0
        if self.lookahead:
            log_weight = -float(self.lookahead.tables[0][0, 0].log())
        while len(ids) <= self.sampling.max_length:
            p = (decoder.logits[0] / self.sampling.temperature).softmax(0)
            if self.lookahead:
                h = self.lookahead.after(len(ids), context, state)[0]
                choice = self.random.pick(p * h)
                log_weight += float((p * h).sum().log() - h[choice].log())
                state = self.lookahead.following[state, choice]
                context = self.lookahead.counts.extend(context, torch.tensor([choice]))
            elif len(ids) < len(self.prefix):
                choice = int(self.prefix[len(ids)])
            else:
                if len(ids) < self.sampling.min_length:
                    p[0] = 0
                choice = self.random.pick(p)
            if choice == 0:
                return ids, log_weight
            ids.append(choice)
            decoder.step(torch.tensor([choice]))
        return None

    @torch.inference_mode()
    def lines(self, n: int) -> list[str]:
        """Return what the page makes, without its filters."""
        made: list[str] = []
        size, log_cap, accepted = 64, -math.inf, 0
        while len(made) < n:
            drawn = [self.line() for _ in range(size if self.lookahead else 1)]
            if self.lookahead:
                log_weights = torch.tensor([line[1] if line else -math.inf for line in drawn], dtype=torch.float64)
                log_cap = max(log_cap, cap(log_weights, 1 / (50 + accepted)))
                drawn = [
                    line if math.log(self.random.uniform()) < (line[1] if line else -math.inf) - log_cap else None
                    for line in drawn
                ]
                accepted += sum(line is not None for line in drawn)
            made += [self.vocabulary.decode(line[0]) for line in drawn if line]
            size = min(2 * size, 1024)
        return made[:n]


@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("tree", {}),
        ("tree", {"beginning": "mar", "temperature": 0.8}),
        ("labels", {"label": "fi"}),
        ("labels", {}),
        ("tree", {"ending": "na", "maxLength": 9}),
        ("lstm", {"contains": ["el", "an"], "without": ["y"]}),
        ("ngram", {"beginning": "st", "ending": "y", "minLength": 4}),
    ],
)
def test_a_seed_makes_the_lines_of_the_reference(
    name: str, wishes: dict[str, Any], small_run: Callable[[str], Run], browser: Browser
) -> None:
    run = small_run(name)
    page = browser.open(run, float32=True)
    wishes = WISHES | {"temperature": page.evaluate("() => wavemore.temperature")} | wishes
    sampling = Sampling(
        temperature=wishes["temperature"],
        prefix=wishes["beginning"],
        suffix=wishes["ending"],
        contains=tuple(wishes["contains"]),
        without=tuple(wishes["without"]),
        min_length=wishes["minLength"],
        max_length=wishes["maxLength"],
        label=wishes["label"],
        seed=wishes["seed"],
    )
    items = page.evaluate("(wishes) => wavemore.generate(30, wishes)", wishes)
    assert [item["text"] for item in items] == Reference(run, sampling, page).lines(30)
    assert items == page.evaluate("(wishes) => wavemore.generate(30, wishes)", wishes)


@pytest.mark.parametrize("name", ["tree", "labels", "ngram"])
@pytest.mark.parametrize(
    "wishes",
    [
        {"beginning": "MAR"},
        {"beginning": "st", "ending": "ny"},
        {"contains": ["el", "an"], "maxLength": 8},
        {"without": ["a", "jo", "ß"], "minLength": 5},
        {"isNew": True, "distinct": True, "temperature": 1.5},
    ],
)
def test_wishes_are_met(name: str, wishes: dict[str, Any], small_run: Callable[[str], Run], browser: Browser) -> None:
    run = small_run(name)
    items = browser.open(run).evaluate("(wishes) => wavemore.generate(40, wishes)", WISHES | wishes)
    wishes = WISHES | wishes
    texts, known = [item["text"] for item in items], set(run.line_hashes().tolist())
    assert len(texts) == 40
    hashes = Lines.from_iterable(texts).hashes().tolist()
    for item, number in zip(items, hashes, strict=True):
        text = item["text"]
        assert text.startswith(wishes["beginning"].lower())
        assert text.endswith(wishes["ending"])
        assert all(part in text for part in wishes["contains"])
        assert not any(part in text for part in wishes["without"])
        assert wishes["minLength"] <= len(text) <= wishes["maxLength"]
        assert item["known"] or number not in known, "a known line is always recognised"
        assert not (wishes["isNew"] and item["known"])
        logits = logits_of(run.model(), run.vocabulary(), text, item["label"])
        ids = [*map(int, run.vocabulary().encode(text)), 0]
        p = torch.from_numpy(logits).log_softmax(1)
        assert item["nats"] == pytest.approx(-float(p[range(len(ids)), ids].sum()), abs=0.01)
    assert not wishes["distinct"] or len(set(texts)) == 40


def test_items_met_by_construction_are_as_likely_as_those_that_are_filtered(
    small_run: Callable[[str], Run], browser: Browser
) -> None:
    page = browser.open(small_run("tree"))
    drawn = page.evaluate("(wishes) => wavemore.generate(20000, wishes)", WISHES)
    filtered = [item["text"] for item in drawn if item["text"].endswith("na") and len(item["text"]) < 8]
    wishes = WISHES | {"ending": "na", "maxLength": 7}
    met = [item["text"] for item in page.evaluate("(wishes) => wavemore.generate(4000, wishes)", wishes)]
    texts = sorted(set(filtered), key=filtered.count)[-8:]
    assert len(filtered) > 400
    for text in texts:
        expected, got = filtered.count(text) / len(filtered), met.count(text) / len(met)
        error = math.sqrt(expected * (1 - expected) * (1 / len(filtered) + 1 / len(met)))
        assert abs(expected - got) < 4 * error + 0.02, text  # 0.02: very large weights are capped


def test_what_is_made_is_shown_copied_and_downloaded(small_run: Callable[[str], Run], browser: Browser) -> None:
    page = browser.open(small_run("labels"), title="Names <b>", about="Two\nlines")
    assert page.title() == page.inner_text("h1") == "Names <b>"
    page.fill("#count", "25")
    page.fill("#seed", "3")
    page.select_option("#label", "de")
    page.press("#seed", "Enter")
    playwright.expect(page.locator("#status")).to_have_text("25 items, seed 3.")
    shown = page.eval_on_selector_all("#made button", "(buttons) => buttons.map((button) => button.textContent)")
    wishes = WISHES | {"isNew": True, "distinct": True, "label": "de", "seed": 3}
    wishes |= {name: page.evaluate(f"wavemore.{name}") for name in ("temperature", "maxLength")}
    items = page.evaluate("(wishes) => wavemore.generate(25, wishes)", wishes)
    assert shown == [item["text"] for item in items]
    with page.expect_download() as found:
        page.click("#text-file")
    assert Path(found.value.path()).read_text(encoding="utf-8").splitlines() == shown
    with page.expect_download() as found:
        page.click("#csv-file")
    content = Path(found.value.path()).read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["text"] for row in rows] == shown
    assert {row["label"] for row in rows} == {"de"}
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    playwright.expect(page.locator("#status")).to_have_text("Copied 25.")
    assert page.evaluate("navigator.clipboard.readText()").splitlines() == shown
    page.click("#made button >> nth=2")
    assert page.input_value("#typed") == shown[2]
    assert page.eval_on_selector_all("#surprise b", "(all) => all.map((each) => each.textContent).join('')") == (
        shown[2] + "⏎"
    )


@pytest.mark.parametrize("name", ["tree", "wavenet", "lstm", "transformer", "bow", "bigram", "ngram", "labels"])
def test_the_model_is_shown_from_the_keyboard(name: str, small_run: Callable[[str], Run], browser: Browser) -> None:
    run = small_run(name)
    page = browser.open(run)
    page.focus("#typed")
    page.keyboard.type("Mar")
    shown = page.inner_text("#next li:first-child b")
    p = torch.from_numpy(logits_of(run.model(), run.vocabulary(), "mar", ""))[-1].softmax(0)
    best = int(p.argmax())
    assert shown == ("⏎" if best == 0 else run.vocabulary().characters[best - 1])
    page.focus("#next button:not([disabled])")
    page.keyboard.press("Enter")
    assert re.fullmatch("Mar.", page.input_value("#typed"))
    assert page.evaluate("document.activeElement.id") == "typed"
    assert page.locator("#inside svg rect").count() > 0
    typed = page.input_value("#typed").lower()
    names = page.get_attribute("#inside svg", "aria-label").rpartition(": ")[2].replace(" ", "").strip("·")
    assert names
    assert typed.endswith(names)
    page.fill("#typed", "maß")
    assert page.inner_text("#typed-status") == "The model does not know the character ß"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"#beginning": "ß"}, "does not know the character ß"),
        ({"#beginning": "mar", "#without": "a"}, "meets all these wishes"),
        ({"#beginning": "maria", "#longest": "3"}, "meets all these wishes"),
        ({"#longest": "0"}, "Longest length: a whole number from 1 to 1000"),
        ({"#count": "1e9"}, "How many: a whole number from 1 to 1000"),
        ({"#seed": "-1"}, "Seed: a whole number from 0"),
        ({"#count": ""}, "a whole number from 1 to 1000"),
    ],
)
def test_wrong_wishes_are_one_sentence(
    fields: dict[str, str], message: str, small_run: Callable[[str], Run], browser: Browser
) -> None:
    page = browser.open(small_run("tree"))
    for field, value in fields.items():
        page.fill(field, value)
    page.click("#make")
    assert message in page.inner_text("#status")
    assert page.is_hidden("#results")


def test_nothing_in_a_hostile_list_is_run(small_run: Callable[[str], Run], browser: Browser) -> None:
    attack = "</script></title></style><img src=x onerror=alert(3)><script>alert(4)</script>{{data}}"
    page = browser.open(small_run("odd"), title=attack, about=attack)
    assert page.inner_text("h1") == attack
    page.fill("#count", "1000")
    page.uncheck("#new")
    page.uncheck("#distinct")
    page.click("#make")
    playwright.expect(page.locator("#status")).to_contain_text("1000 items", timeout=60_000)
    made = page.eval_on_selector_all("#made button", "(all) => all.map((each) => each.textContent)")
    assert any("onerror" in text for text in made)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    for text in ("</script><img src=x onerror=alert(1)>", "שלום", "क्षे"):
        page.fill("#typed", text)
        assert page.inner_text("#typed-status") == ""


def test_the_policy_allows_nothing_else(small_run: Callable[[str], Run], browser: Browser) -> None:
    page = browser.open(small_run("bigram"))
    fetched = page.evaluate("() => fetch('https://example.org').then(() => 'fetched', () => 'refused')")
    assert fetched == "refused"
    assert any("Content Security Policy" in fault for fault in browser.faults)
    browser.faults.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["tree", "odd", "labels", "transformer"])
def test_a_phone_and_a_screen_reader_can_use_it(
    name: str, scheme: str, small_run: Callable[[str], Run], browser: Browser
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = browser.open(small_run(name), width=360, scheme=scheme)
    page.click("#make")
    page.wait_for_selector("#stop", state="hidden")
    page.fill("#typed", "</script><" if name == "odd" else "mariannastelan")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    result = axe.Axe().run(page).response
    assert json.dumps([fault["id"] for fault in result["violations"]]) == "[]"


@pytest.mark.parametrize("name", ["text", "text-ngram"])
def test_a_text_is_written_on(name: str, small_run: Callable[[str], Run], browser: Browser) -> None:
    run = small_run(name)
    model, vocabulary = run.model(), run.vocabulary()
    page = browser.open(run, float32=True)
    beginning = "It was\na "
    ids = [0, *map(int, vocabulary.encode_text(beginning))]
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0].numpy()
    assert np.abs(np.array(page.evaluate("(text) => wavemore.logits(text)", beginning)) - expected).max() < 1e-4
    random, decoder, made = PageRandom(5), model.double().decoder(1), list[int]()
    with torch.inference_mode():
        decoder.prefill(torch.tensor([ids[1:]]))
        for _ in range(80):
            made.append(random.pick((decoder.logits[0] / 0.9).softmax(0)))
            decoder.step(torch.tensor(made[-1:]))
    text = vocabulary.decode_text(np.array(made))
    assert page.evaluate("(text) => wavemore.continued(80, text, 0.9, 5)", beginning) == text
    assert page.is_hidden("#ending")
    page.fill("#beginning", beginning)
    page.fill("#characters", "80")
    page.fill("#seed", "5")
    page.fill("#temperature", "0.9")
    page.click("#make")
    playwright.expect(page.locator("#status")).to_contain_text("80 characters, ")
    assert page.evaluate("document.getElementById('written').textContent") == beginning + text
    with page.expect_download() as found:
        page.click("#text-file")
    assert Path(found.value.path()).read_bytes().decode() == beginning + text
    page.fill("#typed", beginning)
    assert page.locator("#surprise li").count() == len(beginning)


def test_an_item_of_several_lines_is_shown_as_such(small_run: Callable[[str], Run], browser: Browser) -> None:
    page = browser.open(small_run("separated"))
    page.uncheck("#new")
    page.fill("#seed", "1")
    page.click("#make")
    playwright.expect(page.locator("#status")).to_contain_text("10 items")
    made = page.eval_on_selector_all("#made button", "(all) => all.map((each) => each.textContent)")
    assert any("\n" in item for item in made)
    assert not any("\N{SYMBOL FOR NEWLINE}" in item for item in made)
    with page.expect_download() as found:
        page.click("#text-file")
    content = Path(found.value.path()).read_text(encoding="utf-8")
    assert content == "".join(f"{item}\n%\n" for item in made)


def test_whatever_is_typed_is_taken_or_refused(small_run: Callable[[str], Run], browser: Browser) -> None:
    page = browser.open(small_run("odd"))
    alphabet = st.one_of(st.sampled_from(small_run("odd").vocabulary().characters), st.characters(codec="utf-8"))

    @settings(max_examples=40)
    @given(st.text(alphabet, max_size=12), st.text(alphabet, max_size=6), st.integers(-9, 99).map(str))
    def check(typed: str, part: str, longest: str) -> None:
        for field, text in (("#typed", typed), ("#beginning", part), ("#contains", typed), ("#without", part)):
            page.fill(field, text)
        page.fill("#longest", longest)
        page.click("#make")
        page.wait_for_timeout(5)
        if page.is_visible("#stop"):
            page.click("#stop", force=True, no_wait_after=True)
        assert page.inner_text("#status") != ""

    check()
    assert browser.faults == []
