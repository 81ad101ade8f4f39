"""How much each setting mattered, by Optuna's PED-ANOVA: how differently the best trials and all trials chose it.

Trials that were pruned count as trials that are not among the best.

Paper: Watanabe et al., PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces,
https://arxiv.org/abs/2304.10255
"""

import warnings
from collections.abc import Sequence

from wavemore.studies.tuning.journal import optuna
from wavemore.studies.tuning.trials import Tried

LEAST_TRIALS = 10
"""Of one kind of model."""


def importance(model: str, tried: Sequence[Tried]) -> dict[str, float]:
    """Return the importance of each setting of a model, the largest first, their sum 1; empty for too few trials."""
    own = [each for each in tried if each.facts.model == model and (each.val_nats is not None or each.losses)]
    if len(own) < LEAST_TRIALS:
        return {}
    worst = max(each.val_nats for each in own if each.val_nats is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study()
        for each in own:
            params = {name: value for name, value in each.values.items() if "." in name}
            value = each.val_nats if each.val_nats is not None else worst + min(each.losses.values())
            distributions = {name: each.distributions[name] for name in params}
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    total = sum(found.values())
    if not total > 0:
        return {}
    return {name.partition(".")[2]: value / total for name, value in found.items()}
