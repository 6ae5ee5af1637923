"""INR editing: edits of a SIREN's image through its weights (NFN, arXiv:2302.14040, section 4.3).

Loss and metric are the mean squared error of the rendered image, with values in [-1, 1], against
the edited image. An editor predicts k sets of weights, and its image is the mean of their k
renderings (output capacity expansion, arXiv:2602.01083); usually k is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmark.record.predictions import Outcome
from benchmark.runs.pictures import sheet, to_pixels
from benchmark.tasks.contract import Task
from nft import siren

CEILING_STEPS, CEILING_NETWORKS = 1000, 200


class InrEditing(Task):
    """Prediction of edited weights `[batch, k, parameters]`, ranked by mean squared error.

    The targets are images `[batch, pixels]`.
    """

    name = "inr-editing"
    title = "INR editing"
    metric = "mse"
    target = "target_image"

    @property
    def outputs(self) -> int:
        return self.dataset.spec.parameters

    def targets(self, split: str) -> Tensor:
        return self.dataset.splits[split].targets.float() / 127.5 - 1

    def draw(self, weights: Tensor) -> Tensor:
        """Render the mean image `[batch, pixels]` of weights `[batch, k, parameters]`."""
        coordinates = siren.grid(*self.dataset.manifest.image, device=weights.device)
        drawn = siren.render(self.dataset.spec, weights.flatten(0, 1), coordinates)
        return drawn.unflatten(0, weights.shape[:2]).mean(dim=1).flatten(1)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (self.draw(predictions) - targets).square().mean()

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        errors = [
            (self.draw(some) - wanted).square().mean(dim=1)
            for some, wanted in zip(predictions.split(250), targets.split(250), strict=True)
        ]
        return Outcome(torch.cat(errors).cpu().numpy())

    def fits(self, predictions: Tensor, networks: int) -> bool:
        return predictions.ndim == 3 and (predictions.shape[0], predictions.shape[2]) == (
            networks,
            self.outputs,
        )

    def further(self, test: Outcome) -> Mapping[str, float]:
        return {"test_mean_psnr": float(siren.psnr(torch.from_numpy(test.predictions)).mean())}

    def references(self) -> Mapping[str, float]:
        """Compute the error that fitting alone costs and the error that these networks can reach.

        Returns:
            test_fit: Error of the unedited INRs against their own images.
            test_ceiling: Error of the first 200 of them after 1,000 steps of Adam that fit them
                directly to the edited images.
        """
        test, spec = self.dataset.splits["test"], self.dataset.spec
        coordinates = siren.grid(*self.dataset.manifest.image)
        targets = self.targets("test").unflatten(1, (len(coordinates), spec.neurons[-1]))
        few = slice(CEILING_NETWORKS)
        _, errors = siren.fit(
            spec, test.weights[few], targets[few], coordinates, CEILING_STEPS, 2e-3
        )
        fit = 4 / 10 ** (test.quality.double() / 10)
        return {"test_fit": float(fit.mean()), "test_ceiling": float(errors.mean())}

    def picture(self, predictions: Tensor, path: Path) -> None:
        """Save the images of the first test networks: input, target and output."""
        image, test = self.dataset.manifest.image, self.dataset.splits["test"]
        channels = self.dataset.spec.neurons[-1]
        drawings = {
            "input": self.draw(test.weights[:16].unsqueeze(1)),
            "target": self.targets("test")[:16],
            "output": self.draw(predictions[:16].cpu()),
        }
        rows = [
            (name, to_pixels(values.unflatten(1, (-1, channels)), *image))
            for name, values in drawings.items()
        ]
        sheet(rows).save(path)
