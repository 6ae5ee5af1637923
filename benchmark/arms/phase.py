"""Phase: networks with the phase of hidden sines moved at random by a multiple of pi."""

from __future__ import annotations

from benchmark.arms.scattering import ScatteringArm


class Phase(ScatteringArm):
    """Phases of hidden sines moved by multiples of pi: what a method loses to that alone."""

    name = "phase"
    kinds = ("phase",)
