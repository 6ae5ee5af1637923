"""Scattered: networks whose hidden neurons are changed by all of their symmetries at once."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Scattered(ScatteringArm):
    """Neurons in random order, and of random sign, phase or scale."""

    name = "scattered"
    kinds = None
