"""Data zips of volume annotations: read in place, unpacked, edited and packed again."""
