"""Is one recipe better than another?

- `compare.compare`: two recipes by their runs, on the same lines, with a verdict.
- `result.Comparison`: what `compare` returns.
- `experiments.list_experiments`: the runs grouped by experiment, with mean and standard deviation over seeds.
- `statistics`: mean and standard deviation, Welch's test, Holm's adjustment.
- `bootstrap.ratio_intervals`: how much a loss could change with other lines.
- `slices.slices`: kinds of lines and positions, to see where one model predicts better.
"""
