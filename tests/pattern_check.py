"""The check of the pattern that the tests share."""

from __future__ import annotations

import daqring.sim
import numpy as np


def assert_pattern(codes: np.ndarray, channel: int, first: int = 0) -> None:
    """Fails unless `codes` is the pattern of a channel from sample `first` on, and says where it is not."""
    expected = daqring.sim.pattern(channel, first, len(codes))
    wrong = np.flatnonzero(codes != expected)
    assert wrong.size == 0, (
        f"channel {channel}: {wrong.size} of {len(codes)} samples are wrong, the first at {first + wrong[0]}"
    )
