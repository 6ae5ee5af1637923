"""The fit of one SIREN on one core, from the first step to the last.

Points are taken a tile at a time, so that a tile's values stay in the core's first cache. They are
rows of points, `[neurons, TILE]`, one under the other in a flat array; a layer begins at an offset
and has its neurons filled up to a multiple of 4 with neurons of weight zero. Products are taken for
4 neurons and two vectors of points, or 4 neurons and 2 inputs, together: as much as registers hold.

In the hidden layers the factor omega is part of the packed weights, over pi, since the sine is that
of half turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numba import njit

from benchmark.fits import vectors
from benchmark.fits.vectors import (
    lanes,
    load,
    multiply_add,
    number,
    root,
    sine_and_cosine,
    spread,
    store,
    total,
)

TILE = 96
"""Points of a tile: a multiple of two of the longest vectors, of 16 float32; 32 neurons' values
and slopes are 24 kB."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of Adam, as `torch.optim.Adam` has them."""


class Problem(NamedTuple):
    """What a SIREN is fitted to, for points filled up to whole vectors.

    sizes: of the layers of neurons, `[layers + 1]`.
    omega: the factor inside the sines.
    points: the number of points.
    mask: 1 for a point, 0 for one that fills up, `[full]`.
    coordinates: `[inputs * full]`.
    targets: `[outputs * full]`.
    """

    sizes: np.ndarray
    omega: float
    points: int
    mask: np.ndarray
    coordinates: np.ndarray
    targets: np.ndarray


class Course(NamedTuple):
    """How a SIREN is fitted.

    steps, rate, decay: of Adam, its learning rate and its (coupled) weight decay.
    cosine: whether the rate falls by half a cosine to zero, rather than not at all.
    stop: the mean squared error at which a fit ends early.
    """

    steps: int
    rate: float
    decay: float
    cosine: bool
    stop: float


class Memory(NamedTuple):
    """What a fit writes while it goes on.

    gradient, first, second: by parameter; Adam's moments.
    forwards: by layer, and 4 neurons: their biases, then their weights, input by input.
    backwards: by layer from the second, and 4 inputs: zeros, then their weights, neuron by neuron.
    values: of a tile's points: the coordinates, then each hidden layer's sines.
    slopes: of a tile's points: each hidden layer's cosines, then the gradient before the sine
        instead, over omega; at the end the outputs, then their gradient.
    sums: the gradient, lane by lane: by layer, and 4 neurons: their weights, input by input, then
        their biases.
    """

    gradient: np.ndarray
    first: np.ndarray
    second: np.ndarray
    forwards: np.ndarray
    backwards: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    sums: np.ndarray


def problem(
    sizes: tuple[int, ...], omega: float, coordinates: np.ndarray, targets: np.ndarray
) -> Problem:
    """Lay out coordinates `[points, inputs]` and targets `[points, outputs]` of one type."""
    points, dtype = len(targets), targets.dtype
    full = _up(points, 2 * vectors.BYTES // dtype.itemsize)

    def rows(columns: np.ndarray) -> np.ndarray:
        flat = _aligned(columns.shape[1] * full, dtype)
        flat.reshape(-1, full)[:, :points] = columns.T
        return flat

    mask = rows(np.ones((points, 1)))
    return Problem(np.array(sizes), omega, points, mask, rows(coordinates), rows(targets))


def memory(sizes: tuple[int, ...], dtype: np.dtype) -> Memory:
    """Make room for a fit of SIRENs of these sizes."""
    lane_count, layers = vectors.BYTES // dtype.itemsize, list(pairwise(sizes))
    parameters = _up(sum(outputs * (inputs + 1) for inputs, outputs in layers), lane_count)
    counts = {
        "gradient": parameters,
        "first": parameters,
        "second": parameters,
        "forwards": sum(_up(outputs, 4) * (inputs + 1) for inputs, outputs in layers),
        "backwards": sum(_up(inputs, 4) * (outputs + 1) for inputs, outputs in layers[1:]),
        "values": sum(_up(inputs, 4) for inputs, _ in layers) * TILE,
        "slopes": sum(_up(outputs, 4) for _, outputs in layers) * TILE,
        "sums": sum(_up(outputs, 4) * (_up(inputs, 2) + 1) for inputs, outputs in layers)
        * lane_count,
    }
    return Memory(**{name: _aligned(count, dtype) for name, count in counts.items()})


def fit(start: np.ndarray, problem: Problem, course: Course) -> tuple[np.ndarray, float]:
    """Fit a SIREN from its initial weights `[parameters]`, without the interpreter's lock.

    Returns:
        The fitted weights, and their mean squared error.
    """
    work = memory(tuple(problem.sizes.tolist()), start.dtype)
    weights = np.zeros_like(work.gradient)
    weights[: len(start)] = start
    error = _fit(weights, problem, course, work)
    return weights[: len(start)], error


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that begin where a line of the cache does."""
    spare = 64 // dtype.itemsize
    raw = np.zeros(count + spare, dtype)
    skip = -raw.ctypes.data % 64 // dtype.itemsize
    return raw[skip : skip + count]


# From here on: compiled. Offsets into flat arrays are named by what lies there.


@njit
def _products(matrix, entry, depth, rows, row, width):
    """Sum `depth` rows with the weights of 4 neurons, for two vectors of points."""
    step = lanes(rows)
    a0 = b0 = spread(matrix, entry)
    a1 = b1 = spread(matrix, entry + 1)
    a2 = b2 = spread(matrix, entry + 2)
    a3 = b3 = spread(matrix, entry + 3)
    for _ in range(depth):
        entry += 4
        x = load(rows, row)
        y = load(rows, row + step)
        weight = spread(matrix, entry)
        a0 = multiply_add(weight, x, a0)
        b0 = multiply_add(weight, y, b0)
        weight = spread(matrix, entry + 1)
        a1 = multiply_add(weight, x, a1)
        b1 = multiply_add(weight, y, b1)
        weight = spread(matrix, entry + 2)
        a2 = multiply_add(weight, x, a2)
        b2 = multiply_add(weight, y, b2)
        weight = spread(matrix, entry + 3)
        a3 = multiply_add(weight, x, a3)
        b3 = multiply_add(weight, y, b3)
        row += width
    return (a0, b0), (a1, b1), (a2, b2), (a3, b3)


@njit
def _hidden(matrix, entry, outputs, inputs, values, source, sink, slopes, slope, count):
    """Compute the sines and cosines of a hidden layer."""
    step = lanes(values)
    for first in range(0, outputs, 4):
        for point in range(0, count, 2 * step):
            place = first * TILE + point
            for a, b in _products(matrix, entry, inputs, values, source + point, TILE):
                sine, cosine = sine_and_cosine(a)
                store(values, sink + place, sine)
                store(slopes, slope + place, cosine)
                sine, cosine = sine_and_cosine(b)
                store(values, sink + place + step, sine)
                store(slopes, slope + place + step, cosine)
                place += TILE
        entry += 4 * (inputs + 1)


@njit
def _outputs(matrix, entry, outputs, inputs, values, source, slopes, slope, count):
    """Compute the last layer."""
    step = lanes(values)
    for first in range(0, outputs, 4):
        for point in range(0, count, 2 * step):
            place = slope + first * TILE + point
            for a, b in _products(matrix, entry, inputs, values, source + point, TILE):
                store(slopes, place, a)
                store(slopes, place + step, b)
                place += TILE
        entry += 4 * (inputs + 1)


@njit
def _backward(matrix, entry, inputs, outputs, slopes, source, sink, count):
    """Multiply the cosines of a hidden layer by the gradient of its sines."""
    step = lanes(slopes)
    for first in range(0, inputs, 4):
        for point in range(0, count, 2 * step):
            place = sink + first * TILE + point
            for a, b in _products(matrix, entry, outputs, slopes, source + point, TILE):
                store(slopes, place, load(slopes, place) * a)
                store(slopes, place + step, load(slopes, place + step) * b)
                place += TILE
        entry += 4 * (outputs + 1)


@njit
def _gradients(sums, entry, outputs, inputs, slopes, slope, values, value, count):
    """Add a tile's gradient of a layer's weights and biases, lane by lane."""
    step = lanes(values)
    for _ in range(0, outputs, 4):
        for pair in range(0, inputs, 2):
            row = value + pair * TILE
            a0 = load(sums, entry)
            a1 = load(sums, entry + step)
            a2 = load(sums, entry + 2 * step)
            a3 = load(sums, entry + 3 * step)
            b0 = load(sums, entry + 4 * step)
            b1 = load(sums, entry + 5 * step)
            b2 = load(sums, entry + 6 * step)
            b3 = load(sums, entry + 7 * step)
            for point in range(0, count, step):
                x = load(values, row + point)
                y = load(values, row + point + TILE)
                gradient = load(slopes, slope + point)
                a0 = multiply_add(gradient, x, a0)
                b0 = multiply_add(gradient, y, b0)
                gradient = load(slopes, slope + point + TILE)
                a1 = multiply_add(gradient, x, a1)
                b1 = multiply_add(gradient, y, b1)
                gradient = load(slopes, slope + point + 2 * TILE)
                a2 = multiply_add(gradient, x, a2)
                b2 = multiply_add(gradient, y, b2)
                gradient = load(slopes, slope + point + 3 * TILE)
                a3 = multiply_add(gradient, x, a3)
                b3 = multiply_add(gradient, y, b3)
            store(sums, entry, a0)
            store(sums, entry + step, a1)
            store(sums, entry + 2 * step, a2)
            store(sums, entry + 3 * step, a3)
            store(sums, entry + 4 * step, b0)
            store(sums, entry + 5 * step, b1)
            store(sums, entry + 6 * step, b2)
            store(sums, entry + 7 * step, b3)
            entry += 8 * step
        for _ in range(4):
            bias = load(sums, entry)
            for point in range(0, count, step):
                bias = bias + load(slopes, slope + point)
            store(sums, entry, bias)
            entry += step
            slope += TILE


@njit
def _pack(weights, sizes, omega, forwards, backwards):
    """Lay out the weights as the products read them."""
    start, forward, backward = 0, 0, 0
    layers = len(sizes) - 1
    for layer in range(layers):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        bias = start + inputs * outputs
        factor = omega if layer < layers - 1 else 1.0
        turns = omega / math.pi if layer < layers - 1 else 1.0
        for neuron in range(outputs):
            entry = forward + neuron // 4 * 4 * (inputs + 1) + neuron % 4
            forwards[entry] = weights[bias + neuron] * turns
            for source in range(inputs):
                weight = weights[start + neuron * inputs + source]
                forwards[entry + 4 * (source + 1)] = weight * turns
                if layer:
                    place = source // 4 * 4 * (outputs + 1) + source % 4 + 4 * (neuron + 1)
                    backwards[backward + place] = weight * factor
        forward += (outputs + 3) // 4 * 4 * (inputs + 1)
        if layer:
            backward += (inputs + 3) // 4 * 4 * (outputs + 1)
        start = bias + outputs


@njit
def _unpack(sums, sizes, omega, gradient):
    """Sum the lanes of the gradient, and lay it out as the weights are."""
    step = lanes(sums)
    start, entry = 0, 0
    layers = len(sizes) - 1
    for layer in range(layers):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        even = (inputs + 1) // 2 * 2
        bias = start + inputs * outputs
        factor = omega if layer < layers - 1 else 1.0
        for neuron in range(outputs):
            place = entry + (neuron // 4 * 4 * (even + 1) + neuron % 4) * step
            for source in range(inputs):
                weight = place + 4 * source * step
                gradient[start + neuron * inputs + source] = total(load(sums, weight)) * factor
            gradient[bias + neuron] = total(load(sums, place + 4 * even * step)) * factor
        entry += (outputs + 3) // 4 * 4 * (even + 1) * step
        start = bias + outputs


@njit
def _differences(slopes, slope, outputs, targets, mask, start, count, factor):
    """Replace outputs by their differences from the targets, times a factor.

    Returns the sum of the squared differences.
    """
    step = lanes(slopes)
    scale = number(slopes, factor)
    errors = number(slopes, 0.0)
    for output in range(outputs):
        for point in range(0, count, step):
            place = slope + output * TILE + point
            target = load(targets, output * len(mask) + start + point)
            difference = (load(slopes, place) - target) * load(mask, start + point)
            errors = multiply_add(difference, difference, errors)
            store(slopes, place, difference * scale)
    return total(errors)


@njit
def _error(problem, work, learn):
    """Compute the mean squared error, and to `learn` its gradient, lane by lane, over omega."""
    sizes, mask, values, slopes = problem.sizes, problem.mask, work.values, work.slopes
    layers = len(sizes) - 1
    step = lanes(values)
    if learn:
        for place in range(0, len(work.sums), step):
            store(work.sums, place, number(work.sums, 0.0))
    count_all = problem.points * sizes[layers]
    error = 0.0
    for start in range(0, len(mask), TILE):
        count = min(TILE, len(mask) - start)
        for source in range(sizes[0]):
            for point in range(0, count, step):
                given = load(problem.coordinates, source * len(mask) + start + point)
                store(values, source * TILE + point, given)
        value, slope, entry = 0, 0, 0
        for layer in range(layers - 1):
            inputs, outputs = sizes[layer], sizes[layer + 1]
            full = (outputs + 3) // 4 * 4
            sink = value + (inputs + 3) // 4 * 4 * TILE
            place = (work.forwards, entry, outputs, inputs, values, value)
            _hidden(*place, sink, slopes, slope, count)
            value = sink
            slope += full * TILE
            entry += full * (inputs + 1)
        inputs, outputs = sizes[layers - 1], sizes[layers]
        _outputs(work.forwards, entry, outputs, inputs, values, value, slopes, slope, count)
        error += _differences(
            slopes, slope, outputs, problem.targets, mask, start, count, 2.0 / count_all
        )
        if not learn:
            continue
        back, sums = len(work.backwards), len(work.sums)
        for layer in range(layers - 1, -1, -1):
            inputs, outputs = sizes[layer], sizes[layer + 1]
            sums -= (outputs + 3) // 4 * 4 * ((inputs + 1) // 2 * 2 + 1) * step
            _gradients(work.sums, sums, outputs, inputs, slopes, slope, values, value, count)
            if layer:
                full = (inputs + 3) // 4 * 4
                back -= full * (outputs + 1)
                sink = slope - full * TILE
                _backward(work.backwards, back, inputs, outputs, slopes, slope, sink, count)
                slope = sink
                value -= (sizes[layer - 1] + 3) // 4 * 4 * TILE
    return error / count_all


@njit
def _adam(weights, gradient, first, second, rate, decay, steps):
    """Take one step; `steps` counts it."""
    new1, new2 = number(weights, 1.0 - BETA1), number(weights, 1.0 - BETA2)
    old2 = number(weights, BETA2)
    epsilon = number(weights, EPSILON)
    decays = number(weights, decay)
    size = number(weights, -rate / (1.0 - BETA1**steps))
    scale = number(weights, math.sqrt(1.0 - BETA2**steps))
    for place in range(0, len(weights), lanes(weights)):
        weight = load(weights, place)
        slope = multiply_add(decays, weight, load(gradient, place))
        mean = load(first, place)
        mean = multiply_add(new1, slope - mean, mean)
        square = multiply_add(new2 * slope, slope, old2 * load(second, place))
        store(first, place, mean)
        store(second, place, square)
        store(weights, place, multiply_add(size, mean / (root(square) / scale + epsilon), weight))


def _compile(version: int) -> Callable[..., float]:
    """Compile the fit, or find it compiled.

    numba looks at this file alone to see whether what it kept is out of date. The version, which
    the function closes over, makes it look at the vectors and their size too.
    """

    @njit(nogil=True, cache=True, error_model="numpy")
    def fit(weights: Any, problem: Problem, course: Course, work: Memory) -> float:
        assert version >= 0
        step = 0
        while True:
            _pack(weights, problem.sizes, problem.omega, work.forwards, work.backwards)
            error = _error(problem, work, step < course.steps)
            if step == course.steps or error <= course.stop:
                return error
            _unpack(work.sums, problem.sizes, problem.omega, work.gradient)
            rate = course.rate
            if course.cosine:
                rate = rate * (1.0 + math.cos(math.pi * step / course.steps)) / 2.0
            step += 1
            moments = (work.gradient, work.first, work.second)
            _adam(weights, *moments, rate, course.decay, step)

    return fit


_fit = _compile(crc32(Path(vectors.__file__).read_bytes(), vectors.BYTES))
