"""``python -m daqring.cli`` is the command ``daqring``."""

import sys

from daqring.cli import main

if __name__ == "__main__":
    sys.exit(main())
