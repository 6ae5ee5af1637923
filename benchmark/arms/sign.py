"""Sign: networks with the sign of hidden neurons drawn at random."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Sign(ScatteringArm):
    """What a method loses to this symmetry alone."""

    name = "sign"
    kinds = ("sign",)
