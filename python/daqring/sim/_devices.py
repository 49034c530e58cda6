"""Devices from and to a file: our own TOML, or NI's text format for simulated devices."""

from __future__ import annotations

import configparser
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from daqring import _native

__all__ = ["describe_rig", "load", "spec", "write"]

Spec = dict[str, Any]
"""A device: name, product, and what else is known of it; see :func:`spec`."""

_KEYS: dict[str, type] = {
    "serial": int,
    "chassis": str,
    "slot": int,
    "pxi_chassis": int,
    "hostname": str,
    "address": str,
    "reserved": bool,
    "simulated": bool,
}


def spec(name: str, product: str, **more: Any) -> Spec:
    """A device's description with every key that the native side wants; None where not given."""
    return {"name": name, "product": product, **dict.fromkeys(_KEYS), **more}


def check_keys(given: Mapping[str, Any]) -> None:
    """Refuses keys, and values of keys, that a device cannot have."""
    unknown = given.keys() - {"name", "product", *_KEYS}
    if unknown:
        raise ValueError(
            f"A device has no key {min(unknown)!r}; there are: name, product, {', '.join(_KEYS)}."
        )
    for key in _KEYS:
        if (value := given.get(key)) is not None and (kind := _unfit(key, value)):
            raise ValueError(f"A device's {key} has to be {kind}, not {value!r}.")


def _unfit(key: str, value: object) -> str | None:
    """What the value of a key would have to be; None where it is that."""
    wanted = _KEYS[key]
    right = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    if right and not (isinstance(value, int) and not 0 <= value < 2**32):
        return None
    return {str: "a text", int: "a number from 0 to 4294967295", bool: "true or false"}[wanted]


def load(path: str | os.PathLike[str]) -> tuple[list[Spec], dict[str, Any]]:
    """Reads devices from a file, and from TOML the other tables, too (signals, faults, clock).

    TOML: a table for each device, ``[devices.Dev1]`` with ``product = "PCIe-6363"``. Further keys:
    ``serial``; for modules ``chassis`` (a device's name) and ``slot``; for PXI boards
    ``pxi_chassis`` and ``slot``; for network chassis ``hostname``, ``address`` and ``reserved``.
    ``simulated`` (false) makes a device say that it is real.

    NI's format (``.ini``, ``.nce.ini``): sections ``[DAQmxDevice Dev1]``, ``[DAQmxCDAQChassis ...]``
    and ``[DAQmxCDAQModule ...]``. Accessories, channels, tasks and scales are passed over.

    Raises:
        ValueError: where the file describes no device, or is not in its format. The text names the
            line and the key.
        OSError: where it cannot be read.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8-sig")
    others: dict[str, Any] = {}
    if path.suffix.lower() == ".toml":
        specs, others = _from_toml(path, text)
    else:
        specs = _from_ini(path, text)
    if not specs:
        raise ValueError(f"{path} describes no device. Give it a table like [devices.Dev1].")
    return list(chassis_first(specs)), others


def chassis_first(specs: list[Spec]) -> Iterator[Spec]:
    """The same devices, each module behind its chassis."""
    names = {one["name"].lower() for one in specs}
    given: set[str] = set()
    waiting = list(specs)
    while waiting:
        for one in waiting:
            chassis = (one["chassis"] or "").lower()
            if chassis in given or chassis not in names or chassis == one["name"].lower():
                break
        else:
            one = waiting[0]
        waiting.remove(one)
        given.add(one["name"].lower())
        yield one


def line_of(text: str, table: str, key: str | None = None) -> int:
    """The line of a table's header (or of a key in it) in a file with ``[tables]``, from 1 on; 0
    where it is not found."""
    wanted = [part.strip().strip("\"'") for part in table.split(".", 1)]
    found = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            parts = [part.strip().strip("\"'") for part in header[1].split(".", 1)]
            if found:
                break
            if parts == wanted:
                found = number
                if key is None:
                    return number
        elif found and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.:]", line, re.I):
            return number
        elif not found and len(wanted) == 2 and re.match(rf"\s*[\"']?{re.escape(wanted[1])}[\"']?\s*=", line):
            return number  # Written in one line, below [devices].
    return found


def _place(path: Path, text: str, name: str, key: str | None = None) -> str:
    line = line_of(text, f"devices.{name}", key)
    where = f"devices.{name}" + (f".{key}" if key else "")
    return f"{path}, line {line}, {where}" if line else f"{path}, {where}"


def check_product(product: str) -> None:
    """Refuses a product type that cannot be simulated, with the names that are like it."""
    known = {one.lower(): one for one in _native.sim_products()}
    if product.lower() in known:
        return
    # Who knows the number, but not the bus, means a name with this number.
    number = re.search(r"\d{4}", product)
    like = [one for one in known.values() if number is not None and number[0] in one]
    like = like or [known[each] for each in difflib.get_close_matches(product.lower(), known, cutoff=0.6)]
    meant = f"did you mean {' or '.join(map(repr, like[:4]))}? " if like else ""
    raise ValueError(
        f"There is no product type {product!r} to simulate; {meant}"
        f"'daqring devices --products' lists the {len(known)} that there are."
    )


def _check_product(place: str, product: str) -> None:
    try:
        check_product(product)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _from_toml(path: Path, text: str) -> tuple[list[Spec], dict[str, Any]]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from None
    tables: Any = content.pop("devices", {})
    if not isinstance(tables, dict):
        raise ValueError(f"{path}: devices have to be tables like [devices.Dev1].")
    specs = []
    for name, table in tables.items():
        table = dict(table) if isinstance(table, dict) else {"product": table}
        product = table.pop("product", None)
        if not isinstance(product, str):
            raise ValueError(f'{_place(path, text, name)}: it needs a product, like product = "PCIe-6363".')
        _check_product(_place(path, text, name, "product"), product)
        for key, value in table.items():
            if key not in _KEYS:
                raise ValueError(
                    f"{_place(path, text, name, key)}: this key is not known; "
                    f"there are: product, {', '.join(_KEYS)}."
                )
            if kind := _unfit(key, value):
                raise ValueError(f"{_place(path, text, name, key)}: it has to be {kind}, not {value!r}.")
        specs.append(spec(name, product, **table))
    return specs, content


_SECTIONS = ("DAQmxDevice", "DAQmxCDAQChassis", "DAQmxCDAQModule")


def _from_ini(path: Path, text: str) -> list[Spec]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string(text)
    except configparser.Error as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a text file with sections: {first}.") from None
    specs = []
    for section in parser.sections():
        kind, _, name = section.partition(" ")
        name = name.strip()
        if kind not in _SECTIONS:
            continue
        values = parser[section]

        def place(key: str | None = None, section: str = section) -> str:
            line = line_of(text, section, key)
            where = f"[{section}]" + (f" {key}" if key else "")
            return f"{path}, line {line}, {where}" if line else f"{path}, {where}"

        def number(key: str, values: Any = values, place: Any = place) -> int | None:
            value = values.get(key, "").strip()
            if not value:
                return None
            try:
                return int(value, 0)
            except ValueError:
                raise ValueError(f"{place(key)}: it has to be a number, not {value!r}.") from None

        product = values.get("ProductType")
        if not product:
            raise ValueError(f"{place()}: it has no ProductType.")
        _check_product(place("ProductType"), product)
        module = kind == "DAQmxCDAQModule"
        unknown = 2**32 - 1
        slot = number("CompactDAQ.SlotNum" if module else "PXI.SlotNum")
        pxi = number("PXI.ChassisNum")
        address = values.get("TCPIP.EthernetIP")
        specs.append(
            spec(
                name,
                product,
                serial=number("DevSerialNum") or None,
                chassis=(values.get("CompactDAQ.ChassisDevName") or None) if module else None,
                slot=None if slot == unknown else slot,
                pxi_chassis=None if pxi == unknown else pxi,
                hostname=values.get("TCPIP.Hostname") or None,
                address=None if address in (None, "", "0.0.0.0") else address,
            )
        )
    return specs


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    # What TOML does not allow as it is.
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def to_toml(specs: Iterable[Mapping[str, Any]]) -> str:
    """Devices as a TOML file. Those that cannot be simulated stand in comments."""
    known = {one.lower() for one in _native.sim_products()}
    lines = ["# Devices for daqring's simulated driver: daqring.sim.configure(this file).", ""]
    for one in specs:
        mark = "" if one["product"].lower() in known else "# "
        if mark:
            lines.append("# This product type cannot be simulated.")
        lines.append(f"{mark}[devices.{_bare(one['name'])}]")
        lines.append(f"{mark}product = {_text(one['product'])}")
        for key in _KEYS:
            if one.get(key) is not None:
                lines.append(f"{mark}{key} = {_text(one[key])}")
        lines.append("")
    return "\n".join(lines)


def to_ini(specs: Iterable[Mapping[str, Any]]) -> str:
    """Devices in NI's text format for simulated devices."""
    specs = list(specs)
    holders = {one["chassis"] for one in specs if one.get("chassis")}
    lines = ["[DAQmx]", "MajorVersion = 25", "MinorVersion = 5", ""]
    for one in specs:
        network = one.get("hostname") is not None or one.get("address") is not None
        chassis = network or one["name"] in holders or one["product"].startswith(("cDAQ-", "TS-150"))
        if one.get("chassis"):
            lines.append(f"[DAQmxCDAQModule {one['name']}]")
        elif chassis:
            lines.append(f"[DAQmxCDAQChassis {one['name']}]")
        else:
            lines.append(f"[DAQmxDevice {one['name']}]")
        lines += [
            f"ProductType = {one['product']}",
            f"DevSerialNum = 0x{one.get('serial') or 0:X}",
            f"DevIsSimulated = {0 if one.get('simulated') is False else 1}",
        ]
        if one.get("chassis"):
            lines.append(f"CompactDAQ.ChassisDevName = {one['chassis']}")
            lines.append(f"CompactDAQ.SlotNum = {one['slot']}")
        elif one.get("pxi_chassis") is not None:
            lines.append(f"PXI.ChassisNum = {one['pxi_chassis']}")
            lines.append(f"PXI.SlotNum = {one.get('slot') or 2**32 - 1}")
        if network:
            lines.append("BusType = TCP/IP")
            lines.append(f"TCPIP.Hostname = {one.get('hostname') or ''}")
            lines.append(f"TCPIP.EthernetIP = {one.get('address') or '0.0.0.0'}")
        lines.append("")
    return "\n".join(lines)


def write(path: str | os.PathLike[str], specs: Iterable[Mapping[str, Any]]) -> None:
    """Writes devices to a file: NI's format where it ends with ``.ini``, else TOML.

    Raises:
        ValueError: where the file's name ends with something else.
        OSError: where it cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".toml", ".ini"):
        raise ValueError(f"{path}: give the file a name that ends with .toml or .ini.")
    path.write_text(to_ini(specs) if suffix == ".ini" else to_toml(specs), encoding="utf-8")


def describe_rig() -> list[Spec]:
    """The devices that the driver in use knows, real or simulated, as descriptions.

    Raises:
        nidaqmx.errors.DaqError: where the driver refuses to list them.
    """
    from nidaqmx.errors import Error
    from nidaqmx.system import System

    def asked(device: Any, attribute: str) -> Any:
        try:
            return getattr(device, attribute)
        except (Error, ValueError, TypeError):
            return None

    specs = []
    for device in System.local().devices:
        serial = asked(device, "serial_num")
        one = spec(str(device.name), str(device.product_type), serial=None if serial is None else int(serial))
        chassis = asked(device, "compact_daq_chassis_device")
        if chassis is not None:
            one["chassis"] = str(chassis.name)
            one["slot"] = asked(device, "compact_daq_slot_num")
        else:
            number, slot = asked(device, "pxi_chassis_num"), asked(device, "pxi_slot_num")
            if number is not None and number != 2**32 - 1:
                one["pxi_chassis"], one["slot"] = number, slot
            host, address = asked(device, "tcpip_hostname"), asked(device, "tcpip_ethernet_ip")
            one["hostname"] = host or None
            one["address"] = address if address not in (None, "", "0.0.0.0") else None
        specs.append(one)
    return list(chassis_first(specs))
