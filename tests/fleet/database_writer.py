"""Writes numbers into the database for some seconds, and tells how many were lost.

Takes a DSN on standard input and the seconds as argument; runs in an app host's network.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg2

# Above what nginx waits for an answer.
_STATEMENT = "SET statement_timeout = '10s'"
_TABLE = "CREATE TABLE IF NOT EXISTS of_a_writer (n bigint PRIMARY KEY)"


def write(dsn: str, seconds: float) -> dict[str, float]:
    """How many were written, lost and refused, and the longest time without one."""
    acknowledged: list[int] = []
    refused, longest = 0, 0.0
    number, connection, last = 0, None, None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if connection is None:
                connection = psycopg2.connect(dsn)
                connection.autocommit = True
                connection.cursor().execute(f"{_TABLE}; {_STATEMENT}")
            number += 1
            connection.cursor().execute("INSERT INTO of_a_writer VALUES (%s)", (number,))
            acknowledged.append(number)
            now = time.monotonic()
            longest, last = max(longest, now - (last or now)), now
            time.sleep(0.02)
        except psycopg2.Error:
            refused += 1
            connection = None
            time.sleep(0.1)
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute("SELECT n FROM of_a_writer")
    kept = {row[0] for row in cursor.fetchall()}
    cursor.execute("DROP TABLE of_a_writer")
    connection.commit()
    lost = len(set(acknowledged) - kept)
    return {"written": len(acknowledged), "lost": lost, "refused": refused, "longest": longest}


if __name__ == "__main__":
    json.dump(write(sys.stdin.read(), float(sys.argv[1])), sys.stdout)
