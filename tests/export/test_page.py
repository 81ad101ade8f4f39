"""The exported file, without a browser: what is in it, what is not, and what cannot be exported."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import wavemore as wm
from wavemore.errors import RunError, UsageError
from wavemore.export import page as page_module
from wavemore.export.description import describe
from wavemore.export.facts import advise_order
from wavemore.export.known_lines import POSITIONS, bloom_filter
from wavemore.export.lookahead import shorter
from wavemore.export.packing import LEVELS, Packer
from wavemore.export.page import export_page
from wavemore.html import is_page
from wavemore.nn.bigram import BigramConfig
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.runs.run import Run
from wavemore.signs import visible


class Scripts(HTMLParser):
    """The content of each script and style of a page, as a browser sees it, the tags, and what they refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.content: dict[str, str] = {}
        self.tags: list[str] = []
        self.addresses: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.current = dict(attrs).get("id") or tag
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        self.current = ""

    def handle_data(self, data: str) -> None:
        if self.tags and self.current:
            self.content[self.current] = self.content.get(self.current, "") + data


def test_a_page_holds_all_that_it_needs(small_run: Callable[[str], Run], tmp_path: Any) -> None:
    run = small_run("odd")
    page = export_page(run, title="</title><script>alert(1)</script>", about="a & b\n{{weights}}")
    found = Scripts(page)
    assert found.tags.count("script") == 3
    assert "img" not in found.tags
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*)"', page)
    assert policy is not None
    hashes = [
        base64.b64encode(hashlib.sha256(found.content[tag].encode()).digest()).decode() for tag in ("script", "style")
    ]
    assert policy[1] == (
        f"default-src 'none'; img-src data:; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert found.addresses == ["data:,"], "an empty icon, so that a browser does not ask for one"
    assert "@import" not in found.content["style"]
    assert "url(" not in found.content["style"]
    data = json.loads(found.content["data"])
    assert data["characters"] == run.vocabulary().characters
    assert len(base64.b64decode(found.content["weights"])) > 1_000
    lines = [line for line in run.samples() if len(line) > 6]
    assert not any(json.dumps(line) in page for line in lines), "no line of the data is in the page"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    assert is_page(tmp_path / "page.html")
    assert export_page(run) == export_page(run)


def test_the_default_model_of_names_fits_into_400_kb(small_run: Callable[[str], Run]) -> None:
    corpus = wm.load_corpus("names")
    model = build("tree", len(corpus.vocabulary), wm.plan(corpus).model_config, seed=0)
    packer = Packer()
    describe(_as_trained(model), packer)
    size = len(corpus.vocabulary)
    rest = len(bloom_filter(corpus.line_hashes)) + 2 * sum(size**n for n in (1, 2, 3))
    own = len(export_page(small_run("bigram"))) - 4 / 3 * len(_weights(small_run("bigram")))
    assert own + 4 / 3 * (len(packer.data) + rest) < 400_000


def _as_trained(model: Model) -> Model:
    for name, buffer in model.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.fill_(1)
    return model.eval()


def _weights(run: Run) -> bytes:
    return base64.b64decode(Scripts(export_page(run)).content["weights"])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_described(name: str) -> None:
    model = _as_trained(build(name, 27, MODELS[name].config(), seed=0))
    packer = Packer()
    numbers = json.dumps(describe(model, packer))
    assert packer.tensors or name == "ngram"
    assert len(packer.data) % 4 == 0
    assert '"kind"' in numbers


def test_other_models_are_refused() -> None:
    class Mine(Model):
        config = BigramConfig()

        def forward(self, tokens: torch.Tensor, logits_to_keep: int | None = None) -> torch.Tensor:
            return tokens

    with pytest.raises(UsageError, match="a Mine cannot be exported"):
        describe(Mine(3), Packer())
    model = build("wavenet", 27, MODELS["wavenet"].config(), seed=0)
    model.get_submodule("blocks.0").norm = torch.nn.Tanh()
    with pytest.raises(UsageError, match="a Tanh cannot be exported"):
        describe(model, Packer())


WEIGHTS = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-1e6, 1e6, width=32))


@given(WEIGHTS)
def test_weights_lose_at_most_half_a_step(weights: Any) -> None:
    packer, exact = Packer(), Packer(exact=True)
    packer.matrix(torch.from_numpy(weights))
    exact.matrix(torch.from_numpy(weights))
    rows, columns = weights.shape
    assert packer.tensors == [["i16", rows, columns]]
    scales = np.frombuffer(packer.data, "<f4", rows)[:, None].astype(np.float64)
    integers = np.frombuffer(packer.data, "<i2", rows * columns, 4 * rows).reshape(rows, columns)
    step = np.abs(weights).max(axis=1, keepdims=True) / LEVELS
    assert (np.abs(scales * integers - weights) <= 0.51 * step + 1e-30).all()
    assert np.frombuffer(exact.data, "<f4").tolist() == weights.ravel().tolist()


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1).map(lambda x: x if x > 1e-12 else 0.0)))
def test_probabilities_keep_their_relative_size(values: Any) -> None:
    packer = Packer()
    packer.probabilities(values)
    [(kind, _, count, low, step)] = packer.tensors
    codes = np.frombuffer(packer.data, "<u2", count).astype(np.float64)
    decoded = np.where(codes > 0, np.exp(low + step * (codes - 1)), 0)
    assert kind == "log16"
    assert (np.abs(decoded - values) <= 3e-4 * values).all()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.integers(0, 2**64 - 1))
def test_a_filter_finds_all_that_it_holds(hashes: list[int], other: int) -> None:
    table = bloom_filter(np.array(hashes, np.uint64))

    def found(number: int) -> bool:  # as page/lines.js does it
        low, high, size = number % 2**32, number >> 32, 8 * len(table)
        places = [(low + i * high) % size for i in range(POSITIONS)]
        return all(table[place // 8] >> (place % 8) & 1 for place in places)

    assert all(found(number) for number in hashes)
    assert hashes or not found(other)


def test_few_new_lines_are_taken_for_known_ones() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, 40_000).astype(np.uint64)
    table = np.unpackbits(bloom_filter(hashes[:20_000]), bitorder="little")
    low, high = hashes[20_000:] % 2**32, hashes[20_000:] >> np.uint64(32)
    places = [(low + np.uint64(i) * high) % np.uint64(len(table)) for i in range(POSITIONS)]
    share = np.mean([table[each] for each in places], axis=0) == 1
    assert 0.004 < share.mean() < 0.012


def test_shorter_contexts_have_the_same_predictions() -> None:
    from wavemore.engine.lookahead import NextCounts

    torch.manual_seed(0)
    p = torch.rand(40, 3, dtype=torch.float64).softmax(1)
    contexts = torch.randint(9, (40,))
    long, short = NextCounts(2, 3, 4), NextCounts(1, 3, 4)
    for position in range(5):
        long.add(position, contexts, p, torch.ones(40))
        short.add(position, contexts % 3, p, torch.ones(40))
    other = shorter(long)
    torch.testing.assert_close(other.probabilities(), short.probabilities())
    n_gram = short.probabilities()
    torch.testing.assert_close(other.end_ratios(n_gram), short.end_ratios(n_gram))


def test_what_cannot_be_exported(
    trained: Run, small_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"is not finished \(stopped at step 6 of 12\): finish it with `wavemore train"):
        export_page(trained)
    with pytest.raises(UsageError, match="`title` has 201 characters; it may have 200"):
        export_page(small_run("tree"), title="x" * 201)
    monkeypatch.setattr(page_module, "MAX_BYTES", 100)
    with pytest.raises(
        UsageError,
        match=r"has .* counts and backoffs: a page of about .* MB.*`order` of at most 1, or on items with `min_count`",
    ):
        export_page(small_run("ngram"))
    with pytest.raises(UsageError, match=r"`order` of at most 1$"):
        export_page(small_run("text-ngram"))
    with pytest.raises(UsageError, match=r"has .* parameters: a page of about .* MB.*smaller `hidden`"):
        export_page(small_run("tree"))
    monkeypatch.undo()
    with pytest.raises(UsageError, match="only the results of a training say: export a run"):
        export_page(replace(wm.from_pretrained(small_run("tree").path), summary=None))


@pytest.mark.parametrize("float32", [False, True])
def test_the_advised_order_is_the_largest_that_fits(float32: bool) -> None:
    tokens = torch.randint(0, 30, (9_000,), generator=torch.Generator().manual_seed(1))
    share = 5 if float32 else 3

    def counted(order: int) -> tuple[Ngram, int]:
        model, packer = Ngram(30, NgramConfig(order=order)), Packer(exact=float32)
        model.count(tokens)
        describe(model, packer)
        return model, len(packer.data)

    largest, _ = counted(6)
    for order in (3, 4, 5):
        room = counted(order)[1]
        assert advise_order(largest, share + 2, share, int(1.1 * room)) == f"one with an `order` of at most {order}"
        assert advise_order(largest, share + 2, share, int(0.95 * room)).endswith(f"of at most {order - 1}")


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=20))
def test_no_text_becomes_markup(title: str, about: str, characters: str) -> None:
    texts = {"title": title, "about": about, "version": "1"}
    plain = Scripts(page_module._page(texts | {"title": "", "about": ""}, {}, ""))
    found = Scripts(page_module._page(texts, {"characters": characters}, ""))
    assert found.tags == plain.tags
    assert found.addresses == plain.addresses
    assert found.content["script"] == plain.content["script"]
    assert json.loads(found.content["data"]) == {"characters": characters}
    assert found.content.get("h1", "") == visible(title, keep="\n")
