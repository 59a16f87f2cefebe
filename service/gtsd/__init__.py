"""GTSD: a daily accountability API."""
