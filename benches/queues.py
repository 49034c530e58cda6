"""Queues between Python threads, ours beside the others: ``python benches/queues.py``.

Every run checks that each item arrived once. Rivals take turns within a round, so that a busy
neighbour meets all of them; figures are medians over the rounds, with the smallest and the largest.
Use the ratios: the absolute figures belong to the machine and the moment.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import daqring
import numpy as np
from queue_rivals import RIVALS, Ends, Rival, installed

BASE = "queue.Queue(1024)"
EXAMPLES = Path(__file__).parents[1] / "python" / "docs" / "examples"


def run_threads(targets: list[Callable[[], None]]) -> float:
    """Seconds from the moment all threads are there until the last has ended."""
    gate = threading.Barrier(len(targets) + 1)

    def body(target: Callable[[], None]) -> None:
        gate.wait()
        target()

    threads = [threading.Thread(target=body, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


# Workloads: each takes a queue and a count, and gives seconds.


def one_thread(ends: Ends, count: int) -> float:
    put, get = ends.put, ends.get
    total = 0
    started = time.perf_counter()
    for number in range(count):
        put(number)
        total += get()
    seconds = time.perf_counter() - started
    assert total == count * (count - 1) // 2
    return seconds


def through(producers: int, consumers: int) -> Callable[[Ends, int], float]:
    def run(ends: Ends, count: int) -> float:
        each = count // producers
        totals = []
        still_putting = [producers]
        lock = threading.Lock()

        def produce() -> None:
            put = ends.put
            for number in range(each):
                put(number)
            with lock:
                still_putting[0] -= 1
                last = still_putting[0] == 0
            if last:
                for _ in range(consumers):
                    put(None)

        def consume() -> None:
            get, total, seen = ends.get, 0, 0
            while (item := get()) is not None:
                total += item
                seen += 1
            totals.append((total, seen))

        seconds = run_threads([produce] * producers + [consume] * consumers)
        assert sum(seen for _, seen in totals) == each * producers
        assert sum(total for total, _ in totals) == producers * each * (each - 1) // 2
        return seconds * count / max(1, each * producers)

    return run


def blocks(size: int, copy: bool) -> Callable[[Ends, int], float]:
    source = [np.full(size // 2, number, dtype=np.int16) for number in range(8)]

    def run(ends: Ends, count: int) -> float:
        totals = []

        def produce() -> None:
            for number in range(count):
                block = source[number % 8]
                ends.put(block.copy() if copy else block)

        def consume() -> None:
            totals.append(sum(int(ends.get()[-1]) for _ in range(count)))

        seconds = run_threads([produce, consume])
        assert totals == [sum(number % 8 for number in range(count))]
        return seconds

    return run


def blocks_in_place(size: int) -> Callable[[int], float]:
    """As `blocks` with one copy, the copy being that into the ring's slot."""
    source = [np.full(size // 2, number, dtype=np.int16) for number in range(8)]

    def run(count: int) -> float:
        ring = daqring.BlockRing(size // 2, np.int16, slots=16)
        totals = []

        def produce() -> None:
            for number in range(count):
                with ring.reserve() as block:
                    block[:] = source[number % 8]
            ring.close()

        def consume() -> None:
            totals.append(sum(int(block[-1]) for block in ring))

        seconds = run_threads([produce, consume])
        assert totals == [sum(number % 8 for number in range(count))]
        return seconds

    return run


def ping_pong(make: Callable[[], Ends], count: int) -> float:
    there, back = make(), make()

    def answer() -> None:
        for _ in range(count):
            back.put(there.get())

    thread = threading.Thread(target=answer)
    thread.start()
    started = time.perf_counter()
    for number in range(count):
        there.put(number)
        assert back.get() == number
    seconds = time.perf_counter() - started
    thread.join()
    there.close()
    back.close()
    return seconds


def latencies(ends: Ends, count: int, busy: bool) -> list[float]:
    """Microseconds from a put every millisecond to the end of the get."""
    late: list[float] = []
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(100))

    def consume() -> None:
        for _ in range(count):
            sent = ends.get()
            late.append((time.perf_counter() - sent) * 1e6)

    consumer = threading.Thread(target=consume)
    disturber = threading.Thread(target=spin)
    consumer.start()
    if busy:
        disturber.start()
    for _ in range(count):
        time.sleep(0.001)
        ends.put(time.perf_counter())
    consumer.join()
    stop.set()
    if busy:
        disturber.join()
    assert len(late) == count
    return late


def recipe(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORKER = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
from {module} import Queue
inbox = Queue(4)
def use():
    while True:
        inbox.put(1); inbox.get()
for _ in range(3): threading.Thread(target=use, daemon=True).start()
hung = 0
for _ in range({children}):
    pid = os.fork()
    if pid == 0:
        signal.alarm(1)
        while not inbox.empty(): inbox.get_nowait()
        inbox.put(7); inbox.get()
        os._exit(0)
    hung += os.waitpid(pid, 0)[1] != 0
print(hung)
os._exit(0)
"""


def hanging_children(module: str, children: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FORKER.format(module=module, children=children)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def native_ticks(count: int = 10_000, hertz: float = 20_000.0) -> dict[str, float]:
    """Items of a native thread to a Python consumer beside a busy one: calls needed, and loss."""
    inbox: Any = daqring.SpscQueue(count)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(100))

    disturber = threading.Thread(target=spin)
    disturber.start()
    inbox._feed_ticks(count, hertz)
    taken: list[int] = []
    calls = 0
    try:
        while True:
            taken += inbox.get_many()
            calls += 1
    except daqring.queue.ShutDown:
        pass
    finally:
        stop.set()
        disturber.join()
    return {"items": len(taken), "lost": count - len(set(taken) & set(range(count))), "calls": calls}


# Rounds and figures.


class Bench:
    def __init__(self, rivals: dict[str, Rival], rounds: int, budget: float) -> None:
        self.rivals = rivals
        self.rounds = rounds
        self.budget = budget
        self.figures: dict[str, dict[str, dict[str, float]]] = {}

    def compare(self, title: str, unit: float, least: int, runs: dict[str, Callable[[int], float]]) -> None:
        """Time `run(count)` of each, in turns; `unit` is what a second per item is shown as.

        A run takes about the budget, and `least` items: enough to drown the start of its threads.
        """
        counts = {}
        for name, run in runs.items():
            seconds = min(run(least), run(least))
            counts[name] = max(least, int(least * self.budget / max(seconds, 1e-9)) // 60 * 60)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(self.rounds):
            for name, run in runs.items():
                times[name].append(run(counts[name]) / counts[name] * unit)
        self.figures[title] = {
            name: {"median": statistics.median(seen), "min": min(seen), "max": max(seen)}
            for name, seen in times.items()
        }
        self.show(title)

    def queues(
        self,
        title: str,
        unit: float,
        least: int,
        work: Callable[[Ends, int], float],
        others: dict[str, Callable[[int], float]] | None = None,
        **only: bool,
    ) -> None:
        runs = dict(others or {})
        for name, rival in self.rivals.items():
            if (rival.single and only.get("shared")) or (rival.copies and only.get("in_place")):
                continue

            def run(count: int, rival: Rival = rival) -> float:
                ends = rival.make()
                try:
                    return work(ends, count)
                finally:
                    ends.close()

            runs[name] = run
        self.compare(title, unit, least, runs)

    def show(self, title: str) -> None:
        rows = self.figures[title]
        base = rows.get(BASE, next(iter(rows.values())))["median"]
        print(f"\n### {title}\n")
        print("| queue | median | min ... max | times faster |")
        print("|---|---:|---:|---:|")
        for name, row in sorted(rows.items(), key=lambda pair: pair[1]["median"]):
            spread = f"{row['min']:.4g} ... {row['max']:.4g}"
            print(f"| {name} | {row['median']:.4g} | {spread} | {base / row['median']:.2f} |", flush=True)

    def ratio(self, title: str, ours: str, *others: str) -> float | None:
        rows = self.figures.get(title, {})
        best = [rows[name]["median"] for name in others if name in rows]
        return min(best) / rows[ours]["median"] if best and ours in rows else None


def everything(bench: Bench, quick: bool) -> None:
    nano = 1e9
    bench.queues("put + get in one thread, ns per item", nano, 1200, one_thread)
    bench.queues("1 producer, 1 consumer, ns per item", nano, 12_000, through(1, 1))
    bench.queues("1 producer, 4 consumers, ns per item", nano, 12_000, through(1, 4), shared=True)
    bench.queues("20 producers, 5 consumers, ns per item", nano, 36_000, through(20, 5), shared=True)
    for size, label in ((64 << 10, "64 KiB"), (1 << 20, "1 MiB")):
        bench.queues(
            f"{label} blocks by reference, us per block", 1e6, 1200, blocks(size, False), in_place=True
        )
        if not quick:
            in_place = {"daqring.BlockRing(16)": blocks_in_place(size)}
            bench.queues(
                f"{label} blocks with one copy, us per block", 1e6, 1200, blocks(size, True), in_place
            )
    bench.compare(
        "ping-pong, us there and back",
        1e6,
        600,
        {
            name: (lambda count, rival=rival: ping_pong(rival.make, count))
            for name, rival in bench.rivals.items()
        },
    )
    for title, name in (
        ("recipe 2 (ThreadPool, sentinels) end to end, us per item", "recipe_threadpool"),
        ("recipe 3 (poison pills) end to end, us per item", "recipe_poison"),
    ):
        runs: dict[str, Callable[[int], float]] = {}
        for label, module in (("as written", recipe(name)), ("daqring", recipe(f"{name}_daqring"))):

            def run(count: int, module: Any = module, name: str = name) -> float:
                started = time.perf_counter()
                result = module.main(count)
                assert result == recipe_result(name, count), (name, result)
                return time.perf_counter() - started

            runs[label] = run
        bench.compare(title, 1e6, 12_000, runs)


def recipe_result(name: str, count: int) -> int:
    if name == "recipe_poison":
        return count * (count + 1) // 2
    return sum(number * number for number in range(count))


def lateness(bench: Bench, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    count, rounds = (150, 1) if quick else (300, 3)
    seen: dict[str, dict[str, list[float]]] = {"idle": {}, "beside a busy thread": {}}
    for _ in range(rounds):
        for name, rival in bench.rivals.items():
            for busy, label in enumerate(seen):
                ends = rival.make()
                seen[label].setdefault(name, []).extend(latencies(ends, count, bool(busy)))
                ends.close()
    table = {}
    for label, rows in seen.items():
        print(f"\n### lateness of a get, {label}, us (a put every ms)\n")
        print("| queue | p50 | p99 |")
        print("|---|---:|---:|")
        table[label] = {
            name: {"p50": float(np.percentile(late, 50)), "p99": float(np.percentile(late, 99))}
            for name, late in rows.items()
        }
        for name, row in sorted(table[label].items(), key=lambda pair: pair[1]["p50"]):
            print(f"| {name} | {row['p50']:.1f} | {row['p99']:.0f} |", flush=True)
    return table


def against_the_aims(bench: Bench) -> list[dict[str, Any]]:
    ours, free, simple = "daqring.Queue(1024)", "daqring.Queue()", "queue.SimpleQueue"
    others = [name for name in RIVALS if not name.startswith("daqring")]
    one = "put + get in one thread, ns per item"
    pairs = "1 producer, 1 consumer, ns per item"
    many = "20 producers, 5 consumers, ns per item"
    aims = [
        ("put + get, one thread, against queue.Queue(1024)", bench.ratio(one, ours, BASE), 15, 30),
        ("1P1C against queue.Queue(1024)", bench.ratio(pairs, ours, BASE), 6, 10),
        ("20P5C against queue.Queue(1024)", bench.ratio(many, ours, BASE), 6, 10),
        ("bounded, one thread, against SimpleQueue", bench.ratio(one, ours, simple), 0.55, 0.8),
        ("unbounded, one thread, against SimpleQueue", bench.ratio(one, free, simple), 0.9, 1.2),
        ("bounded, 1P1C, against SimpleQueue", bench.ratio(pairs, ours, simple), 0.55, 0.8),
        ("unbounded, 1P1C, against SimpleQueue", bench.ratio(pairs, free, simple), 0.9, 1.2),
        (
            "ping-pong against the best other",
            bench.ratio("ping-pong, us there and back", ours, *others),
            5,
            12,
        ),
    ]
    for number, title in ((2, "recipe 2 (ThreadPool, sentinels)"), (3, "recipe 3 (poison pills)")):
        found = bench.ratio(f"{title} end to end, us per item", "daqring", "as written")
        aims.append((f"recipe {number} end to end, against the recipe as written", found, 5, 15))
    print("\n### Against the aims\n\n| what | times faster | must | dream | |\n|---|---:|---:|---:|---|")
    rows = []
    for what, found, must, dream in aims:
        if found is None:
            continue
        verdict = "dream" if found >= dream else "met" if found >= must else "SHORT"
        print(f"| {what} | {found:.2f} | {must} | {dream} | {verdict} |")
        rows.append({"what": what, "times": found, "must": must, "dream": dream, "verdict": verdict})
    return rows


def where() -> dict[str, str]:
    def commit() -> str:
        try:
            return subprocess.run(
                ["git", "describe", "--always", "--dirty"],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{os.cpu_count()} cores, {processor}, {platform.system()} {platform.release()}",
        "load at the start": load,
        "python": platform.python_version(),
    }


def plot(bench: Bench, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(4, 3, figsize=(19, 17), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, rows) in zip(axes.flat, bench.figures.items(), strict=False):
        axis.axis("on")
        names = sorted(rows, key=lambda name: -rows[name]["median"])
        middle = [rows[name]["median"] for name in names]
        spread = [
            [rows[name]["median"] - rows[name]["min"] for name in names],
            [rows[name]["max"] - rows[name]["median"] for name in names],
        ]
        colours = ["tab:orange" if name.startswith("daqring") else "tab:grey" for name in names]
        axis.barh(names, middle, xerr=spread, color=colours)
        axis.set_xscale("log")
        axis.set_xlim(left=min(middle) / 10)
        axis.xaxis.set_minor_formatter("")
        axis.set_title(title, fontsize=10)
    figure.suptitle("Queues between Python threads: shorter is better")
    figure.savefig(path, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", metavar="FILE.png", help="draw them there (needs matplotlib)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the time, rougher figures")
    options = parser.parse_args()

    place = where()
    rivals, missing = installed()
    for key, value in place.items():
        print(f"{key}: {value}  ")
    for name in missing:
        print(f"not run: {name}  ")
    bench = Bench(rivals, 3 if options.quick else 7, 0.03 if options.quick else 0.1)
    everything(bench, options.quick)
    late = lateness(bench, options.quick)
    result: dict[str, Any] = {"where": place, "figures": bench.figures, "lateness_us": late}
    if hasattr(os, "fork"):
        # Fewer for theirs, because each child that hangs takes a second to be sure of.
        children = {"queue": 20, "daqring.queue": 20 if options.quick else 100}
        print("\n### children that hang, forked while threads use the queue\n")
        result["hanging_children"] = {}
        for module, count in children.items():
            hung = hanging_children(module, count)
            print(f"- {module}.Queue: {hung} of {count}")
            result["hanging_children"][module] = {"of": count, "hung": hung}
    if hasattr(daqring, "SpscQueue"):
        ticks = native_ticks()
        print("\n### 10,000 native items at 20 kHz to a Python consumer beside a busy Python thread\n")
        print(f"- lost {ticks['lost']}, get_many calls {ticks['calls']} (aim: none lost, at most 200)")
        result["native_ticks"] = ticks
    result["aims"] = against_the_aims(bench)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        plot(bench, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
