"""aiopg 1.4.0 with its defects mended: a connection and a pool to use in place of its own.

aiopg has had no release since 2022, so nobody else will mend it. Each override says what goes
wrong without it; ``tests/api/stores/test_postgres_mended*.py`` show each both ways, against real
servers.
"""

from __future__ import annotations

from typing import Final

import aiopg

from gtsd.stores.aiopg_mended.connection import Connection
from gtsd.stores.aiopg_mended.pool import Pool

__all__ = ["Connection", "Pool"]

_MENDED: Final = "1.4.0"

if aiopg.__version__ != _MENDED:
    raise ImportError(
        f"aiopg {aiopg.__version__} is installed, but the overrides here were made for the "
        f"internals of {_MENDED}: compare the two, then change the version here."
    )
