"""Every test here runs the unmodified nidaqmx package on the simulated driver."""

from collections.abc import Iterator

import daqring.sim as sim
import pytest


@pytest.fixture(autouse=True)
def simulated() -> Iterator[None]:
    """Default devices, real time, the checkable pattern; everything is taken back at the end."""
    with sim.installed(signal="pattern"):
        yield


@pytest.fixture
def stepped() -> None:
    """Time stands still until the test moves it."""
    sim.clock("stepped")


@pytest.fixture
def unthrottled() -> None:
    """Time moves as fast as reads need."""
    sim.clock("unthrottled")
