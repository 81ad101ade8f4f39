"""What is inside a model, and what is wrong with it."""
