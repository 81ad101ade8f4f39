from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from wavemore.engine.plan import plan
from wavemore.engine.threads import set_threads
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config, finish, train
from wavemore.text.datasets import load_corpus

SMALL: dict[str, dict[str, Any]] = {
    "tree": {"fuse": (2, 2, 2), "embedding": 8, "hidden": 24},
    "tree-relu-rms": {"fuse": (3, 2), "embedding": 8, "hidden": 16, "norm": "rms", "activation": "relu"},
    "tree-gelu-layer": {"fuse": (2, 2), "embedding": 8, "hidden": 16, "norm": "layer", "activation": "gelu"},
    "tree-tanh-none": {"fuse": (2, 2), "embedding": 8, "hidden": 16, "norm": "none", "activation": "tanh"},
    "tree-positions": {"fuse": (2, 2), "embedding": 8, "hidden": 16, "norm": "batch-per-position", "dropout": 0.1},
    "mlp": {"context": 4, "embedding": 8, "hidden": 16},
    "wavenet": {"channels": 16, "skip_channels": 16, "dilations": (1, 2, 4)},
    "wavenet-swiglu-layer": {
        "channels": 12,
        "skip_channels": 8,
        "dilations": (1, 3),
        "cycles": 2,
        "kernel_size": 3,
        "gate": "swiglu",
        "norm": "layer",
        "dropout": 0.1,
    },
    "lstm": {"embedding": 8, "hidden": 24, "layers": 2},
    "gru": {"embedding": 8, "hidden": 24},
    "rnn": {"embedding": 8, "hidden": 24},
    "transformer": {"layers": 2, "heads": 2, "channels": 16, "context": 5},
    "bow": {"context": 4, "embedding": 8, "hidden": 8},
    "bigram": {},
    "ngram": {"order": 4},
    "labels": {"model": "gru", "embedding": 8, "hidden": 24},
    "text": {"model": "wavenet", "channels": 16, "skip_channels": 16, "dilations": (1, 2, 4), "block_size": 16},
    "text-ngram": {"model": "ngram", "order": 4},
    "separated": {"model": "ngram", "order": 4},
    "odd": {"model": "lstm", "embedding": 8, "hidden": 24},
}
"""Settings of small runs by name; the part before a dash is the model."""
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "a\"b'c&d",
    "{{data}}",
)
ODD = (*HOSTILE, "שלום עולם", "नमस्ते", "क्षेत्र", "zoë", "x\u200dy")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A finished run of a name in `SMALL`, trained once."""
    folder = tmp_path_factory.mktemp("small")
    names = [f"{a}{b}{c}" for a in ("mar", "jo", "el", "an", "st") for b in ("i", "an", "el", "") for c in "aeny"]
    (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "odd.txt").write_text("\n".join(a + b for a in ODD for b in ("", *ODD[:4])) + "\n", encoding="utf-8")
    rows = "".join(f"{name},{'fi' if name[-1] in 'ae' else 'de'}\n" for name in names)
    (folder / "labels.csv").write_text(f"name,country\n{rows}", encoding="utf-8")

    (folder / "text.txt").write_text("It was\na dark and stormy night, and it rained.\n" * 80, encoding="utf-8")
    (folder / "poems.txt").write_text(
        "".join(f"{a}\n{b}\n%\n" for a in names[:12] for b in names[40:50]), encoding="utf-8"
    )

    @cache
    def make(name: str) -> Run:
        set_threads(1)
        kind = name.partition("-")[0]
        files = {"labels": "labels.csv", "odd": "odd.txt", "text": "text.txt", "separated": "poems.txt"}
        corpus = load_corpus(
            file := folder / files.get(kind, "names.txt"),
            format="text" if kind == "text" else "lines",
            label_column="country" if name == "labels" else None,
            separator="%" if name == "separated" else None,
        )
        settings = {"model": kind, **SMALL[name]}
        if settings["model"] != "ngram":
            settings |= {"steps": 60, "num_evals": 1, "batch_size": 64}
        chosen = plan(corpus, **settings)
        run = Run(folder / "runs" / name)
        run.create(config_of(chosen, data_config(corpus, str(file))), corpus)
        recorder, model = Recorder(run, None), run.new_model()
        for _ in train(run, model, corpus, recorder):
            pass
        finish(run, model, corpus, recorder)
        return run

    return make
