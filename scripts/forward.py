"""One forward pass, layer by layer, with every shape: `python scripts/forward.py marianne`.

With `--stop` the debugger stops before each layer (in VS Code as at a breakpoint, in a terminal in pdb), and `x`,
`layer` and `targets` can be looked at. The weights are fresh, the data is real.

Shapes: B contexts, T characters of a context, V tokens.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F

import wavemore as wm
from wavemore.text.parts import windows


def main() -> None:
    """Print the shapes."""
    parser = argparse.ArgumentParser(description="Show the shapes of one forward pass, layer by layer.")
    parser.add_argument("name", nargs="?", default="marianne", help="the name to predict, letter by letter")
    parser.add_argument("--fuse", type=int, nargs="+", default=[2, 2, 2], help="positions that each fusion joins")
    parser.add_argument("--stop", action="store_true", help="stop in the debugger before each layer")
    arguments = parser.parse_args()

    vocabulary = wm.load_corpus("names").vocabulary
    config = wm.TreeConfig(fuse=tuple(arguments.fuse))
    model = wm.build("tree", len(vocabulary), config, seed=0)  # in training mode

    tokens = vocabulary.encode_text(arguments.name + "\n")
    contexts = windows(tokens, np.arange(len(tokens)), config.receptive_field)
    targets = torch.from_numpy(tokens.astype(np.int64))  # (B,)
    x = torch.from_numpy(contexts.astype(np.int64))  # (B, T)

    print(f"{'contexts':24} {tuple(x.shape)}")
    for number, layer in enumerate(model.layers):
        if arguments.stop:
            breakpoint()
        x = layer(x)
        print(f"{number:2} {type(layer).__name__:21} {tuple(x.shape)}")
    logits = x.squeeze(1)  # (B, 1, V) -> (B, V)
    print(f"{'logits':24} {tuple(logits.shape)}")
    print(f"{'loss':24} {F.cross_entropy(logits, targets).item():.3f} nats per character")


if __name__ == "__main__":
    main()
