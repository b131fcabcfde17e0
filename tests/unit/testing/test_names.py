"""Test names: one label each, never two sites with the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.testing.names import label

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
part = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
domain = st.lists(part, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("shop.example", "shop-example"),
        ("SHOP.example", "shop-example"),
        ("a.b.c.example", "a-b-c-example"),
        ("shop", "shop"),
    ],
)
def test_a_domain_is_told_by_its_label(name, wanted):
    assert label(name) == wanted


@pytest.mark.parametrize("name", ["my-shop.example", f"{'a' * 60}.example", "xn--bcher-kva.example", "my_account"])
def test_what_could_be_taken_for_another_bears_a_digest(name):
    assert re.fullmatch(r".*-[0-9a-f]{10}", label(name))


@given(domain)
def test_every_name_is_a_label_and_no_punycode(name):
    assert LABEL.fullmatch(label(name)), label(name)
    assert not label(name).startswith("xn--")


@given(domain, domain)
def test_two_domains_have_two_labels(one, other):
    assert (label(one) == label(other)) == (one == other)


def test_domains_that_differ_in_dots_and_dashes_only():
    assert len({label(name) for name in ("a-b.example", "a.b.example", "a.b-example", "a-b-example")}) == 4
