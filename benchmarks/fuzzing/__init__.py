"""What `python -m benchmarks.fuzz` is made of: generated inputs, and what the program does with each."""
