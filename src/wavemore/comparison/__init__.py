"""Is one recipe better than another?

- `compare.compare`: two recipes by their runs, on the same lines, with a verdict.
- `result.Comparison`: what `compare` returns.
- `experiments.list_experiments`: the runs grouped by experiment, with mean and standard deviation over seeds.
- `evidence.judge`: the one test behind every verdict, over seeds and lines together.
- `statistics`: mean and standard deviation, the t-test of an estimate with several errors, Holm's adjustment.
- `slices.slices`: kinds of lines and positions, to see where one model predicts better.
"""
