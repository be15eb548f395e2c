"""What the site makes of the repository while it is built: pages that are generated, figures that follow the theme."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import commands  # beside this file, which is no package

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_FIGURE = re.compile(r'<img alt="([^"]*)" src="[./]*figures/([a-z-]+)\.svg" ?/?>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not written by hand."""
    pages = {
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "commands.md": commands.page(),
        "decisions/index.md": decisions(Path(config.docs_dir) / "decisions"),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def decisions(folder: Path) -> str:
    """Return the list of decisions, newest first."""
    lines = ["# Decisions", "", "Why things are as they are; what was measured, and what was rejected.", ""]
    for file in sorted(folder.glob("2*.md"), reverse=True):
        title = file.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")
        lines.append(f"- {file.name[:10]}: [{title}]({file.name})")
    return "\n".join(lines) + "\n"


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Put our figures into the page itself, where its colours reach them."""

    def inlined(match: re.Match[str]) -> str:
        figure = Path(config.docs_dir, "figures", f"{match[2]}.svg").read_text(encoding="utf-8")
        return f"<figure>{figure}</figure>" if 'class="figure"' in figure else match[0]

    return _FIGURE.sub(inlined, html)


def on_startup(command: str, dirty: bool) -> None:  # noqa: ARG001
    """Help texts are wrapped by the terminal's width; the page is none."""
    os.environ["COLUMNS"] = "80"
