"""Files as other programs write them, of every kind: what npTDMS reads of them, daqring reads, too."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import daqring
import nptdms
import numpy as np
import pytest
from tdms_writer import (
    DAQMX,
    INTERLEAVED,
    NEW_LIST,
    SCALERS,
    TYPES,
    U32,
    Encoder,
    Object,
    Scaler,
    contiguous,
    daqmx_index,
    interleaved,
    path,
    scales,
    segment,
)

RAW = U32(0xFFFFFFFF)


def random_values(random: np.random.Generator, dtype: str, count: int) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return random.integers(info.min, info.max, count, kind, endpoint=True)
    if kind.kind == "b":
        return random.integers(0, 2, count).astype(bool)
    if kind.kind == "c":
        return (random.normal(size=count) + 1j * random.normal(size=count)).astype(kind)
    return random.normal(size=count).astype(kind)


def same(ours: Any, theirs: Any, context: str, rtol: float = 0) -> None:
    assert len(ours) == len(theirs), context
    if rtol:
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=0, err_msg=context)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=context)


def compare(file: Path, rtol: float = 0) -> int:
    """Everything that npTDMS reads of a file is read equal; returns the number of samples."""
    log = daqring.open(file)
    total = 0
    with warnings.catch_warnings(), nptdms.TdmsFile.open(file) as other:
        warnings.simplefilter("ignore")
        assert list(log.groups) == [group.name for group in other.groups()]
        for name, value in other.properties.items():
            assert log.properties[name] == value or value != value
        for group in other.groups():
            mine = log.groups[group.name]
            assert [channel.name for channel in mine.channels] == [c.name for c in group.channels()]
            for channel in group.channels():
                ours = mine[channel.name]
                context = f"{group.name}/{channel.name}"
                assert len(ours) == len(channel), context
                for name, value in channel.properties.items():
                    if not isinstance(value, np.datetime64):
                        mine_too = ours.properties[name]
                        assert mine_too == value or (mine_too != mine_too and value != value)
                if len(channel) == 0:
                    continue
                total += len(channel)
                if ours.dtype == object:
                    assert list(ours[:]) == list(channel[:])
                    continue
                if ours.dtype.kind == "M":
                    theirs = channel[:].astype("datetime64[ns]")
                    # npTDMS cuts off, daqring rounds.
                    assert (
                        np.abs(ours[:] - theirs.astype("datetime64[ns]")) <= np.timedelta64(1, "us")
                    ).all()
                    continue
                raw = channel.read_data(scaled=False)
                assert ours.raw.dtype == raw.dtype, context
                same(ours.raw[:], raw, context)
                whole = channel[:]
                same(ours[:], whole, context, rtol)
                a, b = sorted(np.random.default_rng(total).integers(0, len(channel) + 1, 2))
                same(ours[a:b], whole[a:b], context, rtol)
    return total


def channel_names(count: int) -> list[str]:
    return [path("g", f"c{number}") for number in range(count)]


@pytest.mark.parametrize("seed", range(40))
def test_random_files(tmp_path, seed):
    """Segments of all sorts one after the other: types, orders, layouts, metadata that come and go."""
    random = np.random.default_rng(seed)
    big, version = bool(random.integers(2)), int(random.choice([4712, 4713]))
    names = channel_names(int(random.integers(1, 6)))
    pool = [*TYPES, "text", "time"] if random.integers(2) else ["int16", "float64", "int32"]
    types = {name: str(random.choice(pool)) for name in names}
    counts: dict[str, int] = {}
    #: What is active: name and whether it has data, in order.
    active: dict[str, bool] = {}
    text_bytes: dict[str, int] = {}
    data, toc_before = b"", 0

    def values(name: str, count: int) -> Any:
        if types[name] == "text":
            return [chr(97 + int(random.integers(26))) * 3 + "ü" for _ in range(count)]
        if types[name] == "time":
            return [(int(random.integers(3e9, 4e9)), int(random.integers(1 << 63))) for _ in range(count)]
        return random_values(random, types[name], count)

    for number in range(int(random.integers(2, 9))):
        kind = "new" if number == 0 else str(random.choice(["new", "add", "none"]))
        sized = all(types[name] not in ("text", "time") for name in names)
        # npTDMS reads no interleaved complex numbers.
        sized = sized and not any(types[name].startswith("complex") for name in names)
        weave = sized and bool(random.integers(2))
        objects: list[Object] | None = None
        if kind == "none":
            weave = bool(toc_before & INTERLEAVED)
        else:
            if kind == "new":
                active = {}
            objects = [Object("/", properties={"n": number})] if random.integers(2) else []
            chosen = [name for name in names if random.integers(3)] or names[:1]
            common = int(random.integers(1, 20))
            for name in chosen:
                said = str(random.choice(["new", "new", "same", "none"]))
                if said == "same" and name not in counts:
                    said = "new"
                if weave or said == "new":
                    said = "new"
                    counts[name] = common if weave else int(random.integers(1, 20))
                sample = values(name, counts.get(name, 1))
                if said == "new" and types[name] == "text":
                    text_bytes[name] = len(Encoder(big).values(sample))
                objects.append(Object(name, said, sample, {"p": float(number), "s": "µ"}))
                active[name] = said != "none"
            if weave:
                # Whoever is active must have as many values as the others.
                for name in active:
                    if name not in chosen:
                        counts[name] = common
                        objects.append(Object(name, "new", values(name, common)))
                        active[name] = True
        with_data = [name for name, has in active.items() if has]
        chunks = int(random.integers(0, 4)) if with_data else 0
        if any(types[name] == "text" for name in with_data):
            chunks = min(chunks, 1)
        toc = (NEW_LIST if kind == "new" else 0) | (INTERLEAVED if weave else 0)
        if weave:
            rows = chunks * counts[with_data[0]] if with_data else 0
            raw = interleaved([values(name, rows) for name in with_data], big) if rows else b""
        else:
            raw = contiguous([[values(n, counts[n]) for n in with_data] for _ in range(chunks)], big)
        data += segment(objects, raw, toc=toc, big=big, version=version)
        toc_before = toc
    file = tmp_path / "random.tdms"
    file.write_bytes(data)
    compare(file)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", [*TYPES])
def test_every_type_in_every_order(tmp_path, dtype, big):
    random = np.random.default_rng(1)
    names = channel_names(3)
    columns = [random_values(random, dtype, 100) for _ in names]
    objects = [Object(name, "new", column) for name, column in zip(names, columns, strict=True)]
    file = tmp_path / "t.tdms"
    lines = segment(objects, contiguous([columns, columns], big), big=big)
    rows = interleaved([np.tile(column, 3) for column in columns], big)
    file.write_bytes(lines)
    assert compare(file) == 3 * 200
    file.write_bytes(lines + segment(objects, rows, toc=NEW_LIST | INTERLEAVED, big=big))
    # npTDMS reads no interleaved complex numbers.
    assert dtype.startswith("complex") or compare(file) == 3 * 500
    group = daqring.open(file).groups["g"]
    np.testing.assert_array_equal(group.read(raw=True)[1], np.tile(columns[1], 5))
    np.testing.assert_array_equal(
        group.read(150, 420, channels=["c2"], raw=True)[0], np.tile(columns[2], 5)[150:420]
    )


def test_metadata_that_come_and_go(tmp_path):
    """A channel without data keeps its place among the others, and gets it back."""
    a, b, c = channel_names(3)
    one, two = np.arange(4, dtype="int16"), np.arange(3, dtype="float64")
    data = segment(
        [Object(a, "new", one), Object(b, "new", two), Object(c, "new", one)],
        contiguous([[one, two, one + 9]]),
    )
    data += segment([Object(a, "none"), Object(b, "none")], contiguous([[one + 5]]), toc=0)
    data += segment(None, contiguous([[one + 6], [one + 7]]), toc=0)
    data += segment([Object(a, "same")], contiguous([[one + 8, one + 9]]), toc=0)
    data += segment([Object(b, "same"), Object(a, "new", two)], contiguous([[two, two]]), toc=NEW_LIST)
    file = tmp_path / "m.tdms"
    file.write_bytes(data[: data.rindex(b"TDSm")])
    assert compare(file) == 11 + 4 + 8 + 8
    log = daqring.open(file)
    assert list(log["c2"][:]) == [*(one + 9), *(one + 5), *(one + 6), *(one + 7), *(one + 9)]
    # Another type under the same name is refused by both, in words; what came before is kept.
    file.write_bytes(data)
    with pytest.raises(ValueError, match="same type"):
        nptdms.TdmsFile.read(file)
    assert "data type of c0 changes" in (daqring.open(file).problem or "")


@pytest.mark.parametrize("weave", [False, True])
@pytest.mark.parametrize("unfinished", [False, True])
def test_ends_that_were_cut_off(tmp_path, weave, unfinished):
    names = channel_names(3)
    columns = [np.arange(10, dtype=dtype) + 5 for dtype in ("int16", "float64", "int8")]
    objects = [Object(name, "new", column) for name, column in zip(names, columns, strict=True)]
    raw = interleaved(columns) if weave else contiguous([columns])
    toc = NEW_LIST | (INTERLEAVED if weave else 0)
    whole = segment(objects, raw, toc=toc)
    last = segment(objects, raw * 2, toc=toc, unfinished=unfinished)
    file = tmp_path / "u.tdms"
    for cut in range(0, len(raw) * 2, 7):
        file.write_bytes(whole + last[: len(last) - cut])
        assert compare(file) >= 30
    # A segment whose size is no multiple of its chunks, by its own words.
    for rest in range(1, len(raw), 5):
        # npTDMS reads on into the next segment where rows are interleaved.
        file.write_bytes(segment(objects, raw + raw[:rest], toc=toc) + (b"" if weave else whole))
        compare(file)


def test_cut_anywhere_is_never_worse_than_nptdms(tmp_path):
    a, b = channel_names(2)
    one, text = np.arange(50, dtype="int32"), ["x", "yy", "", "ü"]
    data = segment([Object("/", properties={"a": "b"}), Object(a, "new", one)], contiguous([[one]]))
    data += segment([Object(b, "new", text)], contiguous([[one, text]]), toc=0)
    file = tmp_path / "c.tdms"
    for cut in range(300, len(data)):
        file.write_bytes(data[:cut])
        try:
            theirs = len(nptdms.TdmsFile.read(file)["g"]["c0"])
        except Exception:
            theirs = 0
        assert len(daqring.open(file)["c0"]) >= theirs


SCALED = {
    "linear": [("Linear", {"Slope": 0.25, "Y_Intercept": -3.3, "Input_Source": RAW})],
    "polynomial": [("Polynomial", {"Coefficients": [0.5, 1e-3, -2e-8, 3e-14, 1e-19], "Input_Source": RAW})],
    "no coefficients": [("Polynomial", {"Coefficients": [], "Input_Source": RAW})],
    "table": [
        ("Linear", {"Slope": 1.0, "Y_Intercept": 0.0}),
        (
            "Table",
            {
                "Pre_Scaled_Values": [-9000, -5, 0, 700, 9e3],
                "Scaled_Values": [1, 3, 2, 8, -4],
                "Input_Source": U32(0),
            },
        ),
    ],
    "falling table": [
        ("Table", {"Pre_Scaled_Values": [9000, 5, -20], "Scaled_Values": [1, 3, 2], "Input_Source": RAW})
    ],
    "api": [
        ("Linear", {"Slope": 2.0, "Y_Intercept": 1.0, "Input_Source": RAW}),
        ("AdvancedAPI", {"Input_Source": U32(0)}),
        ("Linear", {"Slope": 0.5, "Y_Intercept": 1.0, "Input_Source": U32(1)}),
    ],
    "skipped": [
        ("Linear", {"Slope": 1e-3, "Y_Intercept": 0.0, "Input_Source": RAW}),
        ("Linear", {"Slope": float("nan"), "Y_Intercept": 0.0, "Input_Source": RAW}),
        ("Polynomial", {"Coefficients": [1, 2, 3], "Input_Source": U32(0)}),
    ],
}
for _operation in ("Add", "Subtract"):
    SCALED[_operation] = [
        ("Linear", {"Slope": 1e-3, "Y_Intercept": 0.1, "Input_Source": RAW}),
        ("Polynomial", {"Coefficients": [1, 2e-3], "Input_Source": RAW}),
        (_operation, {"Left_Operand_Input_Source": U32(0), "Right_Operand_Input_Source": U32(1)}),
    ]
for _kind in (10047, 10055, 10072, 10073, 10077, 10082, 10085, 10086):
    SCALED[f"to celsius {_kind}"] = [
        ("Linear", {"Slope": 2.5, "Y_Intercept": 100.0, "Input_Source": RAW}),
        (
            "Thermocouple",
            {"Thermocouple_Type": U32(_kind), "Scaling_Direction": U32(0), "Input_Source": U32(0)},
        ),
    ]
    SCALED[f"to volts {_kind}"] = [
        ("Linear", {"Slope": 0.05, "Y_Intercept": 20.0, "Input_Source": RAW}),
        (
            "Thermocouple",
            {"Thermocouple_Type": U32(_kind), "Scaling_Direction": U32(1), "Input_Source": U32(0)},
        ),
    ]
# Cold-junction compensation as DAQmx writes it: the voltage and that of the junction's temperature, added.
SCALED["cold junction"] = [
    ("Linear", {"Slope": 1e-2, "Y_Intercept": 25.0, "Input_Source": RAW}),
    ("Thermocouple", {"Thermocouple_Type": U32(10073), "Scaling_Direction": U32(1), "Input_Source": U32(0)}),
    ("Linear", {"Slope": 1.2, "Y_Intercept": 0.0, "Input_Source": RAW}),
    ("Add", {"Left_Operand_Input_Source": U32(1), "Right_Operand_Input_Source": U32(2)}),
    ("Thermocouple", {"Thermocouple_Type": U32(10073), "Scaling_Direction": U32(0), "Input_Source": U32(3)}),
]
for _wires in (2, 3, 4):
    SCALED[f"rtd {_wires}"] = [
        ("Linear", {"Slope": 2e-6, "Y_Intercept": 0.101, "Input_Source": RAW}),
        (
            "RTD",
            {
                "Current_Excitation": 1e-3,
                "R0_Nominal_Resistance": 100.0,
                "A": 3.9083e-3,
                "B": -5.775e-7,
                "C": -4.183e-12,
                "Lead_Wire_Resistance": 0.5,
                "Resistance_Configuration": U32(_wires),
                "Input_Source": U32(0),
            },
        ),
    ]
    for _excitation in (10134, 10322):
        SCALED[f"thermistor {_wires} {_excitation}"] = [
            ("Linear", {"Slope": 1e-5, "Y_Intercept": 1.0, "Input_Source": RAW}),
            (
                "Thermistor",
                {
                    "Excitation_Type": U32(_excitation),
                    "Excitation_Value": 1e-4 if _excitation == 10134 else 2.5,
                    "Resistance_Configuration": U32(_wires),
                    "R1_Reference_Resistance": 5000.0,
                    "Lead_Wire_Resistance": 2.0,
                    "A": 1.295361e-3,
                    "B": 2.343159e-4,
                    "C": 1.018703e-7,
                    "Temperature_Offset": 273.15,
                    "Input_Source": U32(0),
                },
            ),
        ]
for _bridge in (10183, 10184, 10185, 10188, 10189, 10271, 10272):
    for _initial in (0.0, 1e-3):
        SCALED[f"strain {_bridge} {_initial}"] = [
            ("Linear", {"Slope": 1e-6, "Y_Intercept": 0.0, "Input_Source": RAW}),
            (
                "Strain",
                {
                    "Configuration": U32(_bridge),
                    "Poisson_Ratio": 0.3,
                    "Gage_Resistance": 350.0,
                    "Lead_Wire_Resistance": 1.5,
                    "Initial_Bridge_Voltage": _initial,
                    "Gage_Factor": 2.1,
                    "Bridge_Shunt_Calibration_Gain_Adjustment": 1.02,
                    "Voltage_Excitation": 3.3,
                    "Input_Source": U32(0),
                },
            ),
        ]
#: Exponentials, logarithms and roots of an equation differ in the last digits from library to library.
ROUGH = ("rtd", "thermistor", "cold", "to volts 10073")


@pytest.mark.parametrize("name", SCALED)
def test_every_scale(tmp_path, name):
    chain = SCALED[name]
    codes = np.arange(-9000, 9000, 7, dtype="int16")
    file = tmp_path / "s.tdms"
    for place, count in (("channel", True), ("group", True), ("file", True), ("channel", False)):
        properties = scales(*chain, count=count)
        objects = [
            Object("/", properties=properties if place == "file" else {}),
            Object(path("g"), properties=properties if place == "group" else {}),
            Object(path("g", "c"), "new", codes, properties if place == "channel" else {}),
        ]
        file.write_bytes(segment(objects, contiguous([[codes]])))
        compare(file, rtol=1e-9 if name.startswith(ROUGH) else 0)
    values = daqring.open(file)["c"][:]
    assert np.isfinite(values).all()
    assert name == "no coefficients" or len(np.unique(values)) > 3


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "float32", "float64"])
def test_chains_over_every_type(tmp_path, dtype):
    codes = random_values(np.random.default_rng(2), dtype, 5000)
    file = tmp_path / "s.tdms"
    for name in ("linear", "polynomial", "api", "Add"):
        file.write_bytes(
            segment([Object(path("g", "c"), "new", codes, scales(*SCALED[name]))], contiguous([[codes]]))
        )
        compare(file, rtol=1e-6 if dtype == "float32" else 0)


def test_values_that_were_scaled_already(tmp_path):
    codes = np.arange(5, dtype="float64")
    properties = scales(*SCALED["linear"]) | {"NI_Scaling_Status": "scaled"}
    file = tmp_path / "s.tdms"
    file.write_bytes(segment([Object(path("g", "c"), "new", codes, properties)], contiguous([[codes]])))
    compare(file)
    assert list(daqring.open(file)["c"][:]) == [0, 1, 2, 3, 4]


def test_what_is_not_read_is_named(tmp_path):
    codes = np.arange(5, dtype="int16")
    file = tmp_path / "s.tdms"
    for chain, words in (
        ([("Quadratic", {})], "scale Quadratic"),
        ([("Linear", {"Slope": 1.0})], r"NI_Scale\[0\]_Linear_Y_Intercept"),
        ([("Linear", {"Slope": 1.0, "Y_Intercept": 0.0, "Input_Source": U32(0)})], "circle"),
        ([("Thermocouple", {"Thermocouple_Type": U32(9)})], "thermocouple 9"),
    ):
        file.write_bytes(
            segment([Object(path("g", "c"), "new", codes, scales(*chain))], contiguous([[codes]]))
        )
        channel = daqring.open(file)["c"]
        assert list(channel.raw[:]) == list(codes)
        with pytest.raises(daqring.LogFormatError, match=words):
            channel[:]


def daqmx_rows(random: np.random.Generator, count: int, width: int) -> np.ndarray:
    return random.integers(0, 256, (count, width), np.uint8)


@pytest.mark.parametrize("big", [False, True])
def test_daqmx_raw_data_of_one_device(tmp_path, big):
    """Codes in rows, a scaler each, scaled by properties."""
    random = np.random.default_rng(3)
    rows = daqmx_rows(random, 60, 14)
    objects = []
    for number, (dtype, offset) in enumerate(
        (("int16", 0), ("uint8", 2), ("int32", 3), ("int16", 7), ("int32", 10))
    ):
        chain = scales(("", {}), ("Linear", {"Slope": 0.5, "Y_Intercept": 1.0, "Input_Source": U32(0)}))
        index = daqmx_index([Scaler(dtype, 0, offset)], 20, [14], big=big)
        objects.append(Object(path("g", f"c{number}"), index, properties=chain))
    file = tmp_path / "d.tdms"
    data = segment(objects, rows.tobytes(), toc=NEW_LIST | DAQMX, big=big)
    data += segment(None, rows[:40].tobytes(), toc=DAQMX, big=big)
    file.write_bytes(data)
    assert compare_daqmx(file) == 5 * 100
    want = rows[:, 0:2].copy().view(">i2" if big else "<i2").ravel()
    np.testing.assert_array_equal(daqring.open(file)["c0"][:60], want * 0.5 + 1)
    np.testing.assert_array_equal(daqring.open(file).groups["g"].read(0, 60)[0], want * 0.5 + 1)


def compare_daqmx(file: Path) -> int:
    log = daqring.open(file)
    total = 0
    with nptdms.TdmsFile.open(file) as other:
        for channel in other.groups()[0].channels():
            ours = log.groups["g"][channel.name]
            same(ours[:], channel[:], channel.name)
            same(ours[3:11], channel[3:11], channel.name)
            total += len(ours)
    return total


def test_daqmx_raw_data_of_two_devices_and_scalers(tmp_path):
    """A buffer for each device; a channel whose value is made of two numbers."""
    random = np.random.default_rng(4)
    first, second = daqmx_rows(random, 30, 8), daqmx_rows(random, 15, 6)
    widths = [8, 6]
    chain = scales(
        ("", {}),
        ("", {}),
        ("Linear", {"Slope": 1e-3, "Y_Intercept": 0.0, "Input_Source": U32(0)}),
        ("Polynomial", {"Coefficients": [0, 1, 1e-6], "Input_Source": U32(1)}),
        ("Add", {"Left_Operand_Input_Source": U32(2), "Right_Operand_Input_Source": U32(3)}),
    )
    objects = [
        Object(
            path("g", "two"),
            daqmx_index([Scaler("int16", 0, 0, 0), Scaler("int16", 0, 2, 1)], 30, widths),
            properties=chain,
        ),
        Object(
            path("g", "other device"),
            daqmx_index([Scaler("uint32", 1, 1)], 15, widths),
            properties=scales(
                ("", {}), ("Linear", {"Slope": 2.0, "Y_Intercept": 0.0, "Input_Source": U32(0)})
            ),
        ),
        Object(path("g", "typed"), daqmx_index([Scaler("int16", 0, 5)], 30, widths, data_type=2)),
    ]
    raw = first.tobytes() + second.tobytes()
    file = tmp_path / "d.tdms"
    file.write_bytes(segment(objects, raw * 2, toc=NEW_LIST | DAQMX))
    assert compare_daqmx(file) == 60 + 30 + 60
    with pytest.raises(daqring.LogFormatError, match="2 NI-DAQmx scalers"):
        daqring.open(file)["two"].raw[:]
    # The end is missing.
    file.write_bytes(segment(objects, raw + raw[: 8 * 12 + 3], toc=NEW_LIST | DAQMX, unfinished=True))
    assert compare_daqmx(file) == 42 + 15 + 42


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_daqmx_digital_lines(tmp_path, dtype):
    random = np.random.default_rng(5)
    size = np.dtype(dtype).itemsize
    rows = daqmx_rows(random, 50, size + 3)
    objects = [
        Object(
            path("g", f"line{bit}"),
            daqmx_index([Scaler("uint8", 0, bit)], 25, [size + 3], digital=True),
            properties=scales(("", {})),
        )
        for bit in range(8 * size)
    ]
    file = tmp_path / "l.tdms"
    file.write_bytes(segment(objects, rows.tobytes(), toc=NEW_LIST | DAQMX))
    assert compare_daqmx(file) == 50 * 8 * size
    line = daqring.open(file)["line5"]
    assert line.dtype == np.uint8
    np.testing.assert_array_equal(line[:], rows[:, 0] >> 5 & 1)


def test_impossible_daqmx_raw_data_are_refused(tmp_path):
    file = tmp_path / "d.tdms"
    name = path("g", "c")
    for index, words in (
        (daqmx_index([Scaler("int32", 0, 1)], 10, [4]), "outside of its row"),
        (daqmx_index([Scaler("int32", 3, 0)], 10, [4]), "in no buffer"),
        (daqmx_index([], 10, [4]), "no scaler"),
        (daqmx_index([Scaler("int16", 0, 0)], 1 << 62, [0xFFFFFFFF]), "impossibly large"),
        (daqmx_index([Scaler("int16", 0, 0)], 10, [4], data_type=3), "another type than its scaler"),
    ):
        file.write_bytes(segment([Object(name, index)], bytes(40), toc=NEW_LIST | DAQMX))
        with pytest.raises(daqring.LogFormatError, match=words):
            daqring.open(file)
    assert set(SCALERS) == {*TYPES} - {"bool", "complex64", "complex128"}


def test_a_stale_index_file_is_not_believed(tmp_path):
    """An index of a shorter file makes npTDMS return fewer samples; daqring reads the file itself."""
    one = np.arange(10, dtype="int16")
    part = segment([Object(path("g", "c"), "new", one)], contiguous([[one]]))
    file = tmp_path / "i.tdms"
    file.write_bytes(part * 3)
    header = part[: len(part) - 20]
    (tmp_path / "i.tdms_index").write_bytes(b"TDSh" + header[4:])
    assert len(nptdms.TdmsFile.read(file)["g"]["c"]) == 10
    assert list(daqring.open(file)["c"][:]) == [*range(10)] * 3


def test_a_file_that_shrinks_gives_an_error(tmp_path):
    one = np.arange(100_000, dtype="int64")
    file = tmp_path / "s.tdms"
    file.write_bytes(segment([Object(path("g", "c"), "new", one)], contiguous([[one]])))
    log = daqring.open(file)
    with file.open("r+b") as opened:
        opened.truncate(4096)
    with pytest.raises(daqring.LogFormatError, match="reading failed"):
        log["c"][:]
