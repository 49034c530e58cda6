"""What becomes of a recording whose device fails: :class:`Restart`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from daqring.errors import TaskError

__all__ = ["Restart"]

#: The reasons for an end that can be answered by a restart, and the cause of the gap that is told.
RESTARTS = {"device error": 5, "device overflow": 2, "overwrite": 1, "no samples": 255}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restart:
    """Makes the tasks anew after a failure and goes on, in the same file or in another one.

    It needs a function that makes the tasks (``daqring.record(make_tasks, ...)``): the task of a device
    that went away cannot be used again. What comes afterwards stands apart (`into`), behind a gap that is
    counted by the host's clock where the samples have a rate, and unknown otherwise.
    """

    #: After what: ``"device error"`` (unplugged, reset, ...), ``"device overflow"``, ``"overwrite"``,
    #: ``"no samples"`` (needs `no_samples`); one or several.
    on: str | Sequence[str] = "device error"
    #: How often in a row it is tried; ``None``: until a stop.
    attempts: int | None = 10
    #: Seconds between two tries.
    wait: float = 1.0
    #: Where what comes afterwards stands: ``"group"``: in groups of their own of the same file;
    #: ``"file"``: in a file of its own, named as by a rotation (``run.tdms``, ``run_0001.tdms``, ...).
    into: Literal["group", "file"] = "group"

    def __post_init__(self) -> None:
        for reason in self.reasons:
            if reason not in RESTARTS:
                known = ", ".join(map(repr, RESTARTS))
                raise TaskError(f"restart on {reason!r} is not known; choose from {known}")
        if self.into not in ("group", "file"):
            raise TaskError(f"into must be 'group' or 'file', not {self.into!r}")
        if not self.reasons:
            raise TaskError("a restart needs a reason: on='device error', for example")
        if self.attempts is not None and (
            isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1
        ):
            raise TaskError(f"attempts must be a whole number of 1 or more, or None, not {self.attempts!r}")
        if not (isinstance(self.wait, int | float) and math.isfinite(self.wait) and self.wait >= 0):
            raise TaskError(f"wait must be a number of seconds, 0 or more, not {self.wait!r}")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons, as a tuple."""
        return (self.on,) if isinstance(self.on, str) else tuple(self.on)
