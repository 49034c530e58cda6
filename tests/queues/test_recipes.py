"""The recipes in the documentation run as written, and ours give the same."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import daqring
import daqring.sim
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "python" / "docs" / "examples"
RECIPES = ["recipe_queue", "recipe_threadpool", "recipe_poison"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", RECIPES)
def test_ours_gives_the_same(name):
    assert load(name).main(500) == load(f"{name}_daqring").main(500)


@pytest.mark.parametrize(
    "name", [f"{name}{ours}" for name in [*RECIPES, "recipe_ni"] for ours in ("", "_daqring")]
)
def test_runs_as_a_program(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_queue_recipes_write_the_same_bytes(tmp_path):
    for name in ("recipe_queue", "recipe_queue_daqring"):
        load(name).main(100, tmp_path / name)
    assert (tmp_path / "recipe_queue").read_bytes() == (tmp_path / "recipe_queue_daqring").read_bytes()


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        # What takes less than the queue holds would end by itself.
        ("recipe.open = lambda path, mode: Full(path, mode)", "the disk is full"),
        ("recipe.read = lambda number: 1 / 0", "division by zero"),
    ],
)
def test_a_queue_recipe_whose_one_side_fails_ends(tmp_path, breaks, told):
    program = (
        "import io, recipe_queue_daqring as recipe\n"
        "class Full(io.FileIO):\n"
        "    def write(self, data): raise OSError('the disk is full')\n"
        f"{breaks}\n"
        "print(recipe.main(1000, 'log'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert told in done.stderr
    assert "ShutDown" not in done.stderr


def test_the_recordings_have_the_same_samples(tmp_path):
    with daqring.sim.installed(clock="unthrottled"):
        text = np.loadtxt(load("recipe_ni").main(tmp_path / "log.txt", 0.05))
        report = load("recipe_ni_daqring").main(tmp_path / "log.tdms", len(text) / 10_000)
    assert report.samples_per_channel == len(text) > 0
    assert report.lost == 0
    log = daqring.open(tmp_path / "log.tdms")
    names = [f"Dev1/ai{number}" for number in range(4)]
    np.testing.assert_allclose(np.stack([log[name][:] for name in names], axis=1), text, atol=1e-6)
