"""The search for better settings: models, sizes and recipes for one list or text, by Optuna.

File by file: `space` has the settings that are searched, and turns a choice of them into a training within the limits;
`journal` is Optuna's storage as JSON lines; `pruning` stops trials that cannot become good; `tuner` trains the trials
and repeats the best of them on fresh seeds; `result` judges these; `record` is what comes out, `tune.json`.
"""
