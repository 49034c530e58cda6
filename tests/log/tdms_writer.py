"""Writes TDMS files as other programs do, from the public description of the format: for tests.

Interleaved and contiguous data, incremental metadata, both byte orders and versions, DAQmx raw data, text,
timestamps, complex numbers, unfinished ends. None of it comes from the code under test.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import numpy as np

META_DATA, NEW_LIST, RAW_DATA, INTERLEAVED, BIG_ENDIAN, DAQMX = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 6, 1 << 7
TYPES = {
    "int8": 1,
    "int16": 2,
    "int32": 3,
    "int64": 4,
    "uint8": 5,
    "uint16": 6,
    "uint32": 7,
    "uint64": 8,
    "float32": 9,
    "float64": 10,
    "bool": 0x21,
    "complex64": 0x8000C,
    "complex128": 0x10000D,
}
TEXT, TIMESTAMP = 0x20, 0x44
#: Numbers of the types in DAQmx scalers.
SCALERS = {"uint8": 0, "int8": 1, "uint16": 2, "int16": 3, "uint32": 4, "int32": 5, "uint64": 6, "int64": 7}
SCALERS |= {"float32": 8, "float64": 9}


class U32(int):
    """A property that is stored as a u32, as NI's programs do with sizes and sources."""


def path(*names: str) -> str:
    return "/" + "/".join("'" + name.replace("'", "''") + "'" for name in names)


class Encoder:
    """Numbers and properties in one byte order."""

    def __init__(self, big: bool) -> None:
        self.order = ">" if big else "<"
        self.big = big

    def pack(self, form: str, *values: Any) -> bytes:
        return struct.pack(self.order + form, *values)

    def text(self, text: str) -> bytes:
        data = text.encode()
        return self.pack("I", len(data)) + data

    def timestamp(self, seconds: int, fraction: int) -> bytes:
        return self.pack("qQ", seconds, fraction) if self.big else self.pack("Qq", fraction, seconds)

    def property(self, name: str, value: Any) -> bytes:
        match value:
            case U32():
                return self.text(name) + self.pack("II", 7, value)
            case bool():
                return self.text(name) + self.pack("I?", 0x21, value)
            case int():
                return self.text(name) + self.pack("Ii", 3, value)
            case float():
                return self.text(name) + self.pack("Id", 10, value)
            case str():
                return self.text(name) + self.pack("I", TEXT) + self.text(value)
            case (seconds, fraction):
                return self.text(name) + self.pack("I", TIMESTAMP) + self.timestamp(seconds, fraction)
        raise TypeError(type(value))

    def values(self, values: np.ndarray | list[Any]) -> bytes:
        if isinstance(values, np.ndarray):
            return values.astype(values.dtype.newbyteorder(self.order)).tobytes()
        if values and isinstance(values[0], tuple):
            return b"".join(self.timestamp(*value) for value in values)
        data = [text.encode() for text in values]
        ends = np.cumsum([len(text) for text in data])
        return b"".join(self.pack("I", end) for end in ends) + b"".join(data)


@dataclasses.dataclass
class Object:
    """An object in a segment's metadata. `values` is what it has in one chunk; `index` what is said of it."""

    path: str
    #: "none", "same", "new" or the bytes of an index.
    index: str | bytes = "none"
    values: np.ndarray | list[Any] | None = None
    properties: dict[str, Any] = dataclasses.field(default_factory=dict)

    def encode(self, encoder: Encoder) -> bytes:
        match self.index:
            case "none":
                index = encoder.pack("I", 0xFFFFFFFF)
            case "same":
                index = encoder.pack("I", 0)
            case bytes():
                index = self.index
            case _:
                index = self.new_index(encoder)
        out = encoder.text(self.path) + index + encoder.pack("I", len(self.properties))
        return out + b"".join(encoder.property(*pair) for pair in self.properties.items())

    def new_index(self, encoder: Encoder) -> bytes:
        assert self.values is not None
        count = len(self.values)
        if isinstance(self.values, np.ndarray):
            return encoder.pack("IIIQ", 20, TYPES[self.values.dtype.name], 1, count)
        if self.values and isinstance(self.values[0], tuple):
            return encoder.pack("IIIQ", 20, TIMESTAMP, 1, count)
        return encoder.pack("IIIQQ", 28, TEXT, 1, count, len(encoder.values(self.values)))


def segment(
    objects: list[Object] | None,
    raw: bytes = b"",
    *,
    toc: int = NEW_LIST,
    big: bool = False,
    version: int = 4713,
    unfinished: bool = False,
) -> bytes:
    """One segment; `objects` None means no metadata at all."""
    encoder = Encoder(big)
    metadata = b""
    if objects is not None:
        metadata = encoder.pack("I", len(objects)) + b"".join(o.encode(encoder) for o in objects)
    else:
        toc &= ~NEW_LIST
    mask = (
        toc
        | (META_DATA if objects is not None else 0)
        | (RAW_DATA if raw else 0)
        | (BIG_ENDIAN if big else 0)
    )
    end = 0xFFFFFFFFFFFFFFFF if unfinished else len(metadata) + len(raw)
    return (
        b"TDSm" + struct.pack("<I", mask) + encoder.pack("IQQ", version, end, len(metadata)) + metadata + raw
    )


def contiguous(chunks: list[list[Any]], big: bool = False) -> bytes:
    """Raw data: in each chunk the values of one channel after the other."""
    encoder = Encoder(big)
    return b"".join(encoder.values(values) for chunk in chunks for values in chunk)


def interleaved(columns: list[np.ndarray], big: bool = False) -> bytes:
    """Raw data: row after row."""
    encoder = Encoder(big)
    sizes = [column.dtype.itemsize for column in columns]
    rows = np.zeros((len(columns[0]), sum(sizes)), np.uint8)
    at = 0
    for column, size in zip(columns, sizes, strict=True):
        data = np.frombuffer(encoder.values(column), np.uint8).reshape(-1, size)
        rows[:, at : at + size] = data
        at += size
    return rows.tobytes()


@dataclasses.dataclass
class Scaler:
    """A DAQmx scaler: where its values lie in the rows of a buffer."""

    dtype: str
    buffer: int
    offset: int
    id: int = 0


def daqmx_index(
    scalers: list[Scaler],
    count: int,
    widths: list[int],
    *,
    data_type: int = 0xFFFFFFFF,
    digital: bool = False,
    big: bool = False,
) -> bytes:
    """The raw-data index of a channel in DAQmx raw data; `offset` counts bits in digital ones."""
    encoder = Encoder(big)
    out = encoder.pack("IIIQI", 0x126A if digital else 0x1269, data_type, 1, count, len(scalers))
    for scaler in scalers:
        form = "IIIBI" if digital else "IIIII"
        out += encoder.pack(form, SCALERS[scaler.dtype], scaler.buffer, scaler.offset, 0, scaler.id)
    return out + encoder.pack("I", len(widths)) + b"".join(encoder.pack("I", width) for width in widths)


def scales(*descriptions: tuple[str, dict[str, Any]], count: bool = True) -> dict[str, Any]:
    """NI's scaling properties of a chain of scales; a list becomes its numbered values and their size."""
    out: dict[str, Any] = {"NI_Number_Of_Scales": U32(len(descriptions))} if count else {}
    out["NI_Scaling_Status"] = "unscaled"
    for number, (kind, fields) in enumerate(descriptions):
        if not kind:
            continue
        out[f"NI_Scale[{number}]_Scale_Type"] = kind
        for name, value in fields.items():
            full = f"NI_Scale[{number}]_{kind}_{name}"
            if isinstance(value, list):
                out[full + "_Size"] = U32(len(value))
                out |= {f"{full}[{at}]": float(v) for at, v in enumerate(value)}
            else:
                out[full] = value
    return out
