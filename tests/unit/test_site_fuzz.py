"""Whatever stands in `orthweb.yaml`, reading it ends with a site or with an InputError, and nothing else."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orthweb.errors import InputError
from orthweb.site.load import parse_site
from orthweb.site.model import Site

WORDS = ["name", "web", "dicom", "port", "storage", "tls", "certificate", "off", "orthanc", "settings", "modalities"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS), st.dates()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | LEAVES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = {name: VALUES for name in Site.model_fields}
TAGS = ["!!int", "!!bool", "!!set", "!!omap", "!!binary", "!!timestamp", "!!merge", "!!pairs", "!!null", "!!seq"]
SIGNS = ["!x", "&a", "*a", "<<:", "?", "-"]
MARKS = ["[", "]", "{", "}", "'", '"', "|", ">", "#", "%", "@", "~", "\t", "\n", "\u2028", "\x85", "\\ud800", "---\n"]
SCALARS = ["1", "1:2", ".inf", "0x", "0o", "2026-01-01", "2026-02-30", "1e999"]
TOKENS = [*WORDS, *MARKS, *SCALARS, *(f"{tag} " for tag in [*TAGS, *SIGNS]), ": ", ":\n  ", ", "]


def understood(text: str) -> None:
    try:
        parse_site(text)
    except InputError as error:
        line = str(error)
    else:
        return
    assert line.startswith("orthweb.yaml: ")


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_site_or_an_input_error(text: str) -> None:
    understood(text)


@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join))
@example("!!bool x")
@example("!!omap [a]")
@example("!!pairs [1]")
@example("? [a]\n: b")
@example("? {a: b}\n: c")
@example("owner: !!binary é")
@example('owner: "\\ud800"')
@settings(max_examples=400, deadline=None)
def test_anything_that_looks_like_yaml_is_a_site_or_an_input_error(text: str) -> None:
    understood(text)


@given(st.fixed_dictionaries({}, optional=FIELDS))
@settings(max_examples=150, deadline=None)
def test_any_values_are_a_site_or_an_input_error(data: dict[str, Any]) -> None:
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, text)
    understood(text.getvalue())
