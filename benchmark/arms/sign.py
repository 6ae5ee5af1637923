"""Sign: networks with the sign of hidden neurons drawn at random."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Sign(ScatteringArm):
    """Signs of hidden neurons flipped at random: what a method loses to that alone."""

    name = "sign"
    kinds = ("sign",)
