"""Devices from a file: our own TOML, or NI's text format for simulated devices."""

from __future__ import annotations

import configparser
import os
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Reads names and product types from a file.

    TOML: a table for each device, ``[devices.Dev1]`` with ``product = "PCIe-6363"``. Other keys
    are allowed and ignored, so that a file that describes a real rig can be read.

    NI's format (``.ini``, ``.nce.ini``): a section ``[DAQmxDevice Dev1]`` with
    ``ProductType = PCIe-6363`` for each device. Modules, chassis and accessories are not simulated.

    Raises:
        ValueError: where the file describes no device, or is not in its format.
        OSError: where it cannot be read.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8-sig")
    pairs = _from_toml(path, text) if path.suffix.lower() == ".toml" else _from_ini(path, text)
    if not pairs:
        raise ValueError(f"{path} describes no device. Give it a table like [devices.Dev1].")
    return pairs


def _from_toml(path: Path, text: str) -> list[tuple[str, str]]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from None
    tables: Any = content.get("devices", {})
    if not isinstance(tables, dict):
        raise ValueError(f"{path}: devices have to be tables like [devices.Dev1].")
    pairs = []
    for name, table in tables.items():
        product = table.get("product") if isinstance(table, dict) else table
        if not isinstance(product, str):
            raise ValueError(f'{path}: device {name} needs a product, like product = "PCIe-6363".')
        pairs.append((name, product))
    return pairs


def _from_ini(path: Path, text: str) -> list[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a text file with sections: {first}.") from None
    pairs = []
    for section in parser.sections():
        kind, _, name = section.partition(" ")
        if kind != "DAQmxDevice":
            continue
        product = parser[section].get("ProductType")
        if product is None:
            raise ValueError(f"{path}: device {name.strip()} has no ProductType.")
        pairs.append((name.strip(), product))
    return pairs
