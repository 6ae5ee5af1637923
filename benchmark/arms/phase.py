"""Phase: networks with the phase of hidden sines moved at random by a multiple of pi."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Phase(ScatteringArm):
    """What a method loses to this symmetry alone."""

    name = "phase"
    kinds = ("phase",)
