"""Canonical storage URLs: what is accepted, in which spelling, what is refused, and what lies inside what."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden_server.core.urls import (
    SEGMENTS_MAX,
    URL_BYTES_MAX,
    InvalidUrl,
    ancestors,
    canonical_url,
    is_inside,
    overlap,
)

ACCOUNT = "0123456789abcdef0123456789abcdef"
SPELLINGS = {
    "s3://bucket/a": ["s3://bucket/a", "s3a://bucket/a", "S3N://bucket/a/", "s3://BUCKET/a", "S3://bucket/a/"],
    "s3://bucket": ["s3://bucket", "s3://bucket/", "s3a://Bucket/"],
    "s3://my.bucket-1/a b/dt=2024-01-01/x,y;z": ["s3://my.bucket-1/a b/dt=2024-01-01/x,y;z/"],
    "gs://bucket_1/Ä/日本": ["gs://bucket_1/Ä/日本", "GS://BUCKET_1/Ä/日本/"],
    "abfss://raw@acct.dfs.core.windows.net/a": [
        "abfss://raw@acct.dfs.core.windows.net/a",
        "abfs://Raw@Acct.DFS.core.windows.net/a/",
    ],
    f"r2://bucket@{ACCOUNT}.r2.cloudflarestorage.com/a": [f"r2://bucket@{ACCOUNT.upper()}.r2.cloudflarestorage.com/a"],
    f"r2://bucket@{ACCOUNT}.eu.r2.cloudflarestorage.com": [f"r2://bucket@{ACCOUNT}.eu.r2.cloudflarestorage.com/"],
    "file:///srv/lake": ["file:///srv/lake", "file://localhost/srv/lake/", "FILE:///srv/lake"],
    "s3://bucket/A": ["s3://bucket/A"],
    "s3://bucket/...": ["s3://bucket/..."],
}  # fmt: skip

REFUSED = [
    # No URL, or none of these storages.
    "", "/", "bucket/a", "/srv/lake", "C:\\lake", "s3", "s3:", "s3:/bucket/a", "s3://", "s3:///a", "//bucket/a",
    "http://bucket/a", "https://bucket.s3.amazonaws.com/a", "hdfs://name/a", "wasbs://raw@acct.blob.core.windows.net/a",
    "dbfs:/mnt/a", "javascript://x/a", " s3://bucket/a", "s3://bucket/a ", "s3 ://bucket/a", "s3+x://bucket/a",
    # Two readers, two places.
    "s3://bucket/a/../b", "s3://bucket/..", "s3://bucket/./a", "s3://bucket/.", "s3://bucket/a/..", "s3://bucket/a//b",
    "s3://bucket//a", "s3://bucket/a//", "s3://bucket//", "file:////srv", "file:///srv//lake",
    "s3://bucket/a%2e%2e/b", "s3://bucket/%2E%2E/b", "s3://bucket/a%2fb", "s3://bucket/a%20b", "s3://bucket/100%",
    "s3://bucket/a%252e", "s3://bucket%2fa", "s3://buck%65t/a",
    "s3://bucket/a?versionId=1", "s3://bucket/a#x", "s3://bucket?x", "s3://bucket#/../other", "s3://bucket/a?",
    "s3://bucket/a\\b", "s3://bucket\\a", "s3://bucket/a\\..\\b",
    # Whom to ask, and as whom.
    "s3://user@bucket/a", "s3://user:secret@bucket/a", "s3://bucket:443/a", "gs://user@bucket/a", "s3://@bucket/a",
    "s3://bucket@evil/a", "file://host/a", "file://user@localhost/a", "file://127.0.0.1/a",
    "abfss://acct.dfs.core.windows.net/a", "abfss://raw@acct.blob.core.windows.net/a", "abfss://raw@acct/a",
    "abfss://raw:secret@acct.dfs.core.windows.net/a", "abfss://raw@acct.dfs.core.windows.net.evil.com/a",
    "abfss://raw@acct.privatelink.dfs.core.windows.net/a", "abfss://raw@acct.dfs.core.windows.net:443/a",
    "abfss://raw@two@acct.dfs.core.windows.net/a", "abfss://$root@acct.dfs.core.windows.net/a", "abfss://a--b@acct.dfs.core.windows.net/a",
    "r2://bucket/a", "r2://bucket@short.r2.cloudflarestorage.com/a",
    # Buckets that are none, or another one's second name.
    "s3://b/a", "s3://bucket./a", "s3://.bucket/a", "s3://buc..ket/a", "s3://buc_ket/a", "s3://" + "b" * 64 + "/a",
    "s3://192.168.0.1/a", "s3://my-point-abc-s3alias/a", "s3://my-point--ol-s3/a", "s3://my-point.mrap/a", "s3://arn:aws:s3:eu::x/a", "s3://bücket/a",
    "s3://bucke\u212at/a", "s3://\uff42ucket/a",
    # Text that reads as something else elsewhere.
    "s3://bucket/*", "s3://bucket/a?b", "s3://bucket/[ab]", "s3://bucket/{a,b}", "s3://bucket/$(id)", "s3://bucket/${aws:username}",
    "s3://bucket/a'b", 's3://bucket/a"b', "s3://bucket/`a`", "s3://bucket/<a>", "s3://bucket/a|b", "s3://bucket/a^b",
    "s3://bucket/ a", "s3://bucket/a /b", "s3://bucket/a\tb", "s3://bucket/a\nb", "s3://bucket/a\0b", "s3://bucket/a\x7fb", "s3://bucket/a\n",
    "s3://bucket/a\u200bb", "s3://bucket/\u202eb", "s3://bucket/a\u00a0b", "s3://bucket/a\u2028b", "s3://bucket/\ue000", "s3://bucket/\ud800",
    "s3://bucket/e\u0301", "s3://bucket/a\uff0fb", "s3://bucket/\uff0e\uff0e/b", "s3://bucket/\u2025/b", "s3://bucket/a\u2100b", "s3://bucket/\ufb01",
    "file:///", "file://localhost/", "file://", "file://localhost",
]  # fmt: skip


@pytest.mark.parametrize(
    ("canonical", "spelling"), [(url, text) for url, texts in SPELLINGS.items() for text in texts]
)
def test_every_spelling_of_a_place_is_one_url(canonical: str, spelling: str) -> None:
    assert canonical_url(spelling) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize("text", REFUSED)
def test_ambiguous_or_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrl):
        canonical_url(text)


def test_nothing_is_both_accepted_and_refused() -> None:
    """The control of the list above: a plain path of each scheme passes."""
    assert not set(REFUSED) & {text for texts in SPELLINGS.values() for text in texts}
    assert len({canonical_url(url) for url in SPELLINGS}) == len(SPELLINGS)


def test_limits_are_refused_one_beyond() -> None:
    longest = "s3://bucket/" + "a" * (URL_BYTES_MAX - 12)
    assert canonical_url(longest) == longest
    deepest = "s3://bucket" + "/a" * SEGMENTS_MAX
    assert canonical_url(deepest) == deepest
    for text in (f"{longest}a", f"{deepest}/a"):
        with pytest.raises(InvalidUrl):
            canonical_url(text)


@pytest.mark.parametrize(
    ("url", "container", "inside"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b", True),
        ("s3://bucket/a/b/c", "s3://bucket/a/b", True),
        ("s3://bucket/a", "s3://bucket", True),
        ("s3://bucket/a/bc", "s3://bucket/a/b", False),
        ("s3://bucket/a/b-c", "s3://bucket/a/b", False),
        ("s3://bucket/a/b.c/d", "s3://bucket/a/b", False),
        ("s3://bucket/a", "s3://bucket/a/b", False),
        ("s3://bucket2/a", "s3://bucket", False),
        ("s3://bucket/A", "s3://bucket/a", False),
        ("gs://bucket/a", "s3://bucket", False),
    ],
)
def test_inside_compares_whole_segments(url: str, container: str, inside: bool) -> None:
    assert is_inside(url, container) is inside
    assert overlap(url, container) is overlap(container, url) is (inside or is_inside(container, url))


def test_ancestors_end_at_the_bucket() -> None:
    assert ancestors("s3://bucket/a/b") == ("s3://bucket/a/b", "s3://bucket/a", "s3://bucket")
    assert ancestors("s3://bucket") == ("s3://bucket",)
    assert ancestors("file:///srv/lake") == ("file:///srv/lake", "file:///srv")


SEGMENT = st.text("ab.-_ =é/%\\*?#A", min_size=0, max_size=4)


@given(st.lists(SEGMENT, max_size=5), st.lists(SEGMENT, max_size=5))
def test_accepted_urls_keep_their_meaning(one: list[str], other: list[str]) -> None:
    """Whatever is accepted is a fixed point, says inside exactly as its segments do, and lists all that contains it."""
    accepted = []
    for segments in (one, other):
        try:
            accepted.append(canonical_url("s3://bucket/" + "/".join(segments)))
        except InvalidUrl:
            return
    for url in accepted:
        assert canonical_url(url) == url
        assert all(part not in {"", ".", ".."} and "%" not in part for part in url[5:].split("/"))
    for inner, outer in itertools.permutations(accepted):
        parts, above = inner.split("/"), outer.split("/")
        assert is_inside(inner, outer) is (parts[: len(above)] == above) is (outer in ancestors(inner))
