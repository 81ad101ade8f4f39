"""Where the milliseconds of a training step go: `python -m benchmarks.profile_step list.txt --batch-size 1024`.

One thread, medians over 100 steps after 20: planning (which rows), forward, backward, optimisers with weight averaging.
"""

import argparse
import statistics
from itertools import pairwise
from time import perf_counter

import torch.nn.functional as F

import wavemore as wm
from wavemore.engine.batch_samplers import BatchSampler
from wavemore.engine.batchers import WindowBatcher
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.process import keep_freed_memory
from wavemore.engine.threads import set_threads


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_step", description="Time one training step.")
    parser.add_argument("data", nargs="?", default="names")
    parser.add_argument("--batch-size", type=int, default=1_024)
    parser.add_argument("--hidden", type=int, default=128)
    arguments = parser.parse_args()
    set_threads(1)
    keep_freed_memory()
    corpus = wm.load_corpus(arguments.data)
    recipe = wm.plan(corpus, batch_size=arguments.batch_size).recipe
    model = wm.build("tree", len(corpus.vocabulary), wm.TreeConfig(hidden=arguments.hidden), seed=0).train()
    batches, optimizers = WindowBatcher(corpus.train.tokens, model, "unique"), Optimizers(model, recipe)
    sampler = BatchSampler(corpus.train.num_targets, arguments.batch_size, "shuffle", seed=0)
    times: dict[str, list[float]] = {"plan": [], "forward": [], "backward": [], "optimisers": []}
    for step in range(120):
        clock = [perf_counter()]
        rows, targets = batches.plan(sampler.at(step)), batches.targets(sampler.at(step))
        clock.append(perf_counter())
        loss = F.cross_entropy(model.unique(rows), targets)
        clock.append(perf_counter())
        optimizers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clock.append(perf_counter())
        optimizers.step(1.0)
        clock.append(perf_counter())
        if step >= 20:
            for name, (begin, end) in zip(times, pairwise(clock), strict=True):
                times[name].append(1e3 * (end - begin))
    print(", ".join(f"{name} {statistics.median(values):.2f} ms" for name, values in times.items()))


if __name__ == "__main__":
    main()
