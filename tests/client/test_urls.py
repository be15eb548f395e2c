"""What users paste, and what becomes of it."""

import io
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast.client import errors
from wkfast.client.files import proposed_name, safe_name
from wkfast.client.secret import Secret
from wkfast.client.transfer import upload_form
from wkfast.client.urls import AnnotationRef, DatasetRef, parse_annotation, parse_dataset, parse_short_link, shown
from wkfast.progress import throttled

ID = "570ba0092a7c0e980056fe9b"
WK = "https://wk.example.org"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, AnnotationRef(ID)),
        (f"  {ID.upper()}\n", AnnotationRef(ID)),
        (f"{WK}/annotations/{ID}", AnnotationRef(ID, WK)),
        (f"{WK}/annotations/{ID}/", AnnotationRef(ID, WK)),
        (f"{WK}/annotations/{ID}#1,2,3", AnnotationRef(ID, WK)),
        (f"{WK}/annotations/{ID}?token=x", AnnotationRef(ID, WK)),
        (f"{WK}/annotations/{ID}/view/more?x#y", AnnotationRef(ID, WK)),
        (f"{WK}/annotations/Task/{ID}", AnnotationRef(ID, WK, "Task")),
        (f"{WK}/annotations/Explorational/{ID}#x/annotations/5", AnnotationRef(ID, WK, "Explorational")),
        (f"{WK}/annotations/CompoundProject/{ID}", AnnotationRef(ID, WK, "CompoundProject")),
        (f"{WK}/annotations/x/annotations/{ID}", AnnotationRef(ID, f"{WK}/annotations/x")),
        (f"HTTP://LocalHost:9000/wk/annotations/{ID}", AnnotationRef(ID, "http://localhost:9000/wk")),
    ],
)
def test_annotations_are_found_in_every_form_of_url(text, expected):
    assert parse_annotation(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        ID[:-1],
        ID + "0",
        "g" * 24,
        f"{WK}/annotations/",
        f"{WK}/annotations/{ID}00",
        f"{WK}/annotations/Sketch/{ID}",
        f"{WK}/datasets/{ID}",
        f"{WK}/links/abc",
        f"ftp://wk/annotations/{ID}",
        f"file:///annotations/{ID}",
    ],
)
def test_what_names_no_annotation_is_refused(text):
    with pytest.raises(errors.InvalidUrlError):
        parse_annotation(text)


@pytest.mark.parametrize("text", [f"https://user:secret@wk/annotations/{ID}", f"http://wk:port/annotations/{ID}"])
def test_a_url_with_a_user_or_without_a_port_number_is_refused_unseen(text):
    with pytest.raises(errors.ConfigurationError) as caught:
        parse_annotation(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, DatasetRef(id=ID)),
        ("l4 sample", DatasetRef(name="l4 sample")),
        (f"{WK}/datasets/{ID}", DatasetRef(id=ID, base_url=WK)),
        (f"{WK}/datasets/a-b-{ID}/view#1,2", DatasetRef(id=ID, base_url=WK)),
        (f"{WK}/datasets/{ID}?token=T#x", DatasetRef(id=ID, base_url=WK, sharing_token=Secret("T"))),
        (f"{WK}/datasets/org/my%20data/view", DatasetRef(name="my data", organization="org", base_url=WK)),
        (f"{WK}/datasets/org/x?token=T", DatasetRef(None, "x", "org", WK, Secret("T"))),
    ],
)
def test_datasets_are_found_in_every_form_of_url(text, expected):
    assert parse_dataset(text) == expected


@pytest.mark.parametrize("text", ["", "a/b", f"{WK}/datasets/org", f"{WK}/datasets/org/view", f"{WK}/annotations/{ID}"])
def test_what_names_no_dataset_is_refused(text):
    with pytest.raises(errors.InvalidUrlError):
        parse_dataset(text)


@pytest.mark.parametrize("text", [f"{WK}/links/a-B_9", f"{WK}/links/a-B_9/?x#y"])
def test_short_links_are_known_by_their_path(text):
    link = parse_short_link(text)
    assert (link.base_url, link.key) == (WK, "a-B_9")


@pytest.mark.parametrize("text", [ID, f"{WK}/links/", f"{WK}/links/a/b", f"{WK}/x/links/a", f"{WK}/links/a%2Fb"])
def test_other_urls_are_no_short_links(text):
    assert parse_short_link(text) is None


@given(st.text())
@pytest.mark.parametrize("parse", [parse_annotation, parse_dataset, parse_short_link])
@pytest.mark.parametrize("prefix", ["", "https://", "http://h/annotations/", "http://h/datasets/", "http://[::1]"])
def test_any_text_is_parsed_or_refused_clearly(parse, prefix, text):
    with suppress(errors.InvalidUrlError, errors.ConfigurationError):
        parse(prefix + text)


@given(st.text(), st.sampled_from([".zip", ".nml"]))
def test_any_proposed_name_becomes_one_visible_entry_of_a_folder(name, suffix):
    safe = safe_name(name, "annotation", suffix)
    assert safe.endswith(suffix)
    assert not set(safe) & set('/\\\0<>:"|?*')
    assert safe.isprintable()
    assert not safe.startswith(".")
    assert len(safe.encode()) <= 184


@given(st.text())
def test_any_content_disposition_is_read_without_trouble(header):
    for text in (header, f"attachment; filename={header}", f'attachment; filename="{header}', f"a; filename*={header}"):
        assert isinstance(proposed_name(text), str | None)


@given(st.text())
def test_a_name_in_a_form_ends_neither_its_quotes_nor_its_line(name):
    with upload_form(io.BytesIO(b"x"), f"{name}.zip", {}, throttled(None)) as form:
        head = httpx.Request("POST", "http://h", **form).read().partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines[1:]] == [b"Content-Disposition", b"Content-Type"]
    assert not set(lines[1].decode()) & set("\r\n\0")
    assert lines[1].count(b'"') == 4


@given(st.text(), st.text())
def test_secrets_behind_the_path_are_not_shown(path, secret):
    assert shown(f"https://h/x?token={secret}").startswith("https://h/x")
    assert "?" not in shown(f"https://h/{path}?token={secret}")
