"""The documentation site: built strict, nothing fetched from elsewhere, every public name on a page."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import wkfast

ROOT = Path(__file__).resolve().parents[1]

if importlib.util.find_spec("mkdocs") is None:
    pytest.skip("mkdocs is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a browser fetches for a page, its ids, and its pictures without a text."""

    def __init__(self, html):
        super().__init__()
        self.fetched, self.ids, self.mute = [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.ids.add(facts.get("id"))
        if tag != "a":
            self.fetched += [facts[name] for name in ("src", "href", "srcset", "data") if facts.get(name)]
        if tag == "img" and not facts.get("alt"):
            self.mute.append(facts.get("src"))


def pages(site):
    return {str(file.relative_to(site)): file.read_text(encoding="utf-8") for file in site.rglob("*.html")}


def test_pages_fetch_nothing_from_elsewhere(site):
    assert len(pages(site)) > 20
    for name, html in pages(site).items():
        assert [url for url in Page(html).fetched if re.match(r"(https?:)?//", url)] == [], name
        assert 'class="mermaid"' not in html, f"{name}: mermaid is fetched from elsewhere"
    for style in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//|@import", style.read_text(encoding="utf-8")) == [], style


def test_pictures_say_what_they_show(site):
    for name, html in pages(site).items():
        assert Page(html).mute == [], name


def test_figures_follow_the_colours_of_the_page(site):
    formats = (site / "formats.html").read_text(encoding="utf-8")
    assert formats.count('<svg xmlns="http://www.w3.org/2000/svg" class="figure"') == 5


def test_every_public_name_and_every_error_has_its_place_in_the_reference(site):
    ids = set().union(*(Page(html).ids for name, html in pages(site).items() if name.startswith("reference/")))
    wanted = {f"wkfast.{name}" for name in wkfast.__all__} | {f"wkfast.errors.{name}" for name in wkfast.errors.__all__}
    assert wanted - ids == set()


def test_every_command_is_described(site):
    html = (site / "commands.html").read_text(encoding="utf-8")
    for command in ("info", "validate", "merge-fallback", "merge-annotations", "merge-plan", "export", "download"):
        assert f'id="wkfast-{command}"' in html


def test_the_figures_are_what_their_script_draws():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "tools/site/figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    for name, draw in figures.ALL.items():
        assert (ROOT / "docs/figures" / f"{name}.svg").read_text(encoding="utf-8") == draw(), name
