"""Write ``migrations/schema.sql`` from the migrations, on a server that is made for it.

``python tests/api/migrate/write_schema.py`` is what `make schema` runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.migrate import runner, schema

FOLDER = Path(__file__).parents[3] / "migrations"


def main() -> None:
    """Migrate an empty database to head and dump it."""
    with tempfile.TemporaryDirectory(prefix="gtsd-schema-") as temporary:
        folder = Path(temporary)
        # As root the server runs under another account, which has to pass through.
        folder.chmod(0o711)
        with EmbeddedPostgres(folder / "postgres", options={"fsync": "off"}) as server:
            url = server.create_database("head")
            runner.up(url, FOLDER)
            (FOLDER / schema.FILE).write_text(schema.dump(url, os.environ))
    sys.stdout.write(f"wrote {FOLDER / schema.FILE}\n")


if __name__ == "__main__":
    main()
