"""Optional packages: imported when they are needed, and named when they are absent."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["need"]


def need(module: str, extra: str, what: str) -> Any:
    """The module, or an error that says what to install.

    Raises:
        ModuleNotFoundError: `module` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {error.name}, which is not installed: pip install 'daqring[{extra}]'",
            name=error.name,
        ) from None
