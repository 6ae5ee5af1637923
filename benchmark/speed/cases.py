"""What is timed: the layers of `nft/` and `baselines/`, each beside the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.dws import POOLINGS, DWSLayer, items, split
from baselines.equivariant import EquivariantLinear, NeuronLayout
from benchmark.fits import sirens
from benchmark.speed import clones, reference
from benchmark.speed.measure import Case, backward, traffic
from nft import siren
from nft.inr2array import HyperNetwork, Inr2Array
from nft.layers import CrossAttentionPooling, NFTBlock
from nft.network import NetworkSpec
from nft.transformer import NFTEncoder

HEADS = 4
DWS_HEADS = 8
IMAGE = (28, 28)
Make = Callable[[torch.device], Case]


def spec(width: int = 32) -> NetworkSpec:
    """The SIREN of the paper's MNIST INRs, or one of another width."""
    return NetworkSpec.mlp(2, width, width, 1, activation="sine", omega=30.0)


def cases(device: torch.device, dwsnets: Path | None = None) -> dict[str, Make]:
    """Every comparison, by name, smallest channels first.

    Args:
        device: Where they run, which sets their batches.
        dwsnets: Folder of a clone of `clones.DWSNETS`; without it there is no case of its layer.
    """
    batch = {64: 16, 256: 4} if device.type == "cpu" else {64: 64, 256: 64}
    makers: dict[str, Make] = {}
    for channels, count in batch.items():
        makers[f"NFT block, {channels} channels"] = lambda d, c=channels, n=count: block(
            spec(), c, n, d
        )
        for name, hidden_only in (("NP", False), ("HNP", True)):
            makers[f"{name} layer, {channels} channels"] = (
                lambda d, c=channels, n=count, h=hidden_only: linear(c, n, d, h)
            )
    if dwsnets is not None:
        makers["DWSNet layer, 64 channels"] = lambda d: dws(dwsnets, 64, batch[64], d)
    makers["cross-attention pooling"] = lambda d: pooling(256, batch[256], d)
    makers["Inr2Array, training step"] = lambda d: inr2array(batch[256], d)
    makers["SIREN rendering"] = lambda d: rendering(64, d)
    makers["SIREN fitting, 20 steps"] = lambda d: fitting(100 if d.type == "cpu" else 2000, d)
    return makers


def growth(device: torch.device) -> Iterator[tuple[str, list[int], Callable[[int], Case]]]:
    """Our block alone, at sizes that double.

    Yields the name of the size, its values, and the function that makes the case of a value.
    """
    count = 8 if device.type == "cpu" else 64
    yield (
        "batch",
        [count * 2**i for i in range(4)],
        lambda n: block(spec(), 64, n, device, alone=True),
    )
    yield "channels", [32, 64, 128, 256], lambda n: block(spec(), n, count, device, alone=True)
    yield "width", [16, 32, 64], lambda n: block(spec(n), 64, count, device, alone=True)


def _contestants(
    device: torch.device,
    ours: tuple[nn.Module, object],
    theirs: tuple[nn.Module, object] | None,
    *,
    compiled: bool = True,
    other: str = "nfn",
) -> dict[str, Callable[[], object]]:
    """Forward and backward passes of both, eager and compiled; in bfloat16 autocast on a GPU."""
    entrants = {"ours": ours} | ({other: theirs} if theirs else {})
    calls = {}
    for name, (module, x) in entrants.items():
        inputs = [leaf.requires_grad_() for leaf in _leaves(x)]
        ways = {name: module} | (
            {f"{name} compiled": torch.compile(module, dynamic=False)} if compiled else {}
        )
        for way, callee in ways.items():

            def run(callee: nn.Module = callee, x: object = x) -> list[Tensor]:
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    return _leaves(callee(x))

            calls[way] = backward(module, inputs, run)
    return calls


def _leaves(x: object) -> list[Tensor]:
    return [x] if isinstance(x, Tensor) else [leaf for part in x for leaf in _leaves(part)]


def block(
    network: NetworkSpec, channels: int, batch: int, device: torch.device, *, alone: bool = False
) -> Case:
    """Time the forward and backward passes of an NFT block."""
    ours = NFTBlock(network, channels, HEADS).to(device)
    x = torch.randn(batch, network.tokens, channels, device=device)
    theirs = (
        None if alone else (reference.Block(ours).to(device), reference.to_reference(network, x))
    )
    size = {"batch": batch, "tokens": network.tokens, "channels": channels}
    contestants = _contestants(device, (ours, x), theirs, compiled=not alone)
    return Case("NFT block", size, contestants, traffic(ours, x, x))


def linear(channels: int, batch: int, device: torch.device, hidden_only: bool) -> Case:
    """Time the forward and backward passes of an NP or HNP layer."""
    ours = EquivariantLinear(spec(), channels, channels, hidden_only=hidden_only).to(device)
    x = torch.randn(batch, spec().tokens, channels, device=device)
    theirs = reference.linear(spec(), channels, hidden_only=hidden_only).to(device)
    size = {"batch": batch, "tokens": spec().tokens, "channels": channels}
    contestants = _contestants(device, (ours, x), (theirs, reference.to_reference(spec(), x)))
    return Case("HNP layer" if hidden_only else "NP layer", size, contestants, traffic(ours, x, x))


def dws(clone: Path, channels: int, batch: int, device: torch.device) -> Case:
    """Time the forward and backward passes of a DWSNet layer, with parameters of its own each."""
    layout = NeuronLayout(spec(), hidden_only=True)
    parts = items(layout)
    ours = DWSLayer(parts, channels, channels, POOLINGS["max"], DWS_HEADS).to(device)
    theirs = clones.PublishedDWSLayer(clone, spec(), channels, DWS_HEADS).to(device)
    x = torch.randn(batch, spec().tokens, channels, device=device)
    own, other = split(layout, x), clones.to_published(spec(), x)
    size = {"batch": batch, "tokens": spec().tokens, "channels": channels}
    contestants = _contestants(
        device, (ours, own), (theirs, other), compiled=False, other="DWSNets"
    )
    return Case("DWSNet layer", size, contestants, traffic(ours, x, x))


def pooling(channels: int, batch: int, device: torch.device) -> Case:
    """Time the forward and backward passes of cross-attention pooling to 16 vectors."""
    ours = CrossAttentionPooling(channels, 16).to(device)
    x = torch.randn(batch, spec().tokens, channels, device=device)
    theirs = reference.pooling(spec(), ours).to(device)
    size = {"batch": batch, "tokens": spec().tokens, "channels": channels}
    contestants = _contestants(device, (ours, x), (theirs, reference.to_reference(spec(), x)))
    return Case("cross-attention pooling", size, contestants, traffic(ours, x))


def autoencoder(
    channels: int, blocks: int, batch: int, device: torch.device
) -> tuple[Inr2Array, nn.Module, Tensor]:
    """Make two Inr2Arrays with the same parameters, and random SIRENs for them.

    Returns:
        Ours, the published one, and the SIRENs' weights.
    """
    network = spec()
    flat = siren.initialise(network, batch).to(device)
    encoder = NFTEncoder(
        network,
        *network.statistics(flat.cpu()),
        channels=channels,
        blocks=blocks,
        heads=HEADS,
        fourier_scale=3.0,
    )
    sizes = {"side": 4, "height": IMAGE[0], "width": IMAGE[1], "hidden": 256}
    ours = Inr2Array(encoder, network, **sizes, decoder=HyperNetwork).to(device)
    return ours, reference.AutoEncoder(ours, network).to(device), flat


def inr2array(batch: int, device: torch.device) -> Case:
    """Time a training step of the paper's Inr2Array, without the optimizer.

    It has 6 blocks of 256 channels. A step is the forward and backward pass of the squared error.
    """
    ours, theirs, flat = autoencoder(256, 6, batch, device)
    targets = siren.render(spec(), flat, siren.grid(*IMAGE, device=device))

    def step(module: nn.Module, callee: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        def run() -> list[Tensor]:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                return [(callee(flat) - targets).square().mean()]

        return backward(module, [], run)

    contestants = {
        "ours": step(ours, ours),
        "ours compiled": step(ours, torch.compile(ours, dynamic=False)),
        "nfn": step(theirs, theirs),
    }
    return Case(
        "Inr2Array",
        {"batch": batch, "tokens": spec().tokens, "channels": 256},
        contestants,
        traffic(ours, flat),
    )


def rendering(count: int, device: torch.device) -> Case:
    """Time the rendering of many SIRENs at once, and one after the other."""
    network = spec()
    flat, points = siren.initialise(network, count).to(device), siren.grid(*IMAGE, device=device)
    contestants = {
        "ours": lambda: siren.render(network, flat, points),
        "one at a time": lambda: [siren.render(network, row, points) for row in flat.split(1)],
    }
    return Case(
        "SIREN rendering",
        {"networks": count, "pixels": len(points)},
        contestants,
        flat.nbytes + points.nbytes,
    )


def fitting(count: int, device: torch.device) -> Case:
    """Time fits of many SIRENs, and of a tenth of them one by one as torch modules.

    On a CPU the kernel fits each alone, a network on each of torch's threads.
    """
    network, steps, rate = spec(), 20, 1e-4
    start, points = siren.initialise(network, count).to(device), siren.grid(*IMAGE, device=device)
    targets = torch.rand(count, len(points), 1, device=device)
    few = max(1, count // 10)
    contestants = {
        "ours": lambda: siren.fit(network, start, targets, points, steps, rate),
        "ours compiled": lambda: siren.fit(
            network, start, targets, points, steps, rate, compiled=True
        ),
        "ours, kernel": lambda: sirens.fit(network, start, targets, points, steps, rate),
        "one at a time, a tenth": lambda: reference.one_at_a_time(
            network, start[:few], targets[:few], points, steps, rate
        ),
    }
    return Case(
        "SIREN fitting",
        {"networks": count, "pixels": len(points), "steps": steps},
        contestants,
        start.nbytes,
    )
