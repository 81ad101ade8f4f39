"""The model card of an exported folder: what the model is, how good it is, and how to load it; README.md on the hub.

https://huggingface.co/docs/hub/model-cards
"""

import hashlib
import json
import re
from math import exp, log

from wavemore.engine.ranked import KEEPERS_TEMPERATURE
from wavemore.markdown import escape, markdown_table
from wavemore.runs.describe import describe_split, describe_training
from wavemore.runs.language_model import LanguageModel
from wavemore.runs.record import Summary
from wavemore.signs import visible
from wavemore.version import __version__

SAMPLE_LINES, SAMPLE_CHARACTERS = 10, 300
END = re.compile(r"\n<!-- written by wavemore, sha256 ([0-9a-f]{64}) -->\n\Z")
"""The last line of a card, by which one that was changed by hand is recognised."""


def model_card(names: LanguageModel, place: str, license: str = "") -> str:  # noqa: A002 (the name of the field)
    """Return the card of a model that is loaded from `place`, a folder or the name of a repository on the hub."""
    config, summary = names.config, names.summary
    data, size = config.data, len(names.vocabulary)
    of_lines = data.format == "lines"
    read = f"the list {escape(data.name)} of {len(names.known):,} distinct lines" if of_lines else escape(data.name)
    parts = [
        _front_matter(config.model, license),
        f"# {escape(data.name)}",
        f"A small character-level language model, trained on {read}: it makes "
        f"{'lines like these' if of_lines else 'text like it'}, character by character.",
        f"It is a {config.model} with {escape(config.model_config.describe())}: {names.model.parameter_count():,} "
        f"parameters, a vocabulary of {size - 1:,} characters. Made by wavemore {__version__}.",
        "## Use",
        f"```python\n{_usage(names, place)}```",
        "## Data",
        markdown_table(["", ""], _data_rows(names)),
        "## Results",
        *(_results(summary, size, of_lines) if summary else ["They were not recorded."]),
        "## Samples",
        _samples(names),
        "## Limits",
        _limits(names, of_lines),
    ]
    body = "\n\n".join(part.rstrip("\n") for part in parts) + "\n"
    return f"{body}\n<!-- written by wavemore, sha256 {_sha256(body)} -->\n"


def is_unchanged(card: str) -> bool:
    """Whether a file is a card as it was written, so that a newer one may replace it.

    >>> is_unchanged("# My own words")
    False
    """
    end = END.search(card)
    return end is not None and end[1] == _sha256(card[: end.start()])


def _sha256(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _front_matter(model: str, license: str) -> str:  # noqa: A002
    lines = ["---", *([f"license: {json.dumps(license)}"] if license else []), "library_name: wavemore"]
    lines += ["pipeline_tag: text-generation", "tags:", "- wavemore", "- character-level", "- language-model"]
    return "\n".join([*lines, f"- {model}", "---"])


def _usage(names: LanguageModel, place: str) -> str:
    call = f"import wavemore as wm\n\nmodel = wm.from_pretrained({json.dumps(place)})\n"
    if names.config.data.format == "text":
        return f"{call}print(model.generate(1, length=300)[0].text)\n"
    loop = f"for sample in model.generate(10, new=True, temperature={KEEPERS_TEMPERATURE}):"
    return f"{call}{loop}\n    print(sample.text)\n"


def _data_rows(names: LanguageModel) -> list[list[str]]:
    data, labels = names.config.data, names.vocabulary.labels.names
    rows = [["name", escape(data.name)], ["SHA-256 of the file", f"`{data.sha256}`"]]
    rows += [["split", escape(describe_split(data))], ["training", describe_training(names.config)]]
    if labels:
        shown = ", ".join(labels[:20]) + (f" and {len(labels) - 20:,} more" if len(labels) > 20 else "")
        rows.append(["labels", escape(shown)])
    return rows


def _results(summary: Summary, size: int, of_lines: bool) -> list[str]:
    """Return the losses of the best checkpoint, and what the samples show of what it has memorised."""
    losses = {"train": summary.train_nats, "val": summary.val_nats}
    if of_lines and summary.leak_free_val_nats is not None:
        losses["val, leak-free: without lines that are also in train"] = summary.leak_free_val_nats
    rows = [[part, f"{x:.4f}", f"{x / log(2):.4f}", f"{exp(min(x, 20)):.2f}"] for part, x in losses.items()]
    rows.append(["a uniform guess", f"{log(size):.4f}", f"{log(size) / log(2):.4f}", f"{size:.2f}"])
    header = ["loss", "nats per character", "bits per character", "perplexity"]
    found = [markdown_table(header, rows, right=(1, 2, 3))]
    if summary.memorised:
        found.append("What it has memorised: " + "; ".join(map(escape, summary.memorised.sentences)) + ".")
    if summary.val_label_recovery is not None:
        found.append(f"For {summary.val_label_recovery:.1%} of the val items, the likeliest label is their own.")
    return found


def _samples(names: LanguageModel) -> str:
    """Return samples as a block of code; of a list only new ones, so that the card shows none of its lines."""
    if names.config.data.format == "text":
        samples = [sample.text for sample in names.generate(1, length=SAMPLE_CHARACTERS, seed=0)]
        how = f"{SAMPLE_CHARACTERS} characters"
    else:
        new = names.generate(SAMPLE_LINES, new=True, distinct=True, temperature=KEEPERS_TEMPERATURE, seed=0)
        samples = [sample.text for sample in new]
        how = f"New lines, at temperature {KEEPERS_TEMPERATURE}"
    layout = names.config.data.layout
    between = f"\n{layout.separator}\n" if layout.kind == "separated" else "\n"  # items of several lines
    shown = between.join(visible(sample, keep="\n") for sample in samples)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{how}:\n\n{fence}text\n{shown}\n{fence}"


def _limits(names: LanguageModel, of_lines: bool) -> str:
    if not of_lines:
        return "It can repeat parts of the text that it was trained on, and nothing that it writes need be true."
    return (
        f"Its lines have up to about {names.config.data.longest_line:,} characters; some are lines of the data. "
        "`lines.safetensors` has hashes of the data's lines, by which new ones are recognised: whoever guesses a line "
        "can find out whether it was in the data."
    )
