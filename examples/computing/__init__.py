"""What labs compute on annotations, each in a page: ``python -m examples.computing.segment_sizes FOLDER``.

Each makes its input in FOLDER unless it is there, prints its figures, and writes a picture (``wkfast[plot]``).
"""
