"""Whole-job comparisons with the reference package and with physical limits: ``python -m benches.python``."""
