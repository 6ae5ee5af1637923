"""What people's networks look like is read as it is meant, or refused by name; and checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nft import siren, symmetry
from nft.network import LayerSpec, NetworkSpec

torch.manual_seed(0)  # modules are made below where tests are collected
POINTS = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def dense(*, bias: bool = True) -> nn.Sequential:
    layers = (nn.Linear(2, 8, bias=bias), nn.Linear(8, 8, bias=bias), nn.Linear(8, 3, bias=bias))
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def normed() -> nn.Sequential:
    """A grouped and a normed convolution, and a dense layer after a flattened feature map."""
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    module(3 * IMAGES + 1)  # so that the running statistics are not those of the start
    return module.eval()


def by_name(module: nn.Module) -> dict[str, Tensor]:
    """The state_dict as safetensors gives it: sorted."""
    return dict(sorted(module.state_dict().items()))


# Names, types and shapes.


@pytest.mark.parametrize("bias", [True, False])
def test_entries_are_paired_by_name(bias: bool) -> None:
    module = dense(bias=bias)
    spec = NetworkSpec.from_state_dict(module.state_dict())
    flat = spec.flatten([module.state_dict()])
    assert NetworkSpec.from_state_dict(by_name(module)) == spec
    assert torch.equal(spec.flatten([by_name(module)]), flat)
    alone = NetworkSpec.from_state_dict(by_name(module))
    assert torch.equal(alone.flatten([by_name(module)]), flat)


def test_sorted_names_are_in_the_order_of_their_numbers() -> None:
    module = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    spec = NetworkSpec.from_state_dict(module.state_dict())
    sorted_spec = NetworkSpec.from_state_dict(by_name(module))
    flat = spec.flatten([module.state_dict()])
    assert torch.equal(sorted_spec.flatten([module.state_dict()]), flat)


def test_an_order_that_nothing_tells_is_asked_for() -> None:
    names = ("entrance", "middle", "exit")
    layers = (nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    module = nn.ModuleDict(dict(zip(names, layers, strict=True)))
    with pytest.raises(ValueError, match="more than one order of entrance, exit, middle"):
        NetworkSpec.from_state_dict(by_name(module))
    spec = NetworkSpec.from_state_dict(by_name(module), order=names)
    in_order = NetworkSpec.from_state_dict(module.state_dict())
    states = [module.state_dict()]
    assert torch.equal(spec.flatten(states), in_order.flatten(states))


def test_shapes_tell_the_order_of_sorted_names() -> None:
    module = nn.ModuleDict({"start": nn.Linear(2, 8), "end": nn.Linear(8, 1)})
    assert NetworkSpec.from_state_dict(by_name(module)).neurons == (2, 8, 1)


def test_wrapped_networks_are_the_same_networks() -> None:
    state = dense().state_dict()
    spec = NetworkSpec.from_state_dict(state)
    wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}
    assert torch.equal(spec.flatten([wrapped]), spec.flatten([state]))
    both = wrapped | {f"average.{name}": 2 * tensor for name, tensor in state.items()}
    averaged = NetworkSpec.from_state_dict(both, prefix="average.")
    assert torch.equal(averaged.flatten([both]), 2 * spec.flatten([state]))
    with pytest.raises(ValueError, match="does not fit the spec"):
        spec.flatten([both])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_any_precision_arrive_as_float32(dtype: torch.dtype) -> None:
    spec = NetworkSpec.from_state_dict(dense().to(dtype).state_dict())
    state = dense().to(dtype).state_dict()
    flat = spec.flatten([state])
    assert flat.dtype == torch.float32
    assert torch.equal(flat[0], torch.cat([part.float().flatten() for part in state.values()]))


def test_batch_norms_and_groups_are_folded_exactly() -> None:
    module = normed()
    with pytest.raises(ValueError, match=r"1 is a batch norm: fold it .* fold_batch_norm=1e-5"):
        NetworkSpec.from_state_dict(module.state_dict())
    spec = NetworkSpec.from_state_dict(module.state_dict(), fold_batch_norm=1e-3)
    assert spec.layers == (
        LayerSpec(4, 1, (3, 3)),
        LayerSpec(8, 4, (3, 3)),
        LayerSpec(3, 8, (16,)),
    )
    folded = normed()
    folded[0], folded[1] = nn.Conv2d(1, 4, 3), nn.Identity()
    flat = spec.flatten([module.state_dict()], torch.float64)[0]
    folded.double().load_state_dict(spec.to_state_dict(flat))
    torch.testing.assert_close(folded(IMAGES.double()), module.double()(IMAGES.double()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"1.running_var": torch.ones(())}, r"1\.running_var has shape \(\)"),
        ({"1.weight": torch.ones(3)}, r"1\.weight has shape \(3,\), and not \(4,\)"),
        ({"1.running_mean": None}, "1.running_mean is missing"),
    ],
)
def test_a_batch_norm_that_fits_no_layer_is_refused(
    changes: dict[str, Tensor | None], message: str
) -> None:
    """None of its tensors is taken for all channels at once."""
    state = normed().state_dict()
    spec = NetworkSpec.from_state_dict(state, fold_batch_norm=1e-3)
    changed = {name: part for name, part in (state | changes).items() if part is not None}
    with pytest.raises(ValueError, match=message):
        spec.flatten([changed])


def test_a_scalar_is_no_batch_norm() -> None:
    scalar = {f"1.{name}": torch.ones(()) for name in ("running_mean", "running_var")}
    with pytest.raises(ValueError, match=r"1\.\w+ has shape \(4,\), and not \(1,\)"):
        NetworkSpec.from_state_dict(normed().state_dict() | scalar, fold_batch_norm=1e-3)


def test_a_state_dict_comes_back() -> None:
    for module in (
        dense(),
        dense(bias=False),
        nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv1d(4, 2, 1)),
    ):
        state = module.state_dict()
        spec = NetworkSpec.from_state_dict(state)
        back = spec.to_state_dict(spec.flatten([state])[0])
        assert list(back) == list(state)
        assert all(torch.equal(back[name], state[name]) for name in state)
    spec = NetworkSpec.mlp(2, 4, 1)
    batch = spec.to_state_dict(torch.randn(5, spec.parameters))
    assert {name: tuple(part.shape) for name, part in batch.items()} == {
        "0.weight": (5, 4, 2),
        "0.bias": (5, 4),
        "1.weight": (5, 1, 4),
        "1.bias": (5, 1),
    }


def test_a_missing_bias_is_zero_and_stays_away() -> None:
    spec = NetworkSpec.from_state_dict(dense(bias=False).state_dict(), "sine", 30.0)
    assert spec != NetworkSpec.mlp(2, 8, 8, 3, activation="sine", omega=30.0)
    assert NetworkSpec.from_json(spec.to_json()) == spec
    flat = spec.flatten([dense(bias=False).state_dict() for _ in range(3)]).double()
    assert all(not bias.any() for _, bias in spec.to_layers(flat))
    # No symmetry that is left moves a bias.
    kinds = symmetry.symmetries(spec)
    assert kinds == ("permutation", "sign")
    moved = symmetry.canonical(spec, symmetry.scatter(spec, flat, kinds))
    assert all(not bias.any() for _, bias in spec.to_layers(moved))
    assert symmetry.residual(spec, flat, moved) < 1e-9
    with pytest.raises(ValueError, match="0 has no bias, but the weights give it one"):
        spec.to_state_dict(flat[0] + 1)


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[], object]:
    """Flatten a good network and then one with an entry changed."""

    def flatten() -> Tensor:
        state = dense().state_dict()
        spec = NetworkSpec.from_state_dict(state)
        return spec.flatten([state, state | {name: change(state[name])}])

    return flatten


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: NetworkSpec.mlp(2, 4, 1).flatten([]), "no networks"),
        (
            changed("2.weight", lambda tensor: tensor.int()),
            "network 1 .*: 2.weight holds int32, not floating-point numbers: dequantize",
        ),
        (
            changed("2.bias", lambda tensor: tensor / 0),
            "network 1 .*: 2.bias holds NaN or infinite numbers",
        ),
        (
            changed("2.weight", lambda tensor: tensor.double() * 1e300),
            "network 1 .*: 2.weight holds NaN or infinite",
        ),
        (
            changed("0.weight", lambda tensor: tensor.T),
            r"network 1 .*: 0.weight has shape \(2, 8\), where the spec has \(8, 2\)",
        ),
        (
            lambda: NetworkSpec.from_state_dict(dense().state_dict()).flatten(
                [dense(bias=False).state_dict()]
            ),
            "network 0 .*: 0 has no bias where the spec has one",
        ),
        (
            lambda: NetworkSpec.from_state_dict(dense(bias=False).state_dict()).flatten(
                [dense().state_dict()]
            ),
            "0 has a bias where the spec has none",
        ),
        (
            lambda: NetworkSpec.from_state_dict(dense().state_dict()).flatten(
                [dense()[:3].state_dict()]
            ),
            "it has no '4'",
        ),
        (
            lambda: NetworkSpec.from_state_dict({"epoch": 3, "0.weight": torch.ones(2, 2)}),
            "epoch is int, not a tensor",
        ),
        (
            lambda: NetworkSpec.from_state_dict(
                nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)).state_dict()
            ),
            "remove_parametrizations",
        ),
        (
            lambda: NetworkSpec.from_state_dict(
                nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3)).state_dict(), fold_batch_norm=1e-5
            ),
            "follows no layer of as many",
        ),
        (
            lambda: siren.render(NetworkSpec.mlp(2, 4, 1), torch.zeros(1, 17), siren.grid(2, 2)),
            "a SIREN's spec has activation 'sine'",
        ),
    ],
)
def test_what_cannot_be_read_is_named(read: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read()


# Whether the neurons of a module can be permuted.


class Sine(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.sin(30 * values)


def test_a_good_module_has_the_spec_of_its_state_dict() -> None:
    assert NetworkSpec.from_module(dense(), POINTS) == NetworkSpec.mlp(2, 8, 8, 3)
    module = normed()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    spec = NetworkSpec.from_module(module, IMAGES)
    assert spec == NetworkSpec.from_state_dict(module.state_dict(), fold_batch_norm=1e-3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    network = nn.Sequential(nn.Linear(2, 8), Sine(), nn.Linear(8, 1))
    assert NetworkSpec.from_module(network, POINTS, "sine", 30.0).neurons == (2, 8, 1)
    with pytest.raises(ValueError, match="need omega, the factor inside the sine"):
        NetworkSpec.from_module(network, POINTS, "sine")
    depthwise = nn.Sequential(nn.Conv1d(4, 8, 3, groups=4), nn.GELU(), nn.Conv1d(8, 2, 1))
    spec = NetworkSpec.from_module(depthwise, torch.randn(3, 4, 8), "gelu")
    assert spec.layers == (LayerSpec(8, 4, (3,)), LayerSpec(2, 8, (1,)))


class Block(nn.Module):
    """Layers of equal width, used as `how` says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 8)
        self.c, self.d = nn.Linear(8, 8), nn.Linear(16 if how == "concatenation" else 8, 2)

    def forward(self, values: Tensor) -> Tensor:
        first = self.a(values).tanh()
        if self.how == "out of order":
            return self.d(self.b(self.c(first).tanh()).tanh())
        second = self.b(first).tanh()
        if self.how == "residual":
            second = second + first
        third = self.c(second).tanh()
        if self.how == "used twice":
            third = self.c(third).tanh()
        return self.d(torch.cat((third, third**2), 1) if self.how == "concatenation" else third)


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.convolution(images).relu().permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize(
    ("module", "example", "activation", "message"),
    [
        (Block("residual"), POINTS, "tanh", "permuting the neurons between 'a' and 'b' moves"),
        (Block("out of order"), POINTS, "tanh", "permuting the neurons between 'a' and 'b' moves"),
        (Block("concatenation"), POINTS, "tanh", "permuting the neurons between 'c' and 'd' moves"),
        (Block("used twice"), POINTS, "tanh", "permuting the neurons between 'b' and 'c' moves"),
        (ChannelsLast(), IMAGES, "relu", "channels flattened last"),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 4, 3)),
            IMAGES,
            "relu",
            "2 is ConvTranspose2d with parameters of its own",
        ),
        (
            nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
            POINTS,
            "relu",
            "1 is LayerNorm",
        ),
        (dense(), POINTS, "tanh", "the sign symmetry of tanh moves the outputs"),
        (
            nn.Sequential(nn.Linear(2, 8), Sine(), nn.Linear(8, 1)),
            POINTS,
            "sine",
            r"the phase symmetry of sin\(20 z\) moves",
        ),
        (
            nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
            POINTS,
            "relu",
            "folding its batch norms .* comes after an activation",
        ),
        (dense(bias=False), torch.zeros(1, 2), "relu", "zero or not finite: give another one"),
    ],
)
def test_a_module_without_the_symmetry_is_refused(
    module: nn.Module, example: Tensor, activation: str, message: str
) -> None:
    module(example + 1)  # a batch norm learns what is not its start
    with pytest.raises(ValueError, match=message):
        NetworkSpec.from_module(module, example, activation, 20.0 if activation == "sine" else 0.0)


def test_an_example_that_shows_nothing_is_refused() -> None:
    module = dense()
    with torch.no_grad():
        module[0].bias.fill_(-100.0)  # neurons that are never active
    with pytest.raises(ValueError, match="do not depend on the neurons of '0'"):
        NetworkSpec.from_module(module, POINTS)
