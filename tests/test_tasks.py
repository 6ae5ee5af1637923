"""Tasks: what they ask for, how they score it, and the edits, sines and zoos behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, run_of, small

import baselines
from benchmark import arms, suites, tasks
from benchmark.datasets import catalog, listing, locate, storage
from benchmark.datasets.recipes import edits
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.schema import EncoderPart
from benchmark.runs.execute import execute
from benchmark.runs.fit import Fitted, fit, problem_of
from benchmark.runs.plan import plan
from benchmark.runs.training import Monitor
from benchmark.suites.protocol import Protocol
from nft import siren

STEPS = Protocol(steps=30, batch_size=16, warmup_steps=3, evaluations=2, clip=1.0)


def make(folder: Path, task: str, dataset: WeightDataset, method: str) -> Fitted:
    run = run_of(f"mini/{task}/{dataset.name}/{method}/0", STEPS)
    return fit(run, dataset, folder, CPU, Monitor())


def test_every_task_is_found() -> None:
    assert set(tasks.registry()) == {
        "inr-classification",
        "inr-editing",
        "generalization",
        "sine-frequency",
        "sine-embedding",
        "regression",
        "classification",
    }
    for task in tasks.registry().values():
        assert task.metric in metrics.METRICS
        assert task.title


def test_editing_is_scored_through_the_rendering() -> None:
    task = tasks.registry()["inr-editing"](small("mnist-dilate-mini"))
    weights, targets = task.dataset.splits["test"].weights, task.targets("test")
    drawn = siren.render(task.dataset.spec, weights, siren.grid(14, 14))[..., 0]
    expected = (drawn - targets).square().mean(dim=1)
    outcome = task.outcome(weights.unsqueeze(1), targets)
    torch.testing.assert_close(torch.from_numpy(outcome.predictions), expected)
    torch.testing.assert_close(task.loss(weights.unsqueeze(1), targets), expected.mean())
    # k sets of weights: the mean of their drawings, not the mean of their errors.
    pair = torch.stack((weights, weights.roll(1, 0)), dim=1)
    mixed = ((drawn + drawn.roll(1, 0)) / 2 - targets).square().mean()
    torch.testing.assert_close(task.loss(pair, targets), mixed)
    # Its PSNR is a mean over networks, that of an encoder one of a mean: no name stands for both.
    further = task.further(outcome)
    assert further == {"test_mean_psnr": pytest.approx(siren.psnr(expected).mean().item())}
    assert not further.keys() & EncoderPart.model_fields.keys()


def test_identity_learns_nothing_and_tells_floor_and_ceiling(tmp_path: Path) -> None:
    fitted = make(tmp_path, "inr-editing", small("mnist-dilate-mini"), "identity-editor")
    assert fitted.outcome.curve == []
    assert fitted.parameters == 0
    error = metrics.get("mse").whole(fitted.predictions["test"])
    assert fitted.further["test_ceiling"] < fitted.further["test_fit"] < error


def test_editors_permute_with_their_input() -> None:
    dataset = small("mnist-dilate-mini", 8)
    flat, spec = dataset.splits["train"].weights.double(), dataset.spec
    task = tasks.registry()["inr-editing"](dataset)
    problem = problem_of(task, dataset)
    order = spec.random_permutations()
    for row in baselines.registry().values():
        if row.method.edits and "permutation" in row.method.symmetries:
            method = row.make("mini", "inr-editing", dataset.name)
            module = method.build(problem).double()
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter += 0.1 * torch.randn_like(parameter)
            edited = module(flat)
            torch.testing.assert_close(
                module(spec.permute(flat, order)), spec.permute(edited, order)
            )
            # What is drawn does not change at all.
            torch.testing.assert_close(
                task.draw(spec.permute(edited, order).float()),
                task.draw(edited.float()),
                atol=1e-4,
                rtol=0,
            )


def test_output_capacity_costs_no_parameters() -> None:
    dataset = small("mnist-dilate-mini", 8)
    problem = problem_of(tasks.registry()["inr-editing"](dataset), dataset)

    def size(name: str) -> int:
        module = baselines.get(name).make("mini", "inr-editing", dataset.name).build(problem)
        return sum(parameter.numel() for parameter in module.parameters())

    plain = size("nfn-np-editor")
    for sets in (2, 4, 8):
        assert 0.85 * plain < size(f"nfn-np-editor-{sets}") <= plain


def test_kernel_positions_are_not_permuted() -> None:
    """A permutation moves whole kernels: a CNN with turned kernels is read as another network."""
    dataset = small("mnist-gs-mini", 8)
    spec, flat = dataset.spec, dataset.splits["test"].weights.double()
    problem = problem_of(tasks.registry()["generalization"](dataset), dataset)
    turned = spec.to_flat(
        [
            (weight.flip(-1) if weight.ndim == 5 else weight, bias)
            for weight, bias in spec.to_layers(flat)
        ]
    )
    for name in ("nfn-hnp", "nfn-np", "nft"):
        module = (
            baselines.get(name)
            .make("mini", "generalization", dataset.name)
            .build(problem)
            .double()
            .eval()
        )
        plain = module(flat)
        torch.testing.assert_close(module(spec.permute(flat, spec.random_permutations(8))), plain)
        assert not torch.allclose(module(turned), plain, rtol=1e-3)


def test_a_mean_predictor_has_no_tau(tmp_path: Path) -> None:
    fitted = make(tmp_path, "generalization", small("mnist-gs-mini"), "mean")
    assert np.isnan(metrics.get("kendall_tau").whole(fitted.predictions["test"]))
    run = run_of("mini/generalization/mnist-gs-mini/mean/0", STEPS)
    record = execute(run, tmp_path, CPU, 1, Monitor())
    assert record.status == "finished", record.reason
    assert record.metrics["test"] is None
    assert record.metrics["test_r2"] == pytest.approx(0, abs=0.5)
    assert {point.validation for point in record.curve} == {None}


def test_equal_logits_are_equal_predictions() -> None:
    task = tasks.registry()["generalization"](small("mnist-gs-mini", 40))
    for logit in torch.linspace(-3, 3, 50):
        outcome = task.outcome(logit.expand(37, 1).contiguous(), task.targets("test")[:37])
        assert len(set(outcome.predictions.tolist())) == 1


def test_generalization_tells_order_fit_and_interval(tmp_path: Path) -> None:
    fitted = make(tmp_path, "generalization", small("mnist-gs-mini", 200), "statnn")
    tau = metrics.get("kendall_tau").whole(fitted.predictions["test"])
    assert fitted.further["test_low"] < tau < fitted.further["test_high"]
    assert fitted.further["test_r2"] < 1
    fitted.task.picture(fitted.outcome.predictions["test"], tmp_path / "scatter.png")
    assert (tmp_path / "scatter.png").stat().st_size > 1000


def test_a_frequency_is_predicted_in_its_own_unit() -> None:
    task = tasks.registry()["sine-frequency"](small("sine-inr-mini"))
    truth = task.targets("test")
    train = task.targets("train")
    exact = ((truth - train.mean()) / train.std()).unsqueeze(1)
    assert float(task.loss(exact, truth)) < 1e-9
    assert metrics.get("mse").whole(task.outcome(exact + 1, truth)) == pytest.approx(
        float(train.std() ** 2), rel=1e-4
    )


def test_sine_networks_compute_their_waves() -> None:
    recipe = catalog.entry("sine-inr-mini").recipe
    stored = storage.read(listing.EMBEDDED / "sine-inr-mini").splits["validation"]
    points = torch.linspace(-1, 1, 50, dtype=torch.float64).unsqueeze(1)
    drawn = siren.render(recipe.spec, stored.weights[:20].double(), points)[..., 0]
    waves = torch.sin(stored.targets[:20].double()[:, None] * torch.pi * points[:, 0])
    assert float((drawn - waves).abs().max()) < 0.1
    assert torch.equal(recipe.frequencies(range(2000, 2020)).float(), stored.targets[:20])
    assert 0.5 <= float(stored.targets.min()) < 1.5
    assert 9 < float(stored.targets.max()) <= 10


def test_dilation_takes_the_largest_neighbour() -> None:
    image = np.zeros((6, 6), np.uint8)
    image[2, 3] = 200
    dilated = edits.apply("dilate", image)
    assert (dilated[1:4, 2:5] == 200).all()
    assert dilated.sum() == 9 * 200


def test_contrast_is_opencvs() -> None:
    cv2 = pytest.importorskip("cv2")
    image = np.random.default_rng(0).integers(80, 120, (16, 16, 3), dtype=np.uint8)
    changed = edits.apply("contrast", image)
    lab, lab_changed = (cv2.cvtColor(fitted, cv2.COLOR_BGR2LAB) for fitted in (image, changed))
    assert lab_changed[..., 0].std() > lab[..., 0].std()
    assert edits.apply("dilate", image[..., 0]).shape == (16, 16)
    square = np.zeros((6, 6), np.uint8)
    square[2, 3] = 9
    assert (cv2.dilate(square, np.ones((3, 3), np.uint8)) == edits.apply("dilate", square)).all()


def test_stored_targets_are_the_edited_images() -> None:
    dataset, _ = locate.load("mnist-dilate-mini")
    targets = (
        dataset.splits["test"]
        .targets[: len(dataset.examples)]
        .numpy()
        .reshape(dataset.examples.shape)
    )
    for image, target in zip(dataset.examples, targets, strict=True):
        assert (edits.apply("dilate", image) == target).all()


def test_random_targets_are_others_targets() -> None:
    dataset = small("mnist-inr-mini")
    labels = dataset.splits["train"].targets
    control, ranked = arms.get("random-targets"), arms.get("permuted")
    turned = control.targets(dataset, "train", labels)
    assert not torch.equal(turned, labels)
    assert torch.equal(turned.sort().values, labels.sort().values)
    assert torch.equal(control.targets(dataset, "test", labels), labels)
    assert torch.equal(ranked.targets(dataset, "train", labels), labels)
    assert torch.equal(control.weights(dataset, "train"), ranked.weights(dataset, "train"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mini", "inr-editing", None, ["nft"]), "nft does not do inr-editing"),
        (("mini", "nothing"), "has no task 'nothing'"),
        (("mini", "all", ["mnist-gs-mini"], ["nft-editor"]), "has those datasets and methods"),
        (("mini", "generalization", None, ["inr2array"]), "inr2array does not do generalization"),
    ],
)
def test_what_no_task_can_do_is_told(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(*arguments)


def test_all_tasks_are_one_plan() -> None:
    runs = plan("mini", "all")
    assert {run.cell.task for run in runs} == set(suites.get("mini").tasks)
    assert len({run.path for run in runs}) == len(runs)
    some = plan("mini", "all", entrants=["statnn"], seeds=[0])
    assert {run.cell.task for run in some} == {
        "inr-classification",
        "generalization",
        "sine-frequency",
    }


def test_editing_needs_target_images() -> None:
    with pytest.raises(
        UserError,
        match="mnist-inr-mini has columns label and psnr, but inr-editing needs target_image",
    ):
        tasks.registry()["inr-editing"](small("mnist-inr-mini"))
