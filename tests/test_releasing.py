"""What a release consists of agrees with itself: versions, licences, workflows."""

import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import wkfast

ROOT = Path(__file__).resolve().parents[1]


def script(name):
    """A script of packaging/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_that_says_a_version_says_the_same():
    assert script("release").versions() == dict.fromkeys(script("release").PLACES, wkfast.__version__)


def test_notes_are_one_section_of_the_changelog(tmp_path, monkeypatch):
    release = script("release")
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 0.2.0 - today\n\n- new\n\n### Fixed\n- old\n\n## 0.1.0\n- first\n"
    )
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes("0.2.0") == "- new\n\n### Fixed\n- old\n"
    assert release.notes("0.1.0") == "- first\n"
    with pytest.raises(LookupError, match=r"no section 0\.3\.0"):
        release.notes("0.3.0")


def test_a_tag_of_another_version_is_refused():
    done = subprocess.run(
        [sys.executable, ROOT / "packaging" / "release.py", "check", "99.0.0"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "99.0.0" in done.stderr


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"blosc2": "python-blosc2"}
    for line in project["dependencies"]:
        name, bound = re.match(r"([a-z0-9_-]+)(.*)", line).groups()
        assert f"    - {names.get(name, name)} {bound}".rstrip() + "\n" in recipe, line


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.stem)
def test_workflows_call_what_exists(workflow):
    text = workflow.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"(?:python3|bash|uses:) ((?:\./)?\.?(?:packaging|ci|github)/[\w./-]+)", text):
        assert (ROOT / path).is_file(), path


def test_crates_that_are_there_twice_are_named_with_the_reason():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    named = Counter(entry["crate"].split("@")[0] for entry in deny["bans"]["skip"])
    for name, versions in Counter(package["name"] for package in lock["package"]).items():
        assert versions - 1 <= named[name], f"{versions} versions of {name}"


def allowed(expression, licences):
    """Whether one may take a crate under `licences`: an SPDX expression, evaluated."""
    words = re.findall(r"[()]|[^\s()/]+(?: WITH [^\s()/]+)?|/", expression)
    python = {"AND": "and", "OR": "or", "/": "or", "(": "(", ")": ")"}
    return eval(" ".join(python.get(word) or str(word in licences) for word in words))


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("MIT OR Apache-2.0", True),
        ("GPL-3.0-only", False),
        ("MIT/GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0 WITH LLVM-exception", False),
    ],
)
def test_licence_expressions_are_understood(expression, answer):
    assert allowed(expression, {"MIT", "Apache-2.0"}) is answer


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_every_crate_may_be_taken_under_a_licence_that_is_allowed():
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    licences = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    crates = json.loads(done.stdout)["packages"]
    assert len(crates) > 50
    assert [crate["name"] for crate in crates if not allowed(crate["license"], licences)] == []


def crates_of_the_extension():
    """Others' crates that it is built of, as cargo's tree tells them: name and version."""
    command = ["cargo", "tree", "--package", "wkfast-python", "--edges", "normal", "--prefix", "none", "--locked"]
    command += ["--target", "all", "--format", "{p}"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # Ours are told with their folders.
    return {tuple(line.split()[:2]) for line in told.splitlines() if line and str(ROOT) not in line}


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_every_crate_of_the_extension_has_its_licence_in_the_wheel():
    text = (ROOT / "THIRD-PARTY-LICENSES").read_text()
    told = dict(re.findall(r"^(\S+ \d\S*?)(?:, with .*)?: .*?((?: \[\d+\])+)$", text, re.MULTILINE))
    texts = set(re.findall(r"^(\[\d+\])$", text, re.MULTILINE))
    supported = {record["name"] for record in script("licences").crates()}
    crates = {(name, version) for name, version in crates_of_the_extension() if name in supported}
    assert len(crates) > 100
    assert [crate for crate in sorted(crates) if f"{crate[0]} {crate[1].removeprefix('v')}" not in told] == []
    assert {number for numbers in told.values() for number in numbers.split()} <= texts


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_third_party_licences_are_what_the_sources_say_now():
    licences = script("licences")
    assert licences.FILE.read_text() == licences.whole(), "make licences"


def test_c_libraries_inside_crates_have_their_licences_in_the_wheel():
    text = " ".join((ROOT / "THIRD-PARTY-LICENSES").read_text().split())
    for said in (
        "For Blosc - A blocking, shuffling and lossless compression library",
        "Bitshuffle - Filter for improving compression of typed binary data",
        "FastLZ - Byte-aligned LZ77 compression library",
        "For Zstandard software",
        "LZ4 Library",
        "Copyright 2011, Google Inc.",
        "Jean-loup Gailly and Mark Adler",
        "LLVM Exceptions to the Apache 2.0 License",
        "Apache Arrow Object Store",
    ):
        assert said in text, said


def test_licences_that_differ_in_whom_they_name_are_told_once():
    licences = script("licences")
    texts = licences.Texts()
    permission = "Permission is hereby granted,\nfree of charge.\n"
    for name, spaced in (("Ann", permission), ("Bob", permission.replace("\n", " "))):
        owners, terms = licences.split(f"The MIT License (MIT)\n\nCopyright (c) 2020 {name}\n\n{spaced}")
        assert owners == [f"Copyright (c) 2020 {name}"]
        assert texts.number(terms) == 1
    assert texts.texts == ["Permission is hereby granted,\nfree of charge."]


def test_a_crate_without_a_licence_among_its_files_is_refused(tmp_path):
    crate = {"name": "bare", "version": "1.0.0", "manifest_path": str(tmp_path / "Cargo.toml")}
    with pytest.raises(LookupError, match=r"bare 1\.0\.0 has no licence"):
        script("licences").files_of(crate)


def made_wheel(folder, name, *members):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in members:
            archive.writestr(member, b"")
    return folder / name


def test_a_wheel_that_lacks_or_holds_too_much_is_refused(tmp_path):
    wheels = script("wheels")
    licences = [f"wkfast-1.dist-info/licenses/LICENSE-{name}" for name in ("MIT", "APACHE")]
    licences.append("wkfast-1.dist-info/licenses/THIRD-PARTY-LICENSES")
    whole = ["wkfast/_core.abi3.so", "wkfast/_core.pyi", "wkfast/py.typed", *licences]
    good = made_wheel(tmp_path, "wkfast-1-cp311-abi3-macosx_11_0_arm64.whl", *whole)
    assert wheels.faults_of_wheel(good) == []
    bad = made_wheel(tmp_path, "wkfast-1-cp311-cp311-macosx_11_0_arm64.whl", *whole[1:], "tests/x.py", "wkfast/x.pyc")
    assert wheels.faults_of_wheel(bad) == [
        "not one wheel for every CPython from 3.11 on",
        "no wkfast/_core.abi3.so",
        "holds tests/x.py",
        "holds wkfast/x.pyc",
    ]


def test_a_wheel_is_at_most_six_megabytes(tmp_path, monkeypatch):
    wheels = script("wheels")
    monkeypatch.setattr(wheels, "LARGEST", 100)
    wheel = made_wheel(tmp_path, "wkfast-1-cp311-abi3-macosx_11_0_arm64.whl", *wheels._NEEDED)
    assert wheels.faults_of_wheel(wheel)[0].startswith("larger than")


def test_packing_a_wheel_densely_changes_nothing_but_its_size(tmp_path):
    pytest.importorskip("deflate")
    file = tmp_path / "a.whl"
    contents = {"a.py": b"print(1)\n" * 10_000, "empty": b"", "b.so": random.Random(7).randbytes(300_000) * 2}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            member.external_attr = 0o755 << 16
            archive.writestr(member, content)
    before = file.stat().st_size
    script("densely").pack_densely(file)
    assert file.stat().st_size < before
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
        assert {(m.date_time, m.external_attr >> 16) for m in archive.infolist()} == {((2026, 1, 2, 3, 4, 6), 0o755)}
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_wheel_requires_is_read_from_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        head = "Name: a\nRequires-Dist: numpy>=1.26\nRequires-Dist: dask>=2 ; extra == 'dask'\n\nRequires-Dist: prose\n"
        archive.writestr("a-1.dist-info/METADATA", head)
    assert script("try_wheel").requirements(tmp_path / "a.whl") == ["numpy>=1.26"]


def test_the_first_run_of_a_wheel_works_with_this_checkout(tmp_path, monkeypatch):
    first_run = script("first_run")

    def command(*arguments):
        done = subprocess.run([sys.executable, "-m", "wkfast", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    monkeypatch.setattr(first_run, "command", command)
    first_run.main(tmp_path)
