"""Scaled: networks with hidden ReLUs scaled at random."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Scaled(ScatteringArm):
    """What a method loses to this symmetry alone."""

    name = "scaled"
    kinds = ("scale",)
