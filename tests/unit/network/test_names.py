"""What is refused before a name server is asked; what it is asked is seen in the lab."""

from __future__ import annotations

import pytest

from include.network.names import Names, NameServerFailed

NAMES = Names("192.0.2.53", "example", "transhumance", "AAAA" * 8)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("alice.test", "A", None, "198.51.100.11", 60), "outside the zone example"),
        (("alice.example", "TXT", None, "198.51.100.11", 60), "not pointed"),
        (("alice.example", "A", None, "2001:db8::1", 60), "cannot be held"),
        (("alice.example", "AAAA", "198.51.100.11", None, 60), "cannot be held"),
        (("alice.example", "A", None, "there", 60), "no IP address"),
        (("alice.example", "A", None, "198.51.100.11", 0), "TTL of 0 s"),
        ((f"{'a' * 64}.example", "A", None, "198.51.100.11", 60), "no domain name"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(NameServerFailed, match=sentence):
        NAMES.point(*arguments)


def test_the_key_is_not_shown():
    assert "AAAA" not in repr(NAMES)
