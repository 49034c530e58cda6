"""What the environment says of the simulator: ``DAQRING_SIM_...``."""

from __future__ import annotations

import os

from daqring.sim import _control

__all__ = ["clock", "configure", "faults", "signal", "speed"]


def _text(name: str) -> str | None:
    return os.environ.get(f"DAQRING_SIM_{name}", "").strip() or None


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"DAQRING_SIM_{name} has to be a number, not {text!r}.") from None


def configure() -> None:
    """Devices from ``DAQRING_SIM_DEVICES``: a file, or a list like ``Dev1=PCIe-6363; NI 9234``."""
    text = _text("DEVICES")
    if text is not None:
        file = text.lower().endswith((".toml", ".ini"))
        _control.configure(text if file else [one.strip() for one in text.split(";") if one.strip()])


def clock() -> str:
    """The kind of clock from ``DAQRING_SIM_CLOCK``."""
    return _text("CLOCK") or "real"


def speed() -> float:
    """The speed of a real clock from ``DAQRING_SIM_SPEED``."""
    text = _text("SPEED")
    return 1.0 if text is None else _number("SPEED", text)


def signal() -> str | float | None:
    """The default signal from ``DAQRING_SIM_SIGNAL``: a kind, or a number of volts."""
    text = _text("SIGNAL")
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def faults() -> None:
    """Faults from ``DAQRING_SIM_FAULTS`` and the size of transfers from ``DAQRING_SIM_TRANSFER``."""
    for one in (_text("FAULTS") or "").split(";"):
        words = one.split()
        if not words:
            continue
        values = dict(word.partition("=")[::2] for word in words[2:])
        if len(words) < 2 or not values.keys() <= {"after", "seconds"}:
            raise ValueError(
                f"DAQRING_SIM_FAULTS: {one.strip()!r} has to be like 'Dev1 slow_bus after=1000 seconds=0.5'."
            )
        _control.fault(
            words[0],
            words[1],
            after=int(_number("FAULTS", values.get("after", "0"))),
            seconds=_number("FAULTS", values.get("seconds", "0")),
        )
    text = _text("TRANSFER")
    if text is not None:
        _control.transfer(int(_number("TRANSFER", text)))
