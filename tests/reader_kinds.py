"""The readers that tests run with, on the kinds of machine that have them."""

from __future__ import annotations

import pytest
from daqring import _native

#: The driver's variadic functions cannot be called everywhere.
needs_native_reader = pytest.mark.skipif(
    not _native.NATIVE_READER, reason="the native reader does not run on this kind of machine"
)
READERS = [pytest.param("native", marks=needs_native_reader), "python"]
