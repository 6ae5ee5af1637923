"""The search space of a method: for each field that is searched, the values that may be tried."""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True)
class Log:
    """Numbers from `low` to `high` with two significant digits, uniform in their logarithm."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"a range goes from a positive number to a larger one, not {self}")

    def including(self, value: float) -> Log:
        """Return the range widened to a value, but for zero, which has no logarithm."""
        return Log(min(self.low, value), max(self.high, value)) if value > 0 else self

    def nearest(self, value: float) -> float:
        """Return the number of the range that stands for a value."""
        return max(self.low, value)

    def rounded(self, drawn: float) -> float:
        """Return the value that is tried where this one was drawn."""
        return float(f"{drawn:.2g}")


@dataclass(frozen=True, init=False)
class Choice:
    """The values that are listed."""

    values: tuple[Value, ...]

    def __init__(self, *values: Value) -> None:
        if len(set(values)) < max(2, len(values)):
            raise ValueError(f"a choice is between two or more different values, not {values}")
        object.__setattr__(self, "values", values)

    def including(self, value: Value) -> Choice:
        """Return the choice with a value, appended where it is not listed."""
        return self if value in self.values else Choice(*self.values, value)

    def nearest(self, value: Value) -> Value:
        """Return the value, which is one of the choice's."""
        return value

    def rounded(self, drawn: Value) -> Value:
        """Return the value that is tried where this one was drawn."""
        return drawn


Dimension = Log | Choice
