"""pytest fixtures for tests of programs that use nidaqmx.

Put ``pytest_plugins = ["daqring.sim.pytest_plugin"]`` into the top-level ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from daqring import sim

__all__ = ["daqmx_sim", "daqmx_sim_stepped", "daqmx_sim_unthrottled"]


@pytest.fixture
def daqmx_sim() -> Iterator[ModuleType]:
    """nidaqmx on the default simulated devices, in real time; gives the module ``daqring.sim``."""
    with sim.installed():
        yield sim


@pytest.fixture
def daqmx_sim_stepped() -> Iterator[ModuleType]:
    """nidaqmx on simulated devices; time stands still until the test calls ``step``."""
    with sim.installed(clock="stepped"):
        yield sim


@pytest.fixture
def daqmx_sim_unthrottled() -> Iterator[ModuleType]:
    """nidaqmx on simulated devices; time moves as fast as reads need, and nothing overflows."""
    with sim.installed(clock="unthrottled"):
        yield sim
