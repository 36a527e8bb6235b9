"""Names and references that can be published."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest

from polynya.names import scene_id
from polynya.storage.uris import file_name, href, public_uri

OUT = Path("/data/out")


@pytest.mark.parametrize(
    "name",
    [
        "a#b.tif",
        "q?x.tif",
        "a%20b.tif",
        "a b.tif",
        "x:y.tif",
        "ø.tif",
        "[1].tif",
        "s\udcf8is.tif",
        "a\nb.tif",
        "a;b&c=d+e.tif",
    ],
)
def test_a_reference_leads_back_to_the_file(name):
    reference = href(f"/data/in/{name}", OUT)
    assert reference.isascii()
    target = urlsplit(urljoin(OUT.as_uri() + "/", reference))
    assert unquote_to_bytes(target.path) == os.fsencode(f"/data/in/{name}")
    assert not target.query
    assert not target.fragment


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("gs://bucket/x.tif", "gs://bucket/x.tif"),
        ("s3://bucket/k#1%20.tif", "s3://bucket/k%231%2520.tif"),
        ("s3://key:secret@bucket/x.tif", "s3://bucket/x.tif"),
        ("https://h.org/a b%20c%zz/x.tif#part", "https://h.org/a%20b%20c%25zz/x.tif"),
        ("https://me:secret@h.org/x.tif", "https://h.org/x.tif"),
        ("https://h.org/get?file=x y.tif", "https://h.org/get?file=x%20y.tif"),
        ("https://h.org/x.tif?X-Amz-Signature=secret&X-Amz-Date=1", "https://h.org/x.tif"),
        (
            "https://b.blob.core.windows.net/c/x.tif?se=1&sp=r&sig=secret",
            "https://b.blob.core.windows.net/c/x.tif",
        ),
        ("https://h.org/x.tif?api_key=secret", "https://h.org/x.tif"),
        ("/vsicurl/https://me:secret@h.org/x.tif?access_token=secret", "https://h.org/x.tif"),
        ("https://me:sec[ret@h.org/x.tif", "https://h.org/x.tif"),
    ],
)
def test_references_to_servers_hold_no_secret(uri, expected):
    assert href(uri, OUT) == expected
    for text in (public_uri(uri), file_name(uri), scene_id(uri)):
        assert "secret" not in text


def test_names_of_files_are_those_on_the_server():
    assert href("file:///data/in/a b.tif", OUT) == "../in/a%20b.tif"
    assert file_name("/data/s\udcf8is.tif") == "s\udcf8is.tif"
    assert file_name("https://h.org/a%20b.tif?sig=1") == "a b.tif"
    assert file_name("/data/a%20b?.tif") == "a%20b?.tif"
    assert public_uri("/data/a?sig=1.tif") == "/data/a?sig=1.tif"
