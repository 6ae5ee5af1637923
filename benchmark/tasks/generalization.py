"""Generalization: a CNN's test accuracy from its weights (NFN, arXiv:2302.14040, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task

SMALLEST = 1e-3  # of an accuracy whose logit is fitted: those of 0 and 1 are infinite


class Generalization(Task):
    """Prediction of a CNN's accuracy, ranked by Kendall's tau.

    The loss is the binary cross-entropy of a logit `[batch, 1]` against the accuracy `[batch]`.
    """

    name = "generalization"
    title = "CNN generalization"
    metric = "kendall_tau"
    target = "target"
    quality = "train_accuracy"
    outputs = 1

    def __init__(self, dataset: WeightDataset) -> None:
        super().__init__(dataset)
        ends = [(part.targets.min(), part.targets.max()) for part in dataset.splits.values()]
        if min(low for low, _ in ends) < 0 or max(high for _, high in ends) > 1:
            raise UserError(
                f"{dataset.name}: an accuracy lies between 0 and 1; for other numbers there is the "
                "task regression"
            )

    def responses(self, targets: Tensor) -> Tensor:
        return targets.clamp(SMALLEST, 1 - SMALLEST).logit()

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(predictions[:, 0], targets)

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        # The last bits of a sigmoid differ between places in memory. Rounding from float64 removes
        # them, so that equal logits give equal predictions.
        return Outcome(
            predictions[:, 0].double().sigmoid().float().cpu().numpy(), targets.cpu().numpy()
        )

    def further(self, test: Outcome) -> Mapping[str, float]:
        low, high = metrics.interval(metrics.get(self.metric), test)
        return {"test_r2": metrics.get("r2").whole(test), "test_low": low, "test_high": high}

    def picture(self, predictions: Tensor, path: Path) -> None:
        """Plot predicted against true accuracies."""
        from matplotlib.figure import Figure  # slow to import

        figure = Figure(figsize=(4, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.targets("test"), predictions[:, 0].sigmoid().cpu(), ".", markersize=3)
        axes.plot([0, 1], [0, 1], "k:", linewidth=1)
        axes.set(xlabel="accuracy on the test images", ylabel="predicted", xlim=(0, 1), ylim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=120)
