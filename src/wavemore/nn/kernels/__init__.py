"""Forward and backward passes written by hand because they save time.

Each has a plain path that gives the same numbers, and a test that compares the two. The plain path is taken unless all
layers are `is_bare`, and whenever torch `needs_plain` operations.

- `whole_tree`: a training step of a tree by the `unique` execution as one autograd function
- `mix`: a fusion and its Linear over the distinct n-grams of a batch
- `gated_block`: a block of a WaveNet as one autograd function
- `lstm`: a layer of an LSTM over lines of any lengths as one autograd function
- `tanh`: tanh and the gate of a WaveNet, which these and activations.py use
- `torch_internals`: what decides between the paths, and everything that is not documented by torch
"""
