"""Tree ensembles on statistics of the weights (Unterthiner et al. 2020, arXiv:2002.11448).

That paper predicts the accuracy of CNNs by gradient-boosted trees on the same statistics that
StatNN reads. scikit-learn fits the trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn import ensemble
from torch import Tensor, nn

from baselines.statnn import Statistics
from benchmark.methods import FittedModule, Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft.network import NetworkSpec

FEWEST_TO_STOP = 1000  # training networks; a tenth of fewer says little about when to stop


class Trees(FittedModule):
    """Trees that read a network's statistics: a classifier of labels, a regressor of numbers.

    Args:
        spec: The networks that are read.
        outputs: Numbers to predict per network.
        kind: "extra" for extremely randomised trees, "boosted" for gradient-boosted ones.
        settings: Arguments of scikit-learn's estimator.
    """

    def __init__(
        self, spec: NetworkSpec, outputs: int, kind: str, settings: dict[str, Any]
    ) -> None:
        super().__init__()
        self.statistics = Statistics(spec, correction=0)
        self.outputs, self.kind, self.settings = outputs, kind, settings
        self.trees: Any = None

    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:
        self.classifies = not targets.is_floating_point()
        estimators = {
            ("extra", True): ensemble.ExtraTreesClassifier,
            ("extra", False): ensemble.ExtraTreesRegressor,
            ("boosted", True): ensemble.HistGradientBoostingClassifier,
            ("boosted", False): ensemble.HistGradientBoostingRegressor,
        }
        estimator = estimators[self.kind, self.classifies]
        settings = dict(self.settings)
        if self.kind == "boosted":
            settings["early_stopping"] = len(weights) >= FEWEST_TO_STOP
        self.trees = estimator(random_state=seed % 2**32, **settings)
        self.trees.fit(self._features(weights), targets.cpu().numpy())

    def forward(self, flat: Tensor) -> Tensor:
        if self.trees is None:
            return flat.new_zeros(len(flat), self.outputs)
        features = self._features(flat)
        if not self.classifies:
            return torch.from_numpy(self.trees.predict(features)).to(flat).unsqueeze(1)
        probabilities = np.full((len(flat), self.outputs), 1e-9)
        probabilities[:, self.trees.classes_] += self.trees.predict_proba(features)
        return torch.from_numpy(np.log(probabilities)).to(flat)

    def _features(self, flat: Tensor) -> np.ndarray:
        return self.statistics(flat).cpu().numpy()


@dataclass(frozen=True)
class StatisticsTrees(Method):
    """Extremely randomised or gradient-boosted trees on StatNN's statistics.

    They are fitted at once, and no suite's steps apply to them. Boosted trees stop early on a tenth
    of the training networks.
    """

    name = "extra-trees"
    title = "Extra trees on statistics"
    paper = "arXiv:2002.11448"
    libraries = ("scikit-learn",)
    mini = {"trees": 300}
    space = {"leaf": Choice(1, 2, 5), "features": Log(0.1, 1.0)}
    variants = (
        Variant(
            "boosted-trees",
            "Boosted trees on statistics",
            {"kind": "boosted", "rate": 0.1},
            mini={},
        ),
    )

    kind: Literal["extra", "boosted"] = "extra"
    trees: int = 500
    leaf: int = 1  # networks
    features: float = 0.3  # the share that each split considers
    rate: float = 0.0  # of boosting

    def build(self, problem: Problem) -> nn.Module:
        extra = {
            "n_estimators": self.trees,
            "min_samples_leaf": self.leaf,
            "max_features": self.features,
            "n_jobs": 1,
        }
        boosted = {
            "max_iter": self.trees,
            "learning_rate": self.rate,
            "max_features": self.features,
        }
        settings = extra if self.kind == "extra" else boosted
        return Trees(problem.spec, problem.outputs, self.kind, settings)
