"""Layers, the fusion of a context in its three executions, and the models built from them."""
