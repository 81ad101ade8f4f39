"""The checks, one file per kind of problem: each `check_...` function yields findings.

Their limits come from trainings: beyond what healthy ones have, short of what planted faults cause.
"""
