"""Training, evaluation and generation; no disk and no terminal in this room."""
