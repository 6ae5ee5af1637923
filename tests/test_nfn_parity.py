"""Our layers compute what the `nfn` package, published with the two papers, computes."""

from __future__ import annotations

import pytest
import torch
from nfn.common import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import HNPLinear, HNPPool, NPAttention, NPLinear, NPPool
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from baselines.equivariant import EquivariantLinear, NeuronLayout
from nft.layers import WeightSpaceAttention
from nft.network import NetworkSpec

SPECS = [NetworkSpec.mlp(2, 4, 3, 2), NetworkSpec.mlp(2, 3, 4, 3, 1)]


def to_theirs(spec: NetworkSpec, x: Tensor) -> WeightSpaceFeatures:
    """Channels last to channels first."""
    views = [(weight.movedim(-1, 1), bias.movedim(-1, 1)) for weight, bias in spec.views(x)]
    return WeightSpaceFeatures.from_zipped(views)


def to_ours(spec: NetworkSpec, features: WeightSpaceFeatures) -> Tensor:
    return spec.from_views(
        [(weight.movedim(1, -1), bias.movedim(1, -1)) for weight, bias in features]
    )


def their_spec(spec: NetworkSpec) -> object:
    return network_spec_from_wsfeat(
        to_theirs(spec, torch.zeros(1, spec.tokens, 1)), set_all_dims=True
    )


@pytest.mark.parametrize("spec", SPECS, ids=["3 layers", "4 layers"])
@pytest.mark.parametrize("hidden_only", [True, False], ids=["HNP", "NP"])
def test_linear_layers(spec: NetworkSpec, hidden_only: bool) -> None:
    """Their layer is linear in redundant parameters, so ours are solved for rather than copied.

    Each of theirs must be one of ours, and the two families must be equally large, but for one
    term: their HNP layer does not send the last hidden layer's biases to the last weight matrix,
    though that is equivariant too.
    """
    theirs = (HNPLinear if hidden_only else NPLinear)(their_spec(spec), 2, 2).double()
    ours = EquivariantLinear(spec, 2, 2, hidden_only=hidden_only).double()
    x, other = torch.randn(2, 40, spec.tokens, 2, dtype=torch.float64)

    def their_output(parameters: dict[str, Tensor]) -> Tensor:
        return to_ours(spec, functional_call(theirs, parameters, (to_theirs(spec, x),))).flatten()

    def our_output(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(ours, parameters, (x,)).flatten()

    def family(output: object, module: nn.Module) -> Tensor:
        jacobian = jacrev(output)({name: p.detach() for name, p in module.named_parameters()})
        return torch.cat([part.flatten(1) for part in jacobian.values()], dim=1)

    our_family = family(our_output, ours)
    target = to_ours(spec, theirs(to_theirs(spec, x))).detach().flatten()
    solution = torch.linalg.lstsq(our_family, target, driver="gelsd").solution
    nn.utils.vector_to_parameters(solution, ours.parameters())
    torch.testing.assert_close(
        ours(other), to_ours(spec, theirs(to_theirs(spec, other))), atol=1e-5, rtol=0
    )
    ranks = [
        torch.linalg.matrix_rank(family, rtol=1e-9)
        for family in (our_family, family(their_output, theirs))
    ]
    assert ranks[0] - ranks[1] == (2 * 2 * spec.neurons[-1] if hidden_only else 0)


@pytest.mark.parametrize("spec", SPECS, ids=["3 layers", "4 layers"])
@pytest.mark.parametrize("hidden_only", [True, False], ids=["HNP", "NP"])
def test_pooling(spec: NetworkSpec, hidden_only: bool) -> None:
    x = torch.randn(3, spec.tokens, 2, dtype=torch.float64)
    theirs = (HNPPool if hidden_only else NPPool)(their_spec(spec))(to_theirs(spec, x)).flatten(1)
    ours = NeuronLayout(spec, hidden_only=hidden_only).pool(x)
    torch.testing.assert_close(ours.sort(dim=1).values, theirs.sort(dim=1).values)


@pytest.mark.parametrize(
    "terms", [{}, {"cross": False}, {"average": False}], ids=["both", "average", "cross"]
)
@pytest.mark.parametrize("per_layer", [False, True], ids=["shared", "per layer"])
@pytest.mark.parametrize("spec", SPECS, ids=["3 layers", "4 layers"])
def test_attention(spec: NetworkSpec, per_layer: bool, terms: dict[str, bool]) -> None:
    channels, heads = 8, 2
    ours = WeightSpaceAttention(spec, channels, heads, per_layer=per_layer, **terms).double()
    theirs = NPAttention(
        their_spec(spec),
        channels,
        heads,
        share_projections=not per_layer,
        ablate_crossterm=terms.get("cross") is False,
        ablate_diagonalterm=terms.get("average") is False,
    ).double()

    def by_head(tensor: Tensor) -> Tensor:
        """From rows (head, query/key/value, channel) to ours, (query/key/value, head, channel)."""
        return tensor.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)

    with torch.no_grad():
        if per_layer:
            # They add the output projection's bias in each term that reaches a weight: two
            # crossed, one averaged.
            count = 2 * ours.cross + ours.average
            projections = zip(
                theirs.weight_to_qkv, theirs.bias_to_qkv, theirs.unproject_weight, strict=True
            )
            for i, (weight, bias, out) in enumerate(projections):
                for group, their_qkv in ((2 * i, weight), (2 * i + 1, bias)):
                    ours.qkv.weight[group] = by_head(their_qkv.linear.weight)
                    ours.qkv.bias[group] = by_head(their_qkv.linear.bias)
                ours.out.weight[2 * i], ours.out.bias[2 * i] = (
                    out.linear.weight,
                    count * out.linear.bias,
                )
                ours.out.weight[2 * i + 1], ours.out.bias[2 * i + 1] = torch.eye(channels), 0
        else:
            ours.qkv.weight.copy_(by_head(theirs.to_qkv.linear.weight))
            ours.qkv.bias.copy_(by_head(theirs.to_qkv.linear.bias))
    x = torch.randn(3, spec.tokens, channels, dtype=torch.float64)
    torch.testing.assert_close(
        ours(x), to_ours(spec, theirs(to_theirs(spec, x))), atol=1e-5, rtol=0
    )
