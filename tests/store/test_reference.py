"""References: what they spell, and what they never take for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import ArgumentError
from afterfit.store import Reference, is_reference, parse_reference

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda s: not s.endswith(".afit")
)
references = st.one_of(
    st.builds(Reference, names),
    st.builds(Reference, names, number=st.integers(1, 999_999_999)),
    st.builds(Reference, names, digest=st.from_regex(r"[0-9a-f]{8,64}", fullmatch=True)),
    st.builds(Reference, names, alias=st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True)),
)


@given(references)
def test_a_reference_is_read_as_it_is_written(reference: Reference):
    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=20))
def test_what_is_read_is_written_the_same(text: str):
    if is_reference(text):
        assert str(parse_reference(text)) == text
        assert "/" not in text


@pytest.mark.parametrize(
    "text",
    ["", "@3", "m@", "m@0", "m@03", "m@-1", "m@sha256:xyz", "m@sha256:abc", "a/b", "../m", "m.afit", "m.afit@3",
     "m@a@b", "m n", "m@pro duction", "m@1x", "é", "m\n", "-m", ".m"],
)  # fmt: skip
def test_what_is_no_reference(text: str):
    with pytest.raises(ArgumentError):
        parse_reference(text)
    assert not is_reference(text)
