"""A user's compiled functions as stages: every way to give one, what is checked, how they fail."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest
from daqring import RecordingError, _native
from daqring.errors import TaskError
from daqring.stages import BLOCK, Native, block_function
from stage_run import START_NS, run_stages

SOURCE = r"""
#include <stdint.h>

typedef struct {
    uint32_t size, version;
    uint64_t channels, samples, stride, first_sample;
    double rate;
    int64_t host_time_ns;
    uint64_t lost_before, seq;
    uint32_t data_type, outputs;
} daqring_block;

/* Greatest sample of every channel. */
int32_t peaks(const daqring_block *block, const void *data, double *output, void *user_data)
{
    (void)user_data;
    if (block->version != 1 || block->size < sizeof *block || block->data_type != 2)
        return 100;
    if (block->outputs < block->channels)
        return 101;
    for (uint64_t channel = 0; channel < block->channels; channel++) {
        const int16_t *samples = (const int16_t *)((const char *)data + channel * block->stride);
        int16_t peak = samples[0];
        for (uint64_t i = 1; i < block->samples; i++)
            if (samples[i] > peak)
                peak = samples[i];
        output[channel] = peak;
    }
    return 0;
}

/* Samples so far, and the block's own account of itself: needs the blocks in order. */
int32_t account(const daqring_block *block, const void *data, double *output, void *user_data)
{
    uint64_t *total = user_data;
    (void)data;
    if (block->first_sample != *total)
        return 102;
    *total += block->samples;
    output[0] = (double)*total;
    output[1] = (double)block->seq;
    output[2] = block->rate;
    return 0;
}

int32_t fails(const daqring_block *block, const void *data, double *output, void *user_data)
{
    (void)data, (void)output, (void)user_data;
    return block->seq == 5 ? 7 : 0;
}

int32_t too_far(const daqring_block *block, const void *data, double *output, void *user_data)
{
    (void)data, (void)user_data;
    output[block->outputs] = 1.0;
    return 0;
}

int32_t writes(const daqring_block *block, const void *data, double *output, void *user_data)
{
    (void)block, (void)output, (void)user_data;
    ((char *)data)[0] ^= 1;
    return 0;
}
"""
NAMES = ("ch0", "ch1")
BLOCKS = (100, 7, 333)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("stage")
    source, target = folder / "stage.c", folder / "stage.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", target], check=True)
    return ctypes.CDLL(str(target))


@pytest.fixture
def data():
    return np.random.default_rng(6).integers(-30_000, 30_000, (2, 5000)).astype(np.int16)


def expected_peaks(data):
    edges, number = [0], 0
    while edges[-1] < data.shape[1]:
        edges.append(min(edges[-1] + BLOCKS[number % len(BLOCKS)], data.shape[1]))
        number += 1
    return edges, np.maximum.reduceat(data, edges[:-1], axis=1)


def assert_peaks(log, data):
    edges, peaks = expected_peaks(data)
    for number, name in enumerate(NAMES):
        np.testing.assert_array_equal(log[f"native/{name}"][:], peaks[number])
    times = log["native/time"][:].astype("datetime64[ns]").astype(np.int64)
    np.testing.assert_allclose(times, START_NS + np.array(edges[:-1]) * 1_000_000, atol=1)


def test_the_structure_is_that_of_c():
    assert BLOCK.itemsize == _native.STAGE_BLOCK_BYTES


def typed(function):
    function.argtypes = [ctypes.c_void_p] * 4
    function.restype = ctypes.c_int32
    return function


def test_a_function_of_ctypes(library, data, tmp_path):
    log, counts = run_stages(tmp_path / "a.tdms", data, [Native(typed(library.peaks), NAMES)], blocks=BLOCKS)
    assert_peaks(log, data)
    assert [stage["name"] for stage in counts["stages"]] == ["crc32c", "native"]
    assert counts["stages"][1]["blocks"] == counts["streams"][0]["committed"]


def test_an_address_and_units(library, data, tmp_path):
    address = ctypes.cast(library.peaks, ctypes.c_void_p).value
    stage = Native(address, {"ch0": "V", "ch1": "A"}, check=True)
    log, _ = run_stages(tmp_path / "a.tdms", data, [stage], blocks=BLOCKS)
    assert_peaks(log, data)
    assert [log[f"native/{name}"].unit for name in NAMES] == ["V", "A"]


def capsule(address, name):
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return make(address, name, None)


def test_a_capsule(library, data, tmp_path):
    address = ctypes.cast(library.peaks, ctypes.c_void_p).value
    name = b"daqring.stage"  # the capsule points at it
    log, _ = run_stages(tmp_path / "a.tdms", data, [Native(capsule(address, name), NAMES)], blocks=BLOCKS)
    assert_peaks(log, data)
    with pytest.raises(TaskError, match=r"the capsule's name is not 'daqring\.stage'"):
        Native(capsule(address, b"other"))


def test_a_pointer_of_cffi(library, data, tmp_path):
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    address = ctypes.cast(library.peaks, ctypes.c_void_p).value
    pointer = ffi.cast("int32_t (*)(const void *, const void *, double *, void *)", address)
    log, _ = run_stages(tmp_path / "a.tdms", data, [Native(pointer, NAMES)], blocks=BLOCKS)
    assert_peaks(log, data)
    for wrong, words in (
        ("int32_t (*)(void *)", "takes 1 arguments"),
        ("int32_t (*)(void *, double, void *, void *)", "takes a float64; a block function takes 4 pointers"),
        ("float (*)(void *, void *, void *, void *)", "32-bit integer, not float32"),
        ("void (*)(void *, void *, void *, void *)", "32-bit integer, not nothing"),
    ):
        with pytest.raises(TaskError, match=words):
            Native(ffi.cast(wrong, address))
    with pytest.raises(TaskError, match="not a function pointer"):
        Native(ffi.cast("void *", address))


def test_numba(data, tmp_path):
    numba = pytest.importorskip("numba")
    from numba import carray, types

    signature = types.int32(
        types.CPointer(numba.from_dtype(BLOCK)), types.CPointer(types.int16), types.CPointer(types.float64),
        types.voidptr,
    )  # fmt: skip

    @numba.cfunc(signature)
    def peaks(block, data, output, user_data):
        about = carray(block, 1)[0]
        samples = carray(data, (about.channels, about.samples))
        out = carray(output, about.outputs)
        for channel in range(about.channels):
            out[channel] = samples[channel].max()
        return 0

    log, _ = run_stages(tmp_path / "a.tdms", data, [Native(peaks, NAMES)], blocks=BLOCKS)
    assert_peaks(log, data)

    pointers = [types.voidptr] * 3
    for wrong, words in (
        (types.int32(types.voidptr), "takes 1 arguments"),
        (types.int32(types.float64, *pointers), "takes a float64; a block function takes 4 pointers"),
        (types.int32(types.int16, *pointers), "takes a int16; a block function takes 4 pointers"),
        (types.int64(types.voidptr, *pointers), "32-bit integer, not int64"),
        (types.float32(types.voidptr, *pointers), "32-bit integer, not float32"),
    ):
        other = (lambda a: 0) if len(wrong.args) == 1 else (lambda a, b, c, d: 0)
        with pytest.raises(TaskError, match=words):
            Native(numba.cfunc(wrong)(other))


def test_in_order_with_state_of_its_own(library, data, tmp_path):
    total = ctypes.c_uint64(0)
    stage = Native(
        typed(library.account), ("total", "seq", "rate"), user_data=ctypes.addressof(total), ordered=True
    )
    log, counts = run_stages(tmp_path / "a.tdms", data, [stage], blocks=BLOCKS, workers=4)
    assert total.value == 5000
    np.testing.assert_array_equal(log["native/seq"][:], np.arange(counts["streams"][0]["committed"]))
    np.testing.assert_array_equal(log["native/total"][:], expected_peaks(data)[0][1:])
    assert set(log["native/rate"][:]) == {1000.0}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fails", "stage 'native' failed on block 5: the function returned 7"),
        ("too_far", "wrote behind its output"),
        ("writes", "changed the samples"),
    ],
)
def test_a_function_that_misbehaves_ends_the_recording(library, data, tmp_path, name, words):
    stage = Native(typed(getattr(library, name)), ("x",), check=True)
    with pytest.raises((RecordingError, AssertionError), match=words):
        run_stages(tmp_path / "a.tdms", data, [stage], blocks=BLOCKS, workers=1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (len, "Python code, which needs the interpreter"),
        (None, "None is no compiled function"),
        (0, "not the address of a function"),
        (True, "no compiled function"),
        (ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(lambda block: 0), "takes 1 arguments"),
        (ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)(lambda *_: 0), "32-bit integer"),
        (ctypes.CFUNCTYPE(ctypes.c_float, *[ctypes.c_void_p] * 4)(lambda *_: 0), "integer, not float32"),
        (ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(lambda *_: 0), "integer, not nothing"),
        (
            ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_double, *[ctypes.c_void_p] * 3)(lambda *_: 0),
            "takes a float64; a block function takes 4 pointers",
        ),
        (block_function(), "points nowhere"),
    ],
)
def test_what_is_no_block_function_is_said(function, words):
    with pytest.raises(TaskError, match=words):
        Native(function)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outputs": 5}, "outputs must be a list of names"),
        ({"outputs": [1]}, "outputs must be a list of names"),
        ({"outputs": {"peak": 1}}, "outputs must be a list of names"),
        ({"outputs": "peak"}, "outputs must be a list of names"),
        ({"outputs": ["peak", "peak"]}, "'peak' is there twice"),
        ({"outputs": ["time"]}, "must not be named '' or 'time'"),
        ({"outputs": [""]}, "must not be named '' or 'time'"),
        ({"user_data": 1 << 64}, "user_data must be an address"),
        ({"user_data": -1}, "user_data must be an address"),
        ({"user_data": ctypes.c_uint64(5)}, "user_data must be an address"),
        ({"ordered": 1}, "ordered must be True or False"),
        ({"check": "no"}, "check must be True or False"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(options, words):
    with pytest.raises(TaskError, match=words):
        Native(1, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="threads of the pool attach to the interpreter here")
def test_a_python_callback_of_ctypes_works_though_it_needs_the_interpreter(data, tmp_path):
    seen = []

    @block_function
    def look(block, samples, output, user_data):
        about = np.frombuffer(ctypes.string_at(block, BLOCK.itemsize), BLOCK)[0]
        seen.append((int(about["first_sample"]), int(about["samples"])))
        return 0

    run_stages(tmp_path / "a.tdms", data, [Native(look, ordered=True)], blocks=BLOCKS)
    assert sum(samples for _, samples in seen) == 5000
    assert [first for first, _ in seen] == expected_peaks(data)[0][:-1]
