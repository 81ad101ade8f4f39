"""Experiments: the run folder, the log; everything that is written to disk."""
