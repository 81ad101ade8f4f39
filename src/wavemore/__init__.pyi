"""The public names, each imported by `__init__.py` when it is first used."""

from . import plots as plots
from .comparison.compare import compare as compare
from .comparison.result import Comparison as Comparison
from .engine.distillation import soft_targets as soft_targets
from .engine.evaluate import Evaluation as Evaluation
from .engine.evaluate import Score as Score
from .engine.evaluate import evaluate as evaluate
from .engine.evaluate import score as score
from .engine.fit import fit as fit
from .engine.generate_lines import generate as generate
from .engine.generate_text import GeneratedText as GeneratedText
from .engine.generate_text import generate_text as generate_text
from .engine.line_source import Sample as Sample
from .engine.plan import plan as plan
from .engine.recipe import LECTURE as LECTURE
from .engine.recipe import Recipe as Recipe
from .engine.sampling import Sampling as Sampling
from .engine.step_record import Checkpoint as Checkpoint
from .engine.step_record import StepRecord as StepRecord
from .engine.training_plan import Plan as Plan
from .errors import WavemoreError as WavemoreError
from .inspection.finding import Finding as Finding
from .inspection.inspect import inspect as inspect
from .inspection.inspect import inspect_model as inspect_model
from .inspection.result import Inspection as Inspection
from .nn.models import build as build
from .nn.tree import Tree as Tree
from .nn.tree import TreeConfig as TreeConfig
from .reports.report import report as report
from .runs.find import find_run as find_run
from .runs.find import find_runs as find_runs
from .runs.run import Run as Run
from .runs.source import Source as Source
from .runs.source import find_source as find_source
from .text.corpus import Corpus as Corpus
from .text.datasets import load_corpus as load_corpus
from .text.line_corpus import LineCorpus as LineCorpus
from .text.text_corpus import TextCorpus as TextCorpus
from .text.vocabulary import Vocabulary as Vocabulary
from .version import __version__ as __version__

__all__: list[str]
