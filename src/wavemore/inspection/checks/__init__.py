"""The checks, one file per kind of problem: each `check_...` function yields findings.

Their limits come from experiments: above what healthy runs show, below what deliberate faults cause.
"""
