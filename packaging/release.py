"""What a release asks of the repository: one version everywhere, and a section of the changelog.

``python packaging/release.py check 0.2.0`` ends with 1 and says where another version stands;
``python packaging/release.py notes 0.2.0`` prints that section.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Where the version stands, beside the changelog: file -> what surrounds it.
PLACES = {
    "Cargo.toml": r'^version = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "packaging/conda/recipe.yaml": r'^  version: "(.+)"$',
}


def versions() -> dict[str, str]:
    """Return the version that each file says, by the file's name.

    Raises
    ------
    ValueError
        A file does not say exactly one.
    """
    found = {}
    for name, pattern in PLACES.items():
        matches = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        if len(matches) != 1:
            raise ValueError(f"{name} says {len(matches)} versions")
        found[name] = matches[0]
    return found


def notes(version: str) -> str:
    """Return the changelog's section of a version, without its heading.

    Raises
    ------
    LookupError
        There is none.
    """
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading.split()[0] == version:
            return body.strip() + "\n"
    raise LookupError(f"CHANGELOG.md has no section {version}")


def main(arguments: list[str]) -> int:
    """Do what the module says; return the exit code."""
    task, version = arguments
    try:
        text = notes(version)
        wrong = {name: said for name, said in versions().items() if said != version}
    except (LookupError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, said in wrong.items():
        sys.stderr.write(f"{name} says {said}, not {version}\n")
    if task == "notes":
        sys.stdout.write(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
