"""The phasor-graded reader: every layer keeps the grades, so the symmetries of sines are exact."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.phasor import GRADES, Graded, Phasor, PhasorBlock, PhasorFeatures
from benchmark.errors import UserError
from benchmark.methods import Problem
from nft import symmetry
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 5, 4, 3, activation="sine", omega=15.0)


def networks() -> Tensor:
    return 0.3 * torch.randn(6, SPEC.parameters, dtype=torch.float64)


def reader(flat: Tensor) -> nn.Module:
    """A reader whose parameters are all random, also those that start at zero."""
    module = Phasor(channels=8).build(Problem(SPEC, 10, *SPEC.statistics(flat), None))
    module = module.double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def signs(size: int) -> Tensor:
    return 1.0 - 2.0 * torch.randint(2, (6, size)).double()


@pytest.mark.parametrize("kind", ["permutation", "sign", "phase", "all"])
def test_no_symmetry_moves_the_output(kind: str) -> None:
    flat = networks()
    module = reader(flat)
    kinds = symmetry.symmetries(SPEC) if kind == "all" else (kind,)
    moved = symmetry.scatter(SPEC, flat, kinds)
    assert not torch.allclose(moved, flat)
    torch.testing.assert_close(module(moved), module(flat), atol=1e-10, rtol=1e-10)


def test_windings_have_no_bound() -> None:
    flat = networks()
    module = reader(flat)
    turns = [torch.randint(-40, 41, (6, size)).double() for size in SPEC.neurons[1:-1]]
    moved = symmetry.shift(SPEC, flat, turns)
    torch.testing.assert_close(module(moved), module(flat), atol=1e-9, rtol=1e-9)


def test_other_changes_move_it() -> None:
    """A sign of the incoming weights alone, and half of a half turn, are no symmetries."""
    flat = networks()
    module = reader(flat)
    layers = SPEC.to_layers(flat)
    (weight, bias), rest = layers[0], layers[1:]
    for changed in ((-weight, bias), (weight, bias + torch.pi / 2 / SPEC.omega)):
        moved = module(SPEC.to_flat([changed, *rest]))
        assert (moved - module(flat)).abs().max() > 1e-3


def times(x: Graded, odd: Tensor, shifted: Tensor) -> Graded:
    """Multiply features by the signs of their grades."""
    factors = {0: torch.ones_like(odd), 1: odd, 2: shifted, 3: odd * shifted}
    return [factors[grade].unsqueeze(-1) * part for grade, part in zip(GRADES, x, strict=True)]


def test_features_have_the_grades_that_they_are_put_in() -> None:
    flat = networks()
    features = PhasorFeatures(SPEC, *SPEC.statistics(flat))
    odd, turns = [signs(5), signs(4)], [torch.randint(-3, 4, (6, size)).double() for size in (5, 4)]
    shifted = [1 - 2 * (turn % 2) for turn in turns]
    before = features(flat)
    after = features(symmetry.shift(SPEC, symmetry.flip(SPEC, flat, odd), turns))
    for layer in range(2):
        expected = times(before[layer], odd[layer], shifted[layer])
        for own, part in zip(after[layer], expected, strict=True):
            torch.testing.assert_close(own, part, atol=1e-11, rtol=1e-11)
    into, out_of = odd[1].unsqueeze(2), (odd[0] * shifted[0]).unsqueeze(1)
    torch.testing.assert_close(after[2], into * before[2] * out_of)


def test_blocks_keep_the_grades() -> None:
    block = PhasorBlock(6).double()
    nn.init.normal_(block.messages.factors)
    one, two = ([torch.randn(6, size, 6).double() for _ in GRADES] for size in (5, 4))
    weights = torch.randn(6, 4, 5).double()
    (odd, later), (shifted, later_shifted) = (signs(5), signs(4)), (signs(5), signs(4))
    moved = block(
        times(one, odd, shifted),
        times(two, later, later_shifted),
        later.unsqueeze(2) * weights * (odd * shifted).unsqueeze(1),
    )
    expected = block(one, two, weights)
    for own, part in zip(moved[0], times(expected[0], odd, shifted), strict=True):
        torch.testing.assert_close(own, part)
    for own, part in zip(moved[1], times(expected[1], later, later_shifted), strict=True):
        torch.testing.assert_close(own, part)


def test_features_of_one_neuron_a_layer_by_hand() -> None:
    """Divided by the root mean squares of the weights: 3, 2 and 5."""
    spec = NetworkSpec.mlp(1, 1, 1, 1, activation="sine", omega=2.0)
    flat = torch.tensor([[3.0, 0.4, 2.0, -0.3, 5.0, 7.0]])
    one, two, weights = PhasorFeatures(spec, *spec.statistics(flat))(flat)
    phases = torch.tensor([0.8, -0.6])
    cos, sin, cos2, sin2 = phases.cos(), phases.sin(), (2 * phases).cos(), (2 * phases).sin()
    for found, expected in (
        (one, ([1, cos2[0], 1, 1], [1, sin2[0]], [cos[0]], [sin[0]])),
        (two, ([1, 1, cos2[1], 1], [sin2[1]], [cos[1]], [sin[1], 1])),
    ):
        for part, values in zip(found, expected, strict=True):
            torch.testing.assert_close(part.flatten(), torch.tensor(values, dtype=torch.float32))
    assert weights.item() == 1


def test_the_published_size() -> None:
    """The published code has 12 further maps in its last block, of features that are not read."""
    spec = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    module = Phasor().build(Problem(spec, 10, torch.zeros(6), torch.ones(6), (28, 28)))
    assert sum(parameter.numel() for parameter in module.parameters()) == 1_874_898 - 12 * 186**2


def test_what_cannot_be_is_skipped_or_refused() -> None:
    for spec in (
        NetworkSpec.mlp(2, 3, 1, activation="sine", omega=30.0),
        NetworkSpec.mlp(2, 3, 3, 1, activation="tanh"),
    ):
        problem = Problem(spec, 10, torch.zeros(1), torch.ones(1), None)
        assert "two hidden layers" in Phasor().skip(problem)
    with pytest.raises(UserError, match="blocks is a number from 1 on"):
        Phasor(blocks=0)
