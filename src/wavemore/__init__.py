"""wavemore: character-level language models whose context is fused step by step, as in WaveNet.

A list in, a trained model in seconds, new lines out:

>>> import wavemore as wm
>>> corpus = wm.load("names")
>>> chosen = wm.plan(corpus, settings={"epochs": 0.01, "hidden": 16})
>>> model = wm.build("tree", len(corpus.vocabulary), chosen.tree, seed=0)
>>> for progress in wm.fit(model, corpus, chosen.recipe):
...     pass
>>> samples = wm.generate(model, corpus.vocabulary, 3, wm.Sampling(seed=1), corpus.line_hashes)
>>> len(list(samples))
3

Names are imported when they are first used, so `import wavemore` takes no time and imports no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavemore import plots as plots
    from wavemore.comparison.compare import compare as compare
    from wavemore.comparison.result import Comparison as Comparison
    from wavemore.engine.distillation import soft_targets as soft_targets
    from wavemore.engine.evaluate import Evaluation as Evaluation
    from wavemore.engine.evaluate import Score as Score
    from wavemore.engine.evaluate import evaluate as evaluate
    from wavemore.engine.evaluate import score as score
    from wavemore.engine.evaluate import score_texts as score_texts
    from wavemore.engine.fit import Checkpoint as Checkpoint
    from wavemore.engine.fit import Progress as Progress
    from wavemore.engine.fit import fit as fit
    from wavemore.engine.generate_lines import Sample as Sample
    from wavemore.engine.generate_lines import generate as generate
    from wavemore.engine.generate_text import Written as Written
    from wavemore.engine.generate_text import write as write
    from wavemore.engine.plan import Plan as Plan
    from wavemore.engine.plan import plan as plan
    from wavemore.engine.recipe import LECTURE as LECTURE
    from wavemore.engine.recipe import Recipe as Recipe
    from wavemore.engine.sampling import Sampling as Sampling
    from wavemore.errors import WavemoreError as WavemoreError
    from wavemore.inspection.finding import Finding as Finding
    from wavemore.inspection.inspect import inspect as inspect
    from wavemore.inspection.inspect import inspect_model as inspect_model
    from wavemore.inspection.inspect import inspect_run as inspect_run
    from wavemore.inspection.result import Inspection as Inspection
    from wavemore.nn.config import TreeConfig as TreeConfig
    from wavemore.nn.models import build as build
    from wavemore.nn.tree import Tree as Tree
    from wavemore.reports.report import report as report
    from wavemore.runs.find import find_run as find_run
    from wavemore.runs.find import find_runs as find_runs
    from wavemore.runs.run import Run as Run
    from wavemore.text.continuous import TextStream as TextStream
    from wavemore.text.corpus import Corpus as Corpus
    from wavemore.text.datasets import load as load
    from wavemore.text.datasets import load_text as load_text
    from wavemore.text.vocabulary import Vocabulary as Vocabulary

from wavemore.version import __version__ as __version__

_NAMES_OF = {
    "wavemore.engine.evaluate": "Evaluation Score evaluate score score_texts",
    "wavemore.engine.fit": "Checkpoint Progress fit",
    "wavemore.engine.generate_lines": "Sample generate",
    "wavemore.engine.plan": "Plan plan",
    "wavemore.engine.recipe": "LECTURE Recipe",
    "wavemore.engine.sampling": "Sampling",
    "wavemore.engine.distillation": "soft_targets",
    "wavemore.engine.generate_text": "Written write",
    "wavemore.errors": "WavemoreError",
    "wavemore.reports.report": "report",
    "wavemore.comparison.compare": "compare",
    "wavemore.comparison.result": "Comparison",
    "wavemore.inspection.finding": "Finding",
    "wavemore.inspection.inspect": "inspect inspect_model inspect_run",
    "wavemore.inspection.result": "Inspection",
    "wavemore.runs.find": "find_run find_runs",
    "wavemore.runs.run": "Run",
    "wavemore.nn.config": "TreeConfig",
    "wavemore.nn.models": "build",
    "wavemore.nn.tree": "Tree",
    "wavemore.text.corpus": "Corpus",
    "wavemore.text.datasets": "load load_text",
    "wavemore.text.continuous": "TextStream",
    "wavemore.text.vocabulary": "Vocabulary",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}

_MODULES = {"plots": "wavemore.plots"}

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOME_OF:
        raise AttributeError(f"module 'wavemore' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
