"""``python -m wkfast``: the command line."""

from wkfast.cli import main

if __name__ == "__main__":
    main()
