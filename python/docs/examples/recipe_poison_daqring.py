"""The same with daqring: no pills, and None is a value like any other."""

import daqring

WORKERS = 3


def work(item):
    """Stands for working on an item."""
    return item + 1


def main(count=2000):
    total = 0
    for item in daqring.Pipeline(range(count)).map(work, workers=WORKERS):
        total += item
    return total


if __name__ == "__main__":
    print(main())
