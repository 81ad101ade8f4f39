"""Neural networks: layers written out by hand, and the character-level models built from them. Knows no text.

Start with:

- `layers`, `norms`, `activations`: the building blocks, interchangeable with torch's
- `fusion`: one stack of layers in three executions, the idea of the project
- `tree.Tree`: the lecture's model; `wavenet.WaveNet`: the paper's; the other models are baselines
- `models`: all models by name (`MODELS`), `build` and `parameter_count`; a new model is added to this table
- `model`: what all models have in common, `Model` and its `Decoder`; `config`: the same for their settings

`kernels` holds forward and backward passes written by hand for speed.
"""
