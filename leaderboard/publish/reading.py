"""What reading weights means, in one picture: a network, its scattered twin, and their readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.datasets import listing
from benchmark.record.predictions import SHIFTED
from leaderboard.archive import provenance
from leaderboard.archive.entries import Entry
from leaderboard.publish import style
from leaderboard.statistics import summaries

DATASET, SUITE, TASK = "mnist-inr-mini", "mini-symmetry", "inr-classification"
METHODS = ("mlp", "nft", "scalegmn-b")
SURE, MISLED = ("nft", "scalegmn-b"), "nft"
FINE = 42  # points along a side at which a network is evaluated
GREYS = 10
TEXT = 11  # points; the picture is shrunk to a phone's width
TWIN = "the same\nfunction,\nscattered"

Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Answer:
    """What a method says of a network and of its scattered twin, and how often it is right.

    said: two classes.
    right: percent of all test networks, means over seeds, permuted and scattered.
    """

    title: str
    said: tuple[str, str]
    right: tuple[float, float]


@dataclass(frozen=True)
class Example:
    """One test network of MNIST.

    image: What it was fitted to, `[14, 14]`; None where that is not kept.
    layers, scattered: Weights `[outputs, inputs]` and biases `[outputs]` of the same function.
    """

    number: int
    label: str
    omega: float
    image: np.ndarray | None
    layers: Layers
    scattered: Layers
    answers: Sequence[Answer]


def example(entries: Sequence[Entry]) -> Example:
    """Choose a network: the first that NFT takes for something else once it is scattered.

    NFT and ScaleGMN-B read it right before. Without records it is the first of the test split.
    """
    import pyarrow.parquet as pq

    folder = listing.get(DATASET).folder
    manifest = json.loads((folder / "manifest.json").read_bytes())
    runs = _runs(entries)
    number = _choice(runs)
    table = pq.read_table(folder / manifest["files"]["test"][0]["path"])
    flat = np.asarray(table["weights"][number].as_py(), np.float64)
    omega, layers = manifest["spec"]["omega"], _layers(flat, manifest["spec"])
    label = manifest["classes"][table["label"][number].as_py()]
    answers = [_answer(runs[name], number, manifest["classes"]) for name in METHODS if runs]
    return Example(
        number,
        label,
        omega,
        _image(folder, manifest, number),
        layers,
        scatter(layers, omega),
        answers,
    )


def scatter(layers: Layers, omega: float) -> Layers:
    """Permute hidden neurons, flip signs and shift phases at random; the function is the same."""
    random, changed = np.random.default_rng(0), [(w.copy(), b.copy()) for w, b in layers]
    for index in range(len(changed) - 1):
        (weight, bias), (after, last) = changed[index], changed[index + 1]
        order = random.permutation(len(bias))
        sign = random.choice((-1.0, 1.0), len(bias))
        turns = random.integers(-1, 2, len(bias))
        weight, bias = sign[:, None] * weight[order], sign * bias[order] + turns * np.pi / omega
        changed[index] = weight, bias
        changed[index + 1] = after[:, order] * sign * (1.0 - 2.0 * (turns % 2)), last
    return changed


def draw(layers: Layers, omega: float, side: int) -> np.ndarray:
    """Evaluate a SIREN of two inputs on a grid over [-1, 1]^2, `[side, side]`."""
    line = np.linspace(-1, 1, side)
    values = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    for weight, bias in layers[:-1]:
        values = np.sin(omega * (values @ weight.T + bias))
    weight, bias = layers[-1]
    return (values @ weight.T + bias).reshape(side, side)


def figure(one: Example) -> Any:
    """Draw the network above its twin: what it draws, its weights, and what methods say of it."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(6.4, 3.0))
    bottoms, height = (0.47, 0.03), 0.4
    for row, (bottom, layers) in enumerate(zip(bottoms, (one.layers, one.scattered), strict=True)):
        left = 0.01
        if row == 0 and one.image is not None:
            _cells(made, (left, bottom, 0.16, height), one.image, "gray", 1.0)
        if row == 1:
            made.text(left + 0.005, bottom + height / 2, TWIN, fontsize=TEXT, va="center")
        left += 0.19
        _picture(made, (left, bottom, 0.16, height), draw(layers, one.omega, FINE))
        left += 0.19
        for index, (weight, bias) in enumerate(layers):
            matrix = np.concatenate([weight, bias[:, None]], axis=1)
            matrix = matrix.T if index == len(layers) - 1 else matrix  # a row would be too wide
            width = 0.0168 * matrix.shape[1]
            _cells(made, (left, bottom, width, height), matrix, "PuOr", _scale(matrix))
            left += width + 0.014
        _write_answers(made, one, row, bottom, height)
    heads = [(0.09, "image"), (0.28, "INR draws"), (0.517, "its weights")]
    heads += [(0.84, "methods read")] if one.answers else []
    for place, text in heads:
        made.text(place, 0.915, text, ha="center", fontsize=TEXT, weight="bold")
    return made


def svg(one: Example, background: str = "white") -> str:
    """Render the picture as SVG, whose cells meet without seams."""
    text = style.svg(figure(one), label(one), background)
    return text.replace("<svg ", '<svg shape-rendering="crispEdges" ', 1)


def label(one: Example) -> str:
    """Say in words what the figure shows."""
    return (
        f"A small network that draws a {one.label} and the same network with its neurons "
        "reordered and their signs and phases changed: the drawings are equal, the weight matrices "
        "are not: one method reads both, one only the first, and one neither."
    )


def caption(one: Example) -> list[str]:
    """Say in sentences what to see, with the shares over all test networks."""
    sentences = [
        f"Above, an INR (a small network that draws one image) of a {one.label}. Below, the same "
        "function in other weights: its hidden neurons are reordered, and their signs and phases "
        "changed."
    ]
    if one.answers:
        shares = "; ".join(
            f"{each.title} {each.right[0]:.0f} % and {each.right[1]:.0f} %" for each in one.answers
        )
        sentences.append(
            "In training the methods saw only reordered networks, all fitted from one shared "
            f"initialisation. Test accuracy on reordered and on scattered networks: {shares}. "
            "The networks of the main task have an initialisation each, and are harder to read."
        )
    return sentences


def _runs(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The runs of each method that was trained on permuted networks; none unless all are there."""
    runs: dict[str, list[Entry]] = {name: [] for name in METHODS}
    for entry in entries:
        record, cell = entry.record, entry.record.cell
        if (cell.suite, cell.task, cell.dataset) != (SUITE, TASK, DATASET):
            continue
        ready = record.status == "finished" and SHIFTED in record.metrics and entry.has_predictions
        if str(cell.entrant) in runs and ready and not provenance.objections(record):
            runs[str(cell.entrant)].append(entry)
    return runs if all(runs.values()) else {}


def _choice(runs: dict[str, list[Entry]]) -> int:
    if not runs:
        return 0
    first = {name: found[0].predictions for name, found in runs.items()}
    targets = first[MISLED]["test"].targets
    right = np.logical_and.reduce([first[name]["test"].predictions == targets for name in SURE])
    misled = first[MISLED][SHIFTED].predictions != targets
    kept = first[SURE[1]][SHIFTED].predictions == targets
    return int(np.argmax(right & misled & kept))


def _answer(runs: Sequence[Entry], number: int, classes: Sequence[str]) -> Answer:
    splits = ("test", SHIFTED)
    said = [classes[int(runs[0].predictions[split].predictions[number])] for split in splits]
    right = [
        100 * summaries.summary([run.record.metrics[split] or 0.0 for run in runs]).mean
        for split in splits
    ]
    return Answer(runs[-1].record.method.title, (said[0], said[1]), (right[0], right[1]))


def _layers(flat: np.ndarray, spec: dict[str, Any]) -> Layers:
    layers, start = [], 0
    for layer in spec["layers"]:
        outputs, inputs = layer["outputs"], layer["inputs"]
        weight = flat[start : start + outputs * inputs].reshape(outputs, inputs)
        start += outputs * inputs
        layers.append((weight, flat[start : start + outputs]))
        start += outputs
    return layers


def _image(folder: Any, manifest: dict[str, Any], number: int) -> np.ndarray | None:
    """The image of a network, of those that come as a strip beside the dataset."""
    from matplotlib import image

    if number >= manifest["examples"]["rows"]:
        return None
    strip = image.imread(folder / manifest["examples"]["path"])
    side = manifest["image"][0]
    return 2 * np.asarray(strip, np.float64)[number * side : (number + 1) * side] - 1


def _picture(made: Any, place: tuple[float, ...], values: np.ndarray) -> None:
    """Draw grey values in [-1, 1] as areas, whose bytes no compression of pixels changes."""
    axis = made.add_axes(place)
    levels = np.linspace(-1, 1, GREYS + 1)
    axis.contourf(values[::-1], levels, cmap="gray", extend="both", antialiased=False)
    _frame(axis)


def _cells(
    made: Any, place: tuple[float, ...], values: np.ndarray, colours: str, limit: float
) -> None:
    """Draw a matrix, a cell for each entry, with colours for -limit to limit."""
    axis = made.add_axes(place)
    axis.pcolormesh(values[::-1], cmap=colours, vmin=-limit, vmax=limit, linewidth=0)
    _frame(axis)


def _scale(matrix: np.ndarray) -> float:
    """Twice the root mean square: beyond it all entries have one colour."""
    return 2 * float(np.sqrt(np.square(matrix).mean()))


def _frame(axis: Any) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color("#999999")


def _write_answers(made: Any, one: Example, row: int, bottom: float, height: float) -> None:
    for place, each in enumerate(one.answers):
        right = each.said[row] == one.label
        line = bottom + height * (0.82 - 0.32 * place)
        made.text(0.7, line, style.plain(each.title), fontsize=TEXT, va="center")
        made.text(
            0.93,
            line,
            f"{each.said[row]} {'✓' if right else '✗'}",
            fontsize=TEXT,
            va="center",
            weight="bold",
            color=style.COLOURS[0] if right else style.COLOURS[1],
        )
