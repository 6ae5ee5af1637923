"""Inr2vec: what its encoder ignores, and what its decoder computes where."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from baselines.inr2vec import CoordinateEncoding, ImplicitDecoder, Inr2Vec, PairLinear
from benchmark.methods import Problem
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 6, 5, 3, activation="sine", omega=30.0)


def problem(spec: NetworkSpec = SPEC) -> Problem:
    flat = siren.initialise(spec, 20)
    return Problem(spec, 10, *spec.statistics(flat), (4, 5))


def test_a_point_is_encoded_by_sines_and_cosines_of_doubled_frequencies() -> None:
    points = torch.tensor([[0.5, -0.25], [1.0, 0.0]])
    encoded = CoordinateEncoding(3)(points)
    assert encoded.shape == (2, 2 * (1 + 2 * 3))
    angles = torch.tensor([0.5, 1.0, 2.0, -0.25, -0.5, -1.0])
    torch.testing.assert_close(encoded[0], torch.cat([points[0], angles.sin(), angles.cos()]))


def test_pairs_are_read_as_one_vector() -> None:
    torch.manual_seed(0)
    pair = PairLinear(7, 4)
    embeddings, points = torch.randn(3, 5), torch.randn(6, 2)
    together = torch.cat([embeddings[:, None].expand(-1, 6, -1), points.expand(3, -1, -1)], dim=-1)
    torch.testing.assert_close(
        pair(embeddings, points), nn.functional.linear(together, pair.weight, pair.bias)
    )


def test_each_point_is_decoded_alone() -> None:
    torch.manual_seed(0)
    decoder = ImplicitDecoder(5, 2, 3, hidden=8, bands=4)
    embeddings, points = torch.randn(2, 5), torch.randn(6, 2)
    values = decoder(embeddings, points)
    assert values.shape == (2, 6, 3)
    torch.testing.assert_close(values[1:, 2:4], decoder(embeddings[1:], points[2:4]))
    assert (values[0] - values[1]).abs().max() > 1e-3


def test_an_embedding_is_of_hidden_layers_and_learns_to_draw() -> None:
    """Weights of the first and the last layer are not read, as in the published code."""
    torch.manual_seed(0)
    method = Inr2Vec(hidden=16, decoder_hidden=16, classifier_hidden=8)
    module = method.build_encoder(problem()).eval()
    flat = siren.initialise(SPEC, 8)
    layers = SPEC.to_layers(flat)
    other = [tuple(part + 1 for part in layers[0]), layers[1], tuple(-part for part in layers[2])]
    assert torch.equal(module.encode(flat), module.encode(SPEC.to_flat(other)))
    hidden = [layers[0], tuple(part + 0.1 for part in layers[1]), layers[2]]
    assert not torch.equal(module.encode(flat), module.encode(SPEC.to_flat(hidden)))
    assert method.build(problem()).eval()(module.encode(flat)).shape == (8, 10)

    images = siren.render(SPEC, flat, siren.grid(4, 5))
    assert module(flat).shape == images.shape
    optimizer, losses = torch.optim.Adam(module.train().parameters(), lr=1e-2), []
    for _ in range(150):
        loss = (module(flat) - images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_what_it_cannot_read_is_skipped_with_a_reason() -> None:
    method = Inr2Vec()
    assert method.skip(problem()) is None
    shallow = NetworkSpec.mlp(2, 6, 1, activation="sine", omega=30.0)
    assert "between the hidden layers" in method.skip(problem(shallow))
    assert "draw" in method.skip(replace(problem(), image=None))
