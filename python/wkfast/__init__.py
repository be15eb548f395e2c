"""wkfast: WEBKNOSSOS annotations for large data."""
