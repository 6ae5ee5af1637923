"""Scaled: networks with hidden ReLUs scaled at random."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Scaled(ScatteringArm):
    """Hidden ReLUs scaled by positive factors: what a method loses to that alone."""

    name = "scaled"
    kinds = ("scale",)
