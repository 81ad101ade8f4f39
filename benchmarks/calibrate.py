"""How often does `compare` call a recipe better than itself? Writes records/calibration.json.

Every comparison draws its own 2,000 of the bundled names and trains its own models, three seeds a side, so that no
comparison knows of another. A second series compares with a recipe that is really better: a verdict that is never
"better" would be calibrated too. Takes about six minutes on one core.
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
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records" / "calibration.json"
NAMES = 2_000
SEEDS = 3
RECIPE = {"fuse": (2, 2), "embedding": 8, "hidden": 16, "steps": 100, "batch_size": 256, "evaluations": 1}
BETTER = {**RECIPE, "hidden": 20}


def main() -> None:
    """Compare, and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=200, help="comparisons of the recipe with itself")
    parser.add_argument("--better", type=int, default=50, help="comparisons with a recipe that is better")
    parser.add_argument("-o", type=Path, default=RECORD, help="the record")
    arguments = parser.parse_args()
    set_threads(1)
    here = environment()  # now: who works on the source while this runs does not change what runs
    itself = series(arguments.n, RECIPE, first=0)
    better = series(arguments.better, BETTER, first=arguments.n)
    record = {
        "question": "How often is a recipe called better than itself, and how often is a better one?",
        "command": "python scripts/calibrate.py",
        "recipe": RECIPE,
        "names": NAMES,
        "seeds_each": SEEDS,
        "itself": itself,
        "better_recipe": BETTER,
        "better_one": better,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": here,
    }
    arguments.o.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def series(comparisons: int, settings: dict[str, Any], first: int) -> dict[str, Any]:
    """How often "better" is said of `RECIPE` and another, and how often each of its two conditions alone would."""
    names = wm.load("names")
    lines = np.array([*names.train.lines, *names.val.lines, *names.test.lines])
    verdicts, seeds, bootstraps, differences = [], [], [], []
    for number in range(first, first + comparisons):
        picked = np.random.default_rng([7, number]).choice(lines, NAMES, replace=False)
        corpus = wm.Corpus.from_lines(picked.tolist(), split_seed=number)
        of_a, of_b = (range(start, start + SEEDS) for start in (2 * SEEDS * number, 2 * SEEDS * number + SEEDS))
        a, b = [train(corpus, RECIPE, seed) for seed in of_a], [train(corpus, settings, seed) for seed in of_b]
        found = compare_models(a, b, corpus)
        assert found.seeds is not None
        assert found.lines is not None
        verdicts.append(found.better)
        seeds.append(found.seeds.shown)
        bootstraps.append(found.lines.excludes_zero)
        differences.append(found.difference)
        print(number, f"{found.difference:+.4f}", found.better or "not shown", flush=True)
    return {
        "comparisons": comparisons,
        "better": sum(verdict is not None for verdict in verdicts),
        "b_better": verdicts.count("b"),
        "share": sum(verdict is not None for verdict in verdicts) / comparisons,
        "share_by_seeds_alone": float(np.mean(seeds)),
        "share_by_lines_alone": float(np.mean(bootstraps)),
        "mean_difference": float(np.mean(differences)),
        "std_difference": float(np.std(differences, ddof=1)),
    }


def train(corpus: wm.Corpus, settings: dict[str, Any], seed: int) -> wm.Tree:
    """One small model."""
    chosen = wm.plan(corpus, settings={**settings, "seed": seed})
    model = wm.build("tree", len(corpus.vocabulary), chosen.tree, seed)
    for _ in wm.fit(model, corpus, chosen.recipe):
        pass
    return model


if __name__ == "__main__":
    main()
