"""How training networks are changed each time they are read."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from benchmark.arms.scattering import canonical, scattered
from benchmark.datasets.storage import WeightDataset
from benchmark.disturbance import disturbed
from benchmark.errors import UserError
from benchmark.runs.plan import Run
from benchmark.tasks.contract import Augmentation
from nft.network import NetworkSpec

TRANSLATION = 0.25  # of the image's half side
ROTATION = pi / 4
RESIZE = 0.2
SHIFT = 0.1  # of a tensor's standard deviation
DROPOUT = 0.01


def augmentation(run: Run, dataset: WeightDataset, role: str) -> Augmentation | None:
    """Return how a run's method has each training network changed; None for as they are.

    What is made of two networks and their labels is in `mixup`.

    Args:
        run: The run.
        dataset: Its networks.
        role: "head" where classes are learned, "encoder" where images are.

    Raises:
        UserError: If the networks' images would change where more than their class is learned.
    """
    spec, method = dataset.spec, run.method
    activations = dataset.activations("train")
    if method.augmentation.startswith("image"):
        _require_classes(run, role)

    def permuted(flat: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG001
        return spec.permute(flat, spec.random_permutations(len(flat)))

    def settled(flat: Tensor, rows: Tensor) -> Tensor:
        return canonical(spec, flat, activations[rows.cpu().numpy()]) if method.canonical else flat

    def scatter(flat: Tensor, rows: Tensor) -> Tensor:
        return settled(scattered(spec, flat, activations[rows.cpu().numpy()]), rows)

    def image(flat: Tensor, rows: Tensor) -> Tensor:
        return settled(disturbed(spec, moved_at_random(spec, flat), SHIFT, DROPOUT), rows)

    def both(flat: Tensor, rows: Tensor) -> Tensor:
        return permuted(image(flat, rows), rows)

    return {
        "permutation": permuted,
        "scattering": scatter,
        "image": image,
        "image-permutation": both,
    }.get(method.augmentation)


def _require_classes(run: Run, role: str) -> None:
    """Refuse what has targets that a moved image would change."""
    if run.cell.task != "inr-classification" or role == "encoder":
        raise UserError(
            f"{run.cell.entrant}: augmentation {run.method.augmentation!r} moves the images of "
            "INRs, and only their classes stay; use it in task inr-classification, with a method "
            "that does not learn to draw"
        )


def moved(
    spec: NetworkSpec, flat: Tensor, translation: Tensor, rotation: Tensor, scale: Tensor
) -> Tensor:
    """Change the first layer of INRs so that each computes f(scale * R x + translation) of its f.

    Args:
        spec: The INRs that are changed, of two inputs.
        flat: `[batch, parameters]`.
        translation: `[batch, 2]`.
        rotation: `[batch]`, the angle of R, from the first axis to the second.
        scale: `[batch]`.
    """
    (weight, bias), *rest = spec.to_layers(flat)
    cos, sin = rotation.cos(), rotation.sin()
    matrix = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    bias = bias + (weight @ translation.unsqueeze(-1)).squeeze(-1)
    return spec.to_flat([(weight @ matrix * scale[:, None, None], bias), *rest])


def moved_at_random(spec: NetworkSpec, flat: Tensor) -> Tensor:
    """Translate, rotate and resize the image of each INR, as the code of DWSNets does.

    That code (AvivNavon/DWSNets, `INRDataset._augment`, arXiv:2301.12780) translates through the
    bias of a layer that it draws. Past the first, this is no translation, but a small change of
    that bias.
    """

    def uniform(*size: int) -> Tensor:
        return 2 * torch.rand(len(flat), *size, device=flat.device, dtype=flat.dtype) - 1

    translation = TRANSLATION * uniform(2)
    layers = spec.to_layers(flat)
    place = torch.randint(len(layers) - 1, (len(flat), 1), device=flat.device)
    first = translation * (place == 0)
    result = moved(spec, flat, first, ROTATION * uniform(), 1 + RESIZE * uniform())
    changed, through = spec.to_layers(result), translation.unsqueeze(-1)
    for index, (weight, _) in enumerate(layers[:-1]):
        through = weight @ through
        if index:
            own, bias = changed[index]
            changed[index] = own, bias + through.squeeze(-1) * (place == index)
    return spec.to_flat(changed)
