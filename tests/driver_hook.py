"""Acting in the reading thread, right before it reads the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
from daqring.source import TaskSource

#: The signature of the driver's functions that read many samples.
READ_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_double, ctypes.c_uint32),
    *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p),
)


def act_before_reads(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Does something in the reading thread before each read of the driver, which are counted from 1.

    Both readers call the driver through this: the Python one by a method, the native one by the
    address of a function.
    """
    reads = 0

    def count() -> None:
        nonlocal reads
        reads += 1
        act(reads)

    original_read, original_functions = TaskSource.read, TaskSource.native_functions

    def read(self: TaskSource, *arguments: Any) -> int:
        count()
        return original_read(self, *arguments)

    def native_functions(self: TaskSource) -> dict[str, int]:
        functions = original_functions(self)
        driver = READ_FUNCTION(functions["read"])

        def called(*arguments: Any) -> int:
            count()
            return int(driver(*arguments))

        self.kept_for_the_driver = callback = READ_FUNCTION(called)
        address = ctypes.cast(callback, ctypes.c_void_p).value
        assert address is not None
        return {**functions, "read": address}

    monkeypatch.setattr(TaskSource, "read", read)
    monkeypatch.setattr(TaskSource, "native_functions", native_functions)
