"""Training, evaluation and generation. This package uses neither disk nor terminal.

Start with `plan.plan` (default settings that suit the data), `fit.fit` (the training loop), `evaluate.evaluate` and
`evaluate.score`, `generate_lines.generate` and `generate_text.generate_text`, and `distillation.soft_targets`. The
plain data beside them are `recipe.Recipe`, `sampling.Sampling`, `step_record.StepRecord` and `step_record.Checkpoint`.
"""
