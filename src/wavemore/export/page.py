"""A run as one HTML file: it needs no network and no server, and nothing leaves the browser that shows it."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from math import log
from typing import Any

from wavemore.engine.ranked import KEEPERS_TEMPERATURE
from wavemore.errors import UsageError
from wavemore.export.description import describe
from wavemore.export.facts import advise_order, loaded, network_of
from wavemore.export.known_lines import POSITIONS, bloom_filter
from wavemore.export.lookahead import count_next, describe_lookahead
from wavemore.export.packing import Packer
from wavemore.html import MARK, text
from wavemore.nn.bigram import Bigram
from wavemore.nn.ngram import Ngram
from wavemore.runs.describe import describe_plainly
from wavemore.runs.language_model import LanguageModel
from wavemore.runs.run import Run
from wavemore.version import __version__

MAX_BYTES = 32_000_000
"""Of the weights of a page: a phone loads them in some seconds."""
SCRIPTS = ("numbers", "models", "lines", "sampling", "thinking", "page")
MAX_TITLE, MAX_ABOUT = 200, 5_000


def export_page(model: LanguageModel | Run, *, title: str = "", about: str = "", float32: bool = False) -> str:
    """Return a page that makes new items with a trained model or a finished run, in any browser: one HTML file.

    The page has the weights, in 16 bits each or, with `float32`, as they are; no line of the data, but a filter that
    recognises them; and the same wishes as `generate` except `match` and `min_distance`. `title` and `about` replace
    its heading and its introduction.

    With the model of a continuous text, the page continues what is typed.

    Raises `RunError` for an unfinished run, and `UsageError` for a model that is too large for a page, or was trained
    in a loop of your own.
    """
    names = loaded(model)
    for name, value, most in (("title", title, MAX_TITLE), ("about", about, MAX_ABOUT)):
        if len(value) > most:
            raise UsageError(f"`{name}` has {len(value):,} characters; it may have {most:,}")
    packer = Packer(exact=float32)
    data = _content(names, packer)
    name, known = names.config.data.name, data["known"]
    read, does = name, "continues what you type"
    if known:
        read, does = f"{known['lines']:,} lines of {name}", "makes new ones"
    texts = {
        "title": title or f"More like {name}",
        "about": about
        or f"A small language model has read {read}, one character after the other. On this page it {does}. It runs in "
        "your browser: nothing that you type is sent anywhere.",
        "version": __version__,
    }
    return _page(texts, data, base64.b64encode(packer.data).decode())


def _content(names: LanguageModel, packer: Packer) -> dict[str, Any]:
    """Return what the page knows besides its weights, as plain data."""
    config, vocabulary, summary = names.config, names.vocabulary, names.summary
    if summary is None:
        raise UsageError("the page shows how typical items are, which only the results of a training say: export a run")
    _check_size(names, 2 * names.model.parameter_count(), packer)
    network, longest = network_of(names), max(1, config.data.longest_line)
    description = describe(network, packer)
    _check_size(names, len(packer.data), packer)  # counts have positions and characters too
    labels = vocabulary.labels
    known, lookahead, temperature = None, [], summary.temperature
    if config.data.format == "lines":
        table, temperature = packer.integers(bloom_filter(names.known)), KEEPERS_TEMPERATURE  # that of `sample`
        known = {"filter": table, "positions": POSITIONS, "lines": len(names.known)}
        lookahead = describe_lookahead(count_next(network, vocabulary, temperature, longest), packer)
    return {
        "format": config.data.format,
        "separator": config.data.layout.separator if config.data.layout.kind == "separated" else None,
        "does": describe_plainly(config.model),
        "settings": f"{config.model} {config.model_config.label}",
        "numbers": network.parameter_count(),
        "characters": vocabulary.characters,
        "labels": {"names": labels.names, "shares": labels.shares.tolist() if labels else []},
        "cleaning": {"normalize": config.data.cleaning.normalize, "case": config.data.cleaning.case},
        "longest": longest,
        "temperature": temperature,
        "percentiles": summary.val_line_percentiles,
        "known": known,
        "lookahead": lookahead,
        "uniform": log(len(vocabulary)),
        "model": description,
        "tensors": packer.tensors,
    }


def _check_size(names: LanguageModel, size: int, packer: Packer) -> None:
    """Raise `UsageError` for a model whose weights have too many bytes for a page, by an estimate or packed."""
    if size <= MAX_BYTES:
        return
    model = names.model
    kind, advice = "parameters", "one with a smaller `hidden` or `channels`"
    if isinstance(model, Bigram):
        advice = "another model: a bigram has one for each pair of characters"
    if isinstance(model, Ngram):
        kind = "counts and backoffs"
        each = (4 if packer.exact else 2) + (1 if model.vocabulary_size <= 256 else 2)  # a share and its character
        advice = advise_order(model, each + 2, each, MAX_BYTES)
        if names.config.data.format == "lines":
            advice += ", or on items with `min_count`"
    pages = f"a page of about {size * 4 / 3 / 1e6:,.0f} MB, and browsers are slow with more than"
    raise UsageError(
        f"the model has {model.parameter_count():,} {kind}: {pages} {MAX_BYTES * 4 / 3 / 1e6:.0f} MB. Train {advice}"
    )


def _page(texts: dict[str, str], data: dict[str, Any], weights: str) -> str:
    folder = files("wavemore.export") / "page"
    script = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    style = (folder / "page.css").read_text(encoding="utf-8")
    content = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        **{name: text(value) for name, value in texts.items()},
        "mark": f'{MARK}{__version__}">',
        "script_hash": _hash(script),
        "style_hash": _hash(style),
        "script": script,
        "style": style,
        "data": content,
        "weights": weights,
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
