"""Benchmarks: speed as a ratio against a named baseline, and the scripts that measure what records/ holds.

`python -m benchmarks` prints the figures of `measures.py`. `lecture.py`, `makemore.py` and `nanogpt.py` re-create the
settings of others, to measure against. `python -m benchmarks.record NAME` trains an experiment and writes its record;
`calibrate`, `small_lists`, `rules`, `given_time` and `profile_step` are scripts of the same kind.
"""
