"""Rounds of measurements in turn, so that what the machine does meanwhile meets all of them alike."""

import gc
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)
T = TypeVar("T")
Measurement = Callable[[], float]
"""Prepares, measures once, and returns the rate."""


def interleave(rounds: int, measured: Mapping[Name, Measurement]) -> dict[Name, list[float]]:
    """Return the samples of each measurement, taken A B C, C B A, A B C …"""
    samples: dict[Name, list[float]] = {name: [] for name in measured}
    for number in range(rounds):
        names = list(measured)
        for name in names if number % 2 == 0 else reversed(names):
            samples[name].append(measured[name]())
    return samples


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work returns and how many seconds it took.

    What was prepared for it is kept from the garbage collector, which would otherwise look at it again and again.
    """
    gc.collect()
    gc.freeze()
    try:
        started = perf_counter()
        result = work()
        return result, perf_counter() - started
    finally:
        gc.unfreeze()
