"""What pages and tables call tasks and datasets, and what they say of each task."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmark.datasets import listing


@dataclass(frozen=True)
class TaskWords:
    """What is said of a task: its title, and what a method is given, does, and is scored by."""

    title: str
    text: str


TASKS = {
    "inr-classification": TaskWords(
        "INR classification",
        "Each network is an implicit neural representation (INR): a small SIREN that maps the "
        "place of a pixel to its value, and so draws one image. A method is given the weights "
        "alone and names the class of the image.",
    ),
    "inr-editing": TaskWords(
        "INR editing",
        "A method changes the weights of an INR so that it draws its image dilated, or with more "
        "contrast. The score is the mean squared error of what the changed network draws, so lower "
        "is better.",
    ),
    "generalization": TaskWords(
        "Predicting a CNN's accuracy",
        "Each network is a small CNN, trained on MNIST with hyper-parameters of its own. A method "
        "predicts from the weights how accurate it is, and is scored by how well it orders the "
        "CNNs (Kendall's tau, 1 at best).",
    ),
    "sine-frequency": TaskWords(
        "Frequency of a sine",
        "Each network computes a sine wave, and a method tells the wave's frequency from the "
        "weights. The score is a mean squared error, so lower is better.",
    ),
    "sine-embedding": TaskWords(
        "Embedding of sine waves",
        "Each network computes a wave a sin(b x). A method learns, without being told a and b, to "
        "recognise a network that is disturbed among others, and then a linear function of what it "
        "learned is fitted to a and b, by which the checkpoint is chosen, too. The score is a mean "
        "squared error, so lower is better; a guess of the mean has 8.3.",
    ),
    "winning-ticket": TaskWords("Winning tickets", ""),
}

DATASETS = {
    "mnist-inr-own-mini": "MNIST",
    "fashion-inr-own-mini": "Fashion-MNIST",
    "cifar10-jpeg-inr-own-mini": "CIFAR-10",
    "mnist-inr-mini": "MNIST, one start",
    "fashion-inr-mini": "Fashion-MNIST, one start",
    "mnist-dilate-mini": "MNIST dilation",
    "cifar10-contrast-mini": "CIFAR-10 contrast",
    "mnist-gs-mini": "MNIST CNNs",
    "sine-inr-mini": "sine waves",
    "sine-inr-dws-rebuilt": "sine waves of DWSNets, rebuilt",
}
"""Headings of columns other than the datasets' titles: those of suite mini need not say what the
suite says of all of them."""


UNITS = {"accuracy": "%", "kendall_tau": "tau", "r2": "R2", "mse": "MSE"}
"""Metrics in narrow headings."""


def task(name: str) -> TaskWords:
    """What is said of a task; of one that nobody has described, its name."""
    return TASKS.get(name, TaskWords(name, ""))


def dataset(name: str) -> str:
    """The heading of a dataset's column: "MNIST, 10 starts, 100 steps"."""
    if name in DATASETS:
        return DATASETS[name]
    return re.sub("^(.*?) INRs\\b", r"\1", listing.get(name).title).removesuffix(", mini")


def named(title: str) -> str:
    """A method in a sentence: with an article where its title ends in a common noun."""
    last = title.rpartition(" ")[2]
    is_noun = last.isalpha() and last.islower() and not last.endswith("s") and "+" not in title
    return f"the {title}" if is_noun else title


def begun(text: str) -> str:
    """Begin a sentence: with a capital letter."""
    return text[:1].upper() + text[1:]


def several(names: list[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
