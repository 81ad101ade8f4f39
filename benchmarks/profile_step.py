"""Where the milliseconds of a training step go: `python scripts/profile_step.py list.txt --batch-size 1024`.

One thread, medians over 100 steps after 20: planning (which rows), forward, backward, optimisers with averaging.
"""

import argparse
import statistics
from time import perf_counter

import torch.nn.functional as F

import wavemore as wm
from wavemore.engine.batches import Positions, WindowBatches
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.process import keep_freed_memory, set_threads


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", default="names")
    parser.add_argument("--batch-size", type=int, default=1_024)
    parser.add_argument("--hidden", type=int, default=128)
    arguments = parser.parse_args()
    set_threads(1)
    keep_freed_memory()
    corpus = wm.load(arguments.data)
    plan = wm.plan(corpus, settings={"batch_size": arguments.batch_size, "hidden": arguments.hidden})
    model = wm.build("tree", len(corpus.vocabulary), plan.tree, seed=0).train()
    batches, optimizers = WindowBatches(corpus.train.tokens, model, "unique"), Optimizers(model, plan.recipe)
    positions = Positions(corpus.train.targets, arguments.batch_size, "shuffle", seed=0)
    spent: dict[str, list[float]] = {"plan": [], "forward": [], "backward": [], "optimisers": []}
    for step in range(120):
        clock = [perf_counter()]
        rows, targets = batches.plan(positions.at(step)), batches.targets(positions.at(step))
        clock.append(perf_counter())
        loss = F.cross_entropy(model.unique(rows), targets)
        clock.append(perf_counter())
        optimizers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clock.append(perf_counter())
        optimizers.step(step)
        clock.append(perf_counter())
        if step >= 20:
            for what, begin, end in zip(spent, clock, clock[1:], strict=False):
                spent[what].append(1e3 * (end - begin))
    print(", ".join(f"{what} {statistics.median(times):.2f} ms" for what, times in spent.items()))


if __name__ == "__main__":
    main()
