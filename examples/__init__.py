"""What one can do with wkfast, to be run from a clone: ``python -m examples.demo``."""
