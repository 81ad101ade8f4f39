"""Benchmarks: speed and quality against named baselines."""
