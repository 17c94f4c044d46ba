"""Runs and sweeps beside each other: rows, ranks, differences, and their tables and page."""
