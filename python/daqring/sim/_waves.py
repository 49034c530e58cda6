"""Digital signals for :func:`daqring.sim.signal`: what counters, digital lines and terminals see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Edges", "Encoder", "Pulses", "edges", "encoder", "pulses"]

Described = tuple[float, float, float, int | None] | tuple[bool, list[int], int | None]


@dataclass(frozen=True, slots=True)
class Pulses:
    """A regular train of pulses, made by :func:`pulses`."""

    frequency: float
    duty_cycle: float
    delay: float
    count: int | None

    def _described(self) -> list[Described]:
        return [(self.frequency, self.duty_cycle, self.delay, self.count)]


@dataclass(frozen=True, slots=True)
class Edges:
    """A signal that changes at given times, made by :func:`edges`."""

    nanoseconds: tuple[int, ...]
    initial: bool
    repeat: int | None

    def _described(self) -> list[Described]:
        return [(self.initial, list(self.nanoseconds), self.repeat)]


@dataclass(frozen=True, slots=True)
class Encoder:
    """The signals A, B and Z of an encoder, made by :func:`encoder`."""

    a: Pulses | Edges
    b: Pulses | Edges
    z: Pulses | Edges

    def _described(self) -> list[Described]:
        return [*self.a._described(), *self.b._described(), *self.z._described()]


def pulses(
    frequency: float, duty_cycle: float = 0.5, *, delay: float = 0.0, count: int | None = None
) -> Pulses:
    """A train of pulses. Each period is low first and then high, so that rising edge n (from 0 on)
    comes at ``delay + (n + 1 - duty_cycle) / frequency`` seconds after the start of the task that
    sees it, and falling edge n at ``delay + (n + 1) / frequency``, to the nanosecond.

    Args:
        frequency: periods per second, more than 0 and at most 1e9.
        duty_cycle: the part of a period that is high, between 0 and 1.
        delay: seconds of low before the first period.
        count: how many pulses come; None for no end.
    """
    return Pulses(float(frequency), float(duty_cycle), float(delay), None if count is None else int(count))


def edges(times: Iterable[float], *, initial: bool = False, repeat: float | None = None) -> Edges:
    """A signal that changes at each of these times.

    Args:
        times: seconds after the start of the task that sees it, ascending, to the nanosecond.
        initial: whether it is high at first.
        repeat: after how many seconds everything begins again (the number of times has to be even
            then); None for never.

    Raises:
        ValueError: where a time is not a number greater than zero.
    """
    nanoseconds = [_nanoseconds(time) for time in times]
    return Edges(tuple(nanoseconds), bool(initial), None if repeat is None else _nanoseconds(repeat))


def _nanoseconds(seconds: float) -> int:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"A change has to come at a time greater than zero, not at {seconds}.")
    return round(seconds * 1e9)


def encoder(speed: float | Sequence[tuple[float, float]], *, index_every: int | None = None) -> Encoder:
    """What a quadrature encoder gives to a counter: signals A, B and Z.

    Going forwards, A leads B by a quarter of a period. The encoder begins between two counts, with A
    and B low. Z is high for one whole period of A every ``index_every`` periods, first after so many.

    Args:
        speed: periods of A per second, negative for backwards; or pairs of seconds and speed, one
            after the other, after which it stands still.
        index_every: periods of A between two pulses of Z, at least 2; None for none.

    Raises:
        ValueError: where the speed is 0 or not a number, a duration is not greater than zero, or the
            index comes more often than every second period.
    """
    if index_every is not None and index_every < 2:
        raise ValueError(f"The index has to come every 2 periods or less often, not every {index_every}.")
    if not isinstance(speed, (int, float)):
        return _moved([(float(duration), float(rate)) for duration, rate in speed], index_every)
    if not (math.isfinite(speed) and speed != 0):
        raise ValueError(f"The speed of an encoder has to be a number other than zero, not {speed}.")
    rate = abs(float(speed))
    first, second = pulses(rate), pulses(rate, delay=0.25 / rate)
    a, b = (first, second) if speed > 0 else (second, first)
    z: Pulses | Edges = edges([])
    if index_every is not None:
        z = pulses(rate / index_every, 1 / index_every, delay=1.25 / rate)
    return Encoder(a, b, z)


def _moved(path: list[tuple[float, float]], index_every: int | None) -> Encoder:
    # In quarters of a period: A rises at 2 and falls at 4 of each four, B one later. The beginning
    # is the middle of the quarter in which both are low.
    quarter, begun = 1.5, 0.0
    changes: list[list[int]] = [[], [], []]
    every = None if index_every is None else 4 * index_every
    for duration, speed in path:
        if not (math.isfinite(duration) and duration > 0 and math.isfinite(speed)):
            raise ValueError(f"An encoder cannot go {duration} seconds at a speed of {speed}.")
        end = quarter + 4 * speed * duration
        if speed > 0:
            crossed = np.arange(math.floor(quarter) + 1, math.floor(end) + 1)
        else:
            crossed = np.arange(math.ceil(quarter) - 1, math.ceil(end) - 1, -1)
        for border in crossed.tolist():
            at = round((begun + (border - quarter) / (4 * speed)) * 1e9)
            changes[border % 2].append(at)
            # From 1 to 5 after each index but the one at the beginning.
            if every is not None and (border - 1) % every in (0, 4) and border not in (1, 5):
                changes[2].append(at)
        quarter, begun = end, begun + duration
    a, b, z = (Edges(tuple(times), False, None) for times in changes)
    return Encoder(a, b, z)
