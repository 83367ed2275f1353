"""The table of Unicode 14.0 against the tables of the Python that runs."""

from __future__ import annotations

import unicodedata

from afterfit.schema._unicode import doubtful_characters, parse_version, unassigned

ABSENT = {code for start, stop in unassigned() for code in range(start, stop)}


def test_what_14_has_assigned_every_later_version_has():
    missing = {code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cn"}
    assert missing <= ABSENT
    if parse_version(unicodedata.unidata_version) == (14, 0, 0):
        assert missing == ABSENT


def test_nothing_is_doubtful_between_equal_versions():
    assert doubtful_characters(unicodedata.unidata_version) is None


def test_whatever_is_not_assigned_is_doubtful_to_an_older_python():
    pattern = doubtful_characters("99.0.0")
    assert pattern is not None
    assert pattern.search("\U000e0fff")
    assert not pattern.search("aé日😀")
