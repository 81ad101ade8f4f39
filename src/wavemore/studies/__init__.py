"""Studies: a question, many trainings, a verdict."""
