"""Whole models of the NFN and NFT papers, assembled from the layers published with them.

The `nfn` package has the layers. Which of them make a model, and how they are set, is what the
configurations in its repository say (AllanYangZhou/nfn at ce78322, `experiments/*_configs`).
`adopt` gives one of our models the parameters of one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from nfn.common import NetworkSpec as TheirSpec
from nfn.common import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import (
    FlattenWeights,
    GaussianFourierFeatureTransform,
    HNPLinear,
    HNPPool,
    IOSinusoidalEncoding,
    LearnedScale,
    NPLinear,
    Pointwise,
    StatFeaturizer,
    TupleOp,
    UnflattenWeights,
)
from torch import Tensor, nn

from baselines.editing import Editor
from baselines.equivariant import EquivariantLinear, NeuronLayout
from baselines.nfn import NFN, EndEmbedding
from nft.layers import FourierFeatures, GroupLinear
from nft.network import NetworkSpec


def networks(spec: NetworkSpec, flat: Tensor) -> WeightSpaceFeatures:
    """Flat weights as the package has them, with one channel."""
    return WeightSpaceFeatures.from_zipped(
        [(weight.unsqueeze(1), bias.unsqueeze(1)) for weight, bias in spec.to_layers(flat)]
    )


def their_spec(spec: NetworkSpec) -> TheirSpec:
    """The package's description of these networks."""
    one = networks(spec, torch.zeros(1, spec.parameters))
    return network_spec_from_wsfeat(one, set_all_dims=True)


class OnNetworks(nn.Sequential):
    """Modules of the package, on flat weights."""

    def __init__(self, spec: NetworkSpec, *modules: nn.Module) -> None:
        super().__init__(*modules)
        self.spec = spec

    def forward(self, flat: Tensor) -> Tensor:
        return super().forward(networks(self.spec, flat))


class Edited(nn.Module):
    """An editor on flat weights: they and their changes, `[batch, 1, parameters]`."""

    def __init__(self, spec: NetworkSpec, *modules: nn.Module) -> None:
        super().__init__()
        self.spec, self.changes = spec, OnNetworks(spec, *modules)

    def forward(self, flat: Tensor) -> Tensor:
        changes = [(weight[:, 0], bias[:, 0]) for weight, bias in self.changes(flat)]
        return (flat + self.spec.to_flat(changes)).unsqueeze(1)


def classifier(spec: NetworkSpec, kind: str, channels: int, hidden: int, outputs: int) -> nn.Module:
    """`classify_siren_configs/nfnet`: inv_ff for HNP, inv_ff_io for NP."""
    encodings, size = encode(spec, frequencies=4, io=kind == "np", maximum=10, bands=6)
    layers = stack(spec, kind, [size, channels, channels, channels])
    return OnNetworks(spec, *encodings, *layers, *head(spec, channels, hidden, outputs))


def generalization(spec: NetworkSpec, kind: str, channels: Sequence[int], hidden: int) -> nn.Module:
    """`predict_gen_configs/nfnet`: hnp_inv and np_inv, without the sigmoid of the loss."""
    embedded = {"io_embed": True} if kind == "np" else {}
    layers = stack(spec, kind, [1, *channels], **embedded)
    return OnNetworks(spec, *layers, *head(spec, channels[-1], hidden, 1))


def editor(spec: NetworkSpec, kind: str, channels: int) -> nn.Module:
    """`stylize_configs/nfnet`: equiv for HNP, equiv_io for NP, pointwise."""
    encodings, size = encode(spec, frequencies=4, io=kind != "hnp", maximum=3, bands=3)
    layers = stack(spec, kind, [size, channels, channels, channels, 1])[:-1]
    return Edited(spec, *encodings, *layers, LearnedScale(their_spec(spec), 0.01))


def mlp_editor(spec: NetworkSpec, hidden: int) -> nn.Module:
    """`stylize_configs/nfnet/mlp`."""
    sizes = [spec.parameters, hidden, hidden, hidden, spec.parameters]
    theirs = their_spec(spec)
    unflatten = [nn.Unflatten(1, (-1, 1)), UnflattenWeights(theirs), LearnedScale(theirs, 0.01)]
    return Edited(spec, *flatten(theirs), *linear(sizes), *unflatten)


def mlp(spec: NetworkSpec, hidden: int, outputs: int) -> nn.Module:
    """`classify_siren_configs/nfnet/mlp`, without the sigmoid on its logits."""
    sizes = [spec.parameters, hidden, hidden, outputs]
    return OnNetworks(spec, *flatten(their_spec(spec)), *linear(sizes))


def statnn(spec: NetworkSpec, hidden: int) -> nn.Module:
    """`predict_gen_configs/nfnet/stat`, without the sigmoid of the loss."""
    size = StatFeaturizer.get_num_outs(their_spec(spec))
    return OnNetworks(
        spec, StatFeaturizer(), nn.Flatten(start_dim=-2), *linear([size, hidden, hidden, 1])
    )


def encode(
    spec: NetworkSpec, frequencies: int, *, io: bool, maximum: float, bands: int
) -> tuple[list[nn.Module], int]:
    """The encodings of the input, of Fourier scale 3, and how many channels they make."""
    theirs = their_spec(spec)
    modules: list[nn.Module] = [GaussianFourierFeatureTransform(theirs, 1, frequencies, 3)]
    if not io:
        return modules, 2 * frequencies
    encoding = IOSinusoidalEncoding(theirs, maximum, bands, enc_layers=False)
    return [*modules, encoding], encoding.num_out_chan(2 * frequencies)


def stack(spec: NetworkSpec, kind: str, sizes: Sequence[int], **options: bool) -> list[nn.Module]:
    """Layers with ReLU after each."""
    layer = {"hnp": HNPLinear, "np": NPLinear, "pointwise": Pointwise}[kind]
    theirs, modules = their_spec(spec), []
    for inputs, outputs in pairwise(sizes):
        modules += [layer(theirs, inputs, outputs, **options), TupleOp(nn.ReLU())]
    return modules


def head(spec: NetworkSpec, channels: int, hidden: int, outputs: int) -> list[nn.Module]:
    """The pooling, that of HNP for NP too, and three linear layers."""
    theirs = their_spec(spec)
    pooled = channels * HNPPool.get_num_outs(theirs)
    return [
        HNPPool(theirs),
        nn.Flatten(start_dim=-2),
        *linear([pooled, hidden, hidden, outputs]),
    ]


def flatten(theirs: TheirSpec) -> list[nn.Module]:
    return [FlattenWeights(theirs), nn.Flatten(start_dim=-2)]


def linear(sizes: Sequence[int]) -> list[nn.Module]:
    """Linear layers with ReLU between them."""
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return modules[:-1]


# Their parameters in our models.


@torch.no_grad()
def adopt(ours: nn.Module, theirs: nn.Module, spec: NetworkSpec) -> None:
    """Give our model the parameters of theirs. Both have their layers in the same order."""
    kinds = (GaussianFourierFeatureTransform, HNPLinear, NPLinear, Pointwise, nn.Linear)
    own_kinds = (FourierFeatures, EquivariantLinear, GroupLinear, nn.Linear)
    pairs = zip(_outermost(theirs, kinds), _outermost(ours, own_kinds), strict=True)
    for their, our in pairs:
        if isinstance(their, GaussianFourierFeatureTransform):
            our.frequencies.copy_(2 * torch.pi * their._B)
        elif isinstance(their, Pointwise):
            for group, one in enumerate(_alternating(their.weight_maps, their.bias_maps)):
                our.weight[group] = one.weight.flatten(1)
                our.bias[group] = one.bias
        elif isinstance(their, nn.Linear):
            our.load_state_dict(their.state_dict())
        else:
            _Transfer(their, our).run()
    for their, our in zip(
        (m for m in theirs.modules() if getattr(m, "io_embed", False)),
        (m for m in ours.modules() if isinstance(m, EndEmbedding)),
        strict=True,
    ):
        first, last = spec.layers[0].positions, spec.layers[-1].positions
        our.inputs.copy_(_ends(their.in_embed[0, :, 0], first))
        our.outputs.copy_(_ends(their.out_embed[0, :, :, 0], last))
        our.biases.copy_(their.out_bias_embed[0].T)
    if isinstance(ours, NFN):
        _adopt_pooled(ours, spec)
    if isinstance(ours, Editor):
        scale = next(m for m in theirs.modules() if isinstance(m, LearnedScale))
        factors = _alternating(scale.weight_scales, scale.bias_scales)
        ours.scale.copy_(torch.stack(list(factors)).unsqueeze(0))


def _outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterable[nn.Module]:
    if isinstance(module, kinds):
        yield module
        return
    for child in module.children():
        yield from _outermost(child, kinds)


def _alternating(weights: Iterable[nn.Module], biases: Iterable[nn.Module]) -> list[nn.Module]:
    """In the order W1, b1, W2, b2, ..."""
    return [part for pair in zip(weights, biases, strict=True) for part in pair]


def _ends(embedding: Tensor, positions: int) -> Tensor:
    """From (channel, position) by neuron to neuron by (position, channel)."""
    return embedding.unflatten(0, (-1, positions)).permute(2, 1, 0).flatten(1)


def _adopt_pooled(ours: NFN, spec: NetworkSpec) -> None:
    """Reorder what the head reads first: theirs is every channel of all tensors in turn."""
    first = next(m for m in ours.head if isinstance(m, nn.Linear))
    sizes = {}
    for la, layer in enumerate(spec.layers, start=1):
        ends = {1: layer.inputs, len(spec.layers): layer.outputs}
        sizes[f"w{la}"] = ends.get(la, 1) * layer.positions
        sizes[f"b{la}"] = layer.outputs if la == len(spec.layers) else 1
    columns = first.weight.clone().unflatten(1, (-1, sum(sizes.values())))
    parts = dict(zip(sizes, columns.split(list(sizes.values()), dim=2), strict=True))
    order = [name for name, *_ in _everywhere(ours.layout)]
    first.weight.copy_(torch.cat([parts[name].transpose(1, 2).flatten(1) for name in order], dim=1))


def _everywhere(layout: NeuronLayout) -> list[tuple[str, int, int]]:
    """The tensors in the order of a layout's means, each with its positions and copies."""
    vectors = [slot for layer in layout.neuron_layers for slot in _vectors(layout, layer)]
    matrices = [(f"w{la}", size, 1) for la, size in layout.matrices.items()]
    constants = [(f"b{layout.depth}", 1, copies) for copies in layout.constants]
    return vectors + matrices + constants


def _vectors(layout: NeuronLayout, layer: int) -> list[tuple[str, int, int]]:
    slots = [(f"b{layer}", 1, 1)] if layer else []
    if layout.hidden_only and layer == 1:
        slots.insert(0, ("w1", layout.positions[1], layout.spec.neurons[0]))
    if layout.hidden_only and layer == layout.depth - 1:
        last = layout.depth
        slots.append((f"w{last}", layout.positions[last], layout.spec.neurons[-1]))
    return slots


@dataclass(frozen=True)
class _Slot:
    """Where a tensor's features lie. Ours have the order copies, positions, channels; theirs
    channels, positions, copies."""

    start: int
    channels: int
    positions: int
    copies: int

    @property
    def slice(self) -> slice:
        return slice(self.start, self.start + self.channels * self.positions * self.copies)


def _slots(tensors: Iterable[tuple[str, int, int]], channels: int) -> dict[str, _Slot]:
    listed = list(tensors)
    starts = accumulate((p * c * channels for _, p, c in listed), initial=0)
    return {
        name: _Slot(start, channels, positions, copies)
        for (name, positions, copies), start in zip(listed, starts, strict=False)
    }


class _Transfer:
    """From an HNP or NP layer of the package, with its redundant parameters, to ours.

    A name stands for a tensor: "w1", "b1", "w2", ... With a prime it stands for the mean of one
    that ours reads in full, as "w1'".
    """

    def __init__(self, theirs: nn.Module, ours: EquivariantLinear) -> None:
        self.theirs, self.ours, self.layout = theirs, ours, ours.layout
        for parameter in ours.parameters():
            parameter.zero_()

    def run(self) -> None:
        (self._hnp if self.layout.hidden_only else self._np)()

    def _np(self) -> None:
        depth = self.layout.depth
        means = [f"w{la}" for la in range(1, depth + 1)] + [f"b{la}" for la in range(1, depth + 1)]
        for la in range(1, depth + 1):
            after = [f"w{la}", f"b{la}"] + [f"w{la + 1}"] * (la < depth)
            before = [f"w{la}"] + [f"w{la - 1}", f"b{la - 1}"] * (la > 1)
            self._inner(la, before, after, means)

    def _hnp(self) -> None:
        depth = self.layout.depth
        means = ["w1'", *(f"w{la}" for la in range(2, depth)), f"w{depth}'"]
        means += [*(f"b{la}" for la in range(1, depth)), f"b{depth}'"]
        means += ["w1", f"w{depth}", f"b{depth}"]
        last = f"w{depth}"
        self._route(1, "w1", "w0_rpt", ["w1", "w2", "b1"])
        self._route(1, "b1", "bias_0", ["w1", "w2", "b1"])
        self._broadcast("w1", "w0_rbdcst", means)
        self._broadcast("b1", "bias_0_rc", means)
        self._route(depth - 1, last, "wfin_cpt", [last, f"w{depth - 1}"])
        self._broadcast(last, "wfin_cbdcst", means)
        self._broadcast(f"b{depth}", "bias_fin_rc", means)
        for la in range(2, depth):
            before = [f"w{la}", *(["w1'", "b1", "w1"] if la == 2 else [f"w{la - 1}", f"b{la - 1}"])]
            after = [
                f"w{la}",
                f"b{la}",
                *([f"{last}'", last] if la == depth - 1 else [f"w{la + 1}"]),
            ]
            self._inner(la, before, after, means)

    def _inner(self, la: int, before: list[str], after: list[str], means: list[str]) -> None:
        """A weight between two layers of exchangeable neurons, and the bias after it."""
        name, place = f"layer_{la - 1}", self.layout.positions[la]
        module = getattr(self.theirs, name)
        pointwise = self.ours.pointwise[str(la)].weight
        out, inp = (_Slot(0, size // place, place, 1) for size in module.weight.shape[:2])
        self._add(pointwise, out, inp, module.weight.flatten(1))
        self._add_bias(f"w{la}", module.bias)
        self._route(la - 1, f"w{la}", f"{name}_r", before)
        self._route(la, f"w{la}", f"{name}_c", after)
        self._broadcast(f"w{la}", f"{name}_rc", means)
        self._route(la, f"b{la}", f"bias_{la - 1}", after)
        self._broadcast(f"b{la}", f"bias_{la - 1}_rc", means)

    def _route(self, layer: int, target: str, name: str, sources: list[str]) -> None:
        """What a layer of neurons sends to one of the tensors that touch it."""
        touching = [
            (f"w{la}", self.layout.matrices[la], 1)
            for la in (layer, layer + 1)
            if la in self.layout.matrices
        ]
        tensors, module = _vectors(self.layout, layer) + touching, getattr(self.theirs, name)
        outs, inps = _slots(tensors, self.theirs.c_out), _slots(tensors, self.theirs.c_in)
        weight = self.ours.neuron[str(layer)].weight
        self._add_all(weight, outs[target], inps, sources, module.weight.flatten(1))
        self._add_bias(target, module.bias)

    def _broadcast(self, target: str, name: str, sources: list[str]) -> None:
        """What all tensors' means send to one of them."""
        tensors, module = _everywhere(self.layout), getattr(self.theirs, name)
        outs, inps = _slots(tensors, self.theirs.c_out), _slots(tensors, self.theirs.c_in)
        weight = self.ours.broadcast.weight
        self._add_all(weight, outs[target], inps, sources, module.weight)
        self._add_bias(target, module.bias)

    def _add_bias(self, target: str, bias: Tensor) -> None:
        slot = _slots(_everywhere(self.layout), self.theirs.c_out)[target]
        copies = len(bias) // (slot.channels * slot.positions)
        rows = bias.reshape(slot.channels, slot.positions, copies).permute(2, 1, 0)
        own = self.ours.broadcast.bias[slot.slice]
        own += rows.expand(slot.copies, -1, -1).flatten()

    def _add_all(
        self, weight: Tensor, out: _Slot, inps: dict[str, _Slot], sources: list[str], block: Tensor
    ) -> None:
        slots = [inps[name.rstrip("'")] for name in sources]
        sizes = [
            slot.channels * slot.positions * (1 if name.endswith("'") else slot.copies)
            for name, slot in zip(sources, slots, strict=True)
        ]
        for slot, part in zip(slots, block.split(sizes, dim=1), strict=True):
            self._add(weight, out, slot, part)

    def _add(self, weight: Tensor, out: _Slot, inp: _Slot, block: Tensor) -> None:
        shape = (out.channels, out.positions, -1, inp.channels, inp.positions)
        copies = block.shape[1] // (inp.channels * inp.positions)
        ordered = block.reshape(*shape, copies).permute(2, 1, 0, 5, 4, 3)
        if copies < inp.copies:  # the mean of what ours reads in full
            ordered = ordered.expand(-1, -1, -1, inp.copies, -1, -1) / inp.copies
        own = weight[out.slice, inp.slice]
        own += ordered.reshape(own.shape)
