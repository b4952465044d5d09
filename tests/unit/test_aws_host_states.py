"""What the hosts of a site on AWS say, as the administrator reads it."""

from __future__ import annotations

import json

import pytest

from orthweb.aws.host_states import as_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (json.dumps({"state": "waiting", "message": "a database", "since": "", "version": "1"}), "waiting: a database"),
        ("cloud-init: a line of its own", "cloud-init: a line of its own"),
        ('{"state": "healthy"}', '{"state": "healthy"}'),
        ("[]", "[]"),
    ],
)
def test_a_state_is_shown_in_words_and_every_other_line_as_it_is(line: str, words: str) -> None:
    assert as_words(line) == words
