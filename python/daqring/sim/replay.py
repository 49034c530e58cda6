"""``python -m daqring.sim.replay calls.jsonl``: the calls of a trace again, compared."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from daqring.sim._trace import replay

__all__ = ["main", "replay"]


def main(argv: Sequence[str] | None = None) -> int:
    """Replays a trace and prints what differs; gives 1 where anything does, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m daqring.sim.replay",
        description="Make the calls of a trace of daqring.sim.trace() again and compare.",
    )
    parser.add_argument("trace", help="the file")
    options = parser.parse_args(argv)
    try:
        different = replay(options.trace)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print("\n".join(different) or "Every call gave the same.")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
