"""What a server lists of a bucket is read as it is meant, and what is no list is refused."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthweb.plugins.s3_listing import Entry, Page, question, read_page

MD5 = "0123456789abcdef0123456789abcdef"


def listed(inner: str, truncated: str = "false", namespace: str = "") -> bytes:
    return f"<ListBucketResult{namespace}><IsTruncated>{truncated}</IsTruncated>{inner}</ListBucketResult>".encode()


def contents(key: str, size: int = 1, etag: str = MD5) -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{etag}</ETag></Contents>"


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
@pytest.mark.parametrize("etag", [MD5, f"&quot;{MD5.upper()}&quot;"])
def test_objects_and_shared_beginnings_come_in_the_order_of_their_keys(namespace: str, etag: str) -> None:
    inner = contents("b", 7, etag) + contents("d") + "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>"
    page = read_page(listed(inner, namespace=namespace))
    assert page == Page((Entry("b", 7, MD5), Entry("c/", shared=True), Entry("d", 1, MD5)), "")


@pytest.mark.parametrize("etag", [f"{MD5}-3", "", "none", MD5[1:]])
def test_an_etag_that_is_no_md5_is_none(etag: str) -> None:
    assert read_page(listed(contents("a", etag=etag))).entries[0].md5 == ""


def test_a_list_that_goes_on_names_where() -> None:
    assert read_page(listed("<NextContinuationToken>x</NextContinuationToken>", "true")).token == "x"
    with pytest.raises(ValueError, match="does not say where"):
        read_page(listed("", "true"))


def test_keys_are_decoded_where_the_server_says_that_it_has_encoded_them() -> None:
    key = "a+b%2Bc%C3%A9%01"
    assert read_page(listed(contents(key))).entries[0].key == key
    encoded = "<EncodingType>url</EncodingType>" + contents(key)
    assert read_page(listed(encoded)).entries[0].key == "a b+cé\x01"


@pytest.mark.parametrize("answer", [b"", b"<html>", b"not XML", b"<Error><Code>NoSuchBucket</Code></Error>", b"\xff"])
def test_what_is_no_list_is_told_in_one_line(answer: bytes) -> None:
    with pytest.raises(ValueError, match="no list") as caught:
        read_page(answer)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_list_or_refused(answer: bytes) -> None:
    try:
        read_page(answer)
    except ValueError:
        return


def test_a_question_is_in_the_order_in_which_it_is_signed() -> None:
    asked = question("a b/", "a b/x~", "")
    assert [word.partition("=")[0] for word in asked.split("&")] == [
        "delimiter", "encoding-type", "list-type", "prefix", "start-after",
    ]  # fmt: skip
    assert parse_qs(asked)["prefix"] == ["a b/"]
    assert "start-after" not in question("", "", "")
    # Where it goes on is in the token.
    assert "start-after" not in question("", "x", "t") and "continuation-token=t" in question("", "x", "t")
