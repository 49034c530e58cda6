"""Whose the user's properties are: the file's, a group's or a channel's."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daqring.errors import TaskError

if TYPE_CHECKING:
    from daqring.acquisition import Acquisition

__all__ = ["Properties", "Property", "is_text", "share_out"]

Property = bool | int | float | str | datetime.datetime
#: Properties of the file, and under the name of a task or ``task/channel`` those of its group or channel.
Properties = Mapping[str, Property | Mapping[str, Property]]

#: Names that the log itself or TDMS gives a meaning in groups and channels.
TAKEN = ("daqring.", "wf_", "NI_", "unit_string")
#: Of the file only the log's own are, but for the one that the run file puts there.
TAKEN_OF_FILE, RUN = ("daqring.",), "daqring.run"
LARGEST = 1 << 63


def share_out(properties: Properties, acquisitions: Sequence[Acquisition]) -> dict[str, Property]:
    """Gives groups and channels what is theirs; what remains is the file's.

    Raises:
        TaskError: Nothing has such a name, or the property is none for the user to set.
    """
    ours: dict[str, Property] = {}
    for key, value in properties.items():
        if not isinstance(value, Mapping):
            taken = () if key == RUN else TAKEN_OF_FILE
            ours[key] = _checked("properties", key, value, taken)
            continue
        theirs = _place(key, acquisitions)
        for name, one in value.items():
            theirs[name] = _checked(f"properties of {key!r}", name, one, TAKEN)
    return ours


def _checked(whose: str, name: object, value: object, taken: tuple[str, ...]) -> Property:
    """The value as the log takes it."""
    if not isinstance(name, str) or not name or name.startswith(taken) or not is_text(name):
        raise TaskError(f"{whose}: {name!r} cannot be set; choose another name")
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    what = f"{whose}: {name!r}"
    if not isinstance(value, Property):
        raise TaskError(f"{what} must be a text, a number, True or False, or a datetime, not {_short(value)}")
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise TaskError(f"{what}: {_short(value)} is more than 64 bits can hold")
    if isinstance(value, str) and not is_text(value):
        raise TaskError(f"{what}: {_short(value)} has characters that are no text (surrogates)")
    if isinstance(value, datetime.datetime) and not 1678 <= value.year <= 2261:
        raise TaskError(f"{what}: {value} is not between the years 1678 and 2261, as times in a log are")
    return value


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(key: str, acquisitions: Sequence[Acquisition]) -> dict[str, Any]:
    """Where the properties of a group or a channel are kept until the file is made."""
    alone = []
    for acquisition in acquisitions:
        if key == acquisition.name:
            return acquisition.properties
        for channel in acquisition.source.channels:
            if key == f"{acquisition.name}/{channel.name}":
                return acquisition.channel_properties.setdefault(channel.name, {})
            if key == channel.name:
                alone.append((acquisition, channel.name))
    if len(alone) == 1:
        acquisition, name = alone[0]
        return acquisition.channel_properties.setdefault(name, {})
    names = [
        name
        for acquisition in acquisitions
        for name in (
            acquisition.name,
            *(f"{acquisition.name}/{one.name}" for one in acquisition.source.channels),
        )
    ]
    shown = ", ".join(map(repr, names[:9])) + (" ..." if len(names) > 9 else "")
    what = "several tasks have such a channel" if alone else "there is no such task or channel"
    raise TaskError(f"properties: {key!r} is to have properties of its own and {what}; there are {shown}")
