"""How often does `compare` call a recipe better than itself? `python -m benchmarks.calibrate` writes the record.

Each comparison draws its own 2,000 of the bundled names and trains its own models, three seeds per side, so that
comparisons are independent. A second series compares with a recipe that really is better: a verdict that is never
"better" would be calibrated too. This takes about six minutes on one core.
"""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import wavemore as wm
from wavemore.comparison.compare import compare_models
from wavemore.engine.process import set_threads
from wavemore.nn.model import Model
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records" / "calibration.json"
NAMES = 2_000
SEEDS = 3
RECIPE = {"fuse": (2, 2), "embedding": 8, "hidden": 16, "steps": 100, "batch_size": 256, "num_evals": 1}
BETTER = {**RECIPE, "hidden": 20}


def main() -> None:
    """Compare, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibrate", description="Write calibration.json.")
    parser.add_argument("-n", type=int, default=200, help="comparisons of the recipe with itself")
    parser.add_argument("--better", type=int, default=50, help="comparisons with a better recipe")
    parser.add_argument("-o", type=Path, default=RECORD, help="the record")
    arguments = parser.parse_args()
    set_threads(1)
    machine = environment()  # read now: an edit of the source during the run does not change what runs
    record = {
        "question": "How often is a recipe called better than itself, and how often is a better one?",
        "command": "python -m benchmarks.calibrate",
        "recipe": RECIPE,
        "names": NAMES,
        "seeds_each": SEEDS,
        "itself": series(arguments.n, RECIPE, first=0),
        "better_recipe": BETTER,
        "better_one": series(arguments.better, BETTER, first=arguments.n),
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": machine,
    }
    arguments.o.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def series(comparisons: int, settings: dict[str, Any], first: int) -> dict[str, Any]:
    """Compare `RECIPE` with other settings many times, and count the verdicts and those of each condition alone."""
    names = wm.load_corpus("names")
    lines = np.array([*names.train.lines, *names.val.lines, *names.test.lines])
    verdicts, by_seeds, by_lines, differences = [], [], [], []
    for number in range(first, first + comparisons):
        subset = np.random.default_rng([7, number]).choice(lines, NAMES, replace=False)
        corpus = wm.LineCorpus.from_lines(subset.tolist(), split_seed=number)
        start = 2 * SEEDS * number
        a = [train(corpus, RECIPE, seed) for seed in range(start, start + SEEDS)]
        b = [train(corpus, settings, seed) for seed in range(start + SEEDS, start + 2 * SEEDS)]
        comparison = compare_models(a, b, corpus)
        seeds, lines_interval = comparison.overall.seeds, comparison.overall.lines
        assert seeds is not None
        assert lines_interval is not None
        verdicts.append(comparison.better)
        by_seeds.append(seeds.excludes_zero)
        by_lines.append(lines_interval.excludes_zero)
        differences.append(comparison.difference)
        verdict = f"{comparison.better} is better" if comparison.better else "no significant difference"
        print(number, f"{comparison.difference:+.4f}", verdict, flush=True)
    return {
        "comparisons": comparisons,
        "better": sum(verdict is not None for verdict in verdicts),
        "b_better": verdicts.count("b"),
        "share": sum(verdict is not None for verdict in verdicts) / comparisons,
        "share_by_seeds_alone": float(np.mean(by_seeds)),
        "share_by_lines_alone": float(np.mean(by_lines)),
        "mean_difference": float(np.mean(differences)),
        "std_difference": float(np.std(differences, ddof=1)),
    }


def train(corpus: wm.LineCorpus, settings: dict[str, Any], seed: int) -> Model:
    """Train one small tree."""
    plan = wm.plan(corpus, **settings, seed=seed)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    return model


if __name__ == "__main__":
    main()
