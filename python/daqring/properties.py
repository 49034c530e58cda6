"""Whose the user's properties are: the file's, a group's or a channel's."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daqring.errors import TaskError

if TYPE_CHECKING:
    from daqring.acquisition import Acquisition

__all__ = ["Properties", "Property", "share_out"]

Property = bool | int | float | str | datetime.datetime
#: Properties of the file, and under the name of a task or ``task/channel`` those of its group or channel.
Properties = Mapping[str, Property | Mapping[str, Property]]

#: Names that the log itself or TDMS gives a meaning in groups and channels.
TAKEN = ("daqring.", "wf_", "NI_", "unit_string")


def share_out(properties: Properties, acquisitions: Sequence[Acquisition]) -> dict[str, Property]:
    """Gives groups and channels what is theirs; what remains is the file's.

    Raises:
        TaskError: Nothing has such a name, or the property is none for the user to set.
    """
    ours: dict[str, Property] = {}
    for key, value in properties.items():
        if not isinstance(value, Mapping):
            ours[key] = value
            continue
        theirs = _place(key, acquisitions)
        for name, one in value.items():
            if not isinstance(name, str) or not name or name.startswith(TAKEN):
                raise TaskError(f"properties of {key!r}: {name!r} cannot be set; choose another name")
            if not isinstance(one, Property):
                raise TaskError(
                    f"properties of {key!r}: {name!r} must be a text, a number, True or False, or a "
                    f"datetime, not {one!r}"
                )
            theirs[name] = one
    return ours


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
