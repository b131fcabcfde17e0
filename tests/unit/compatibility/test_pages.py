"""Pages of both sides: what is asked for, where, and what is made of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import unescape

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.compatibility import fetch, pages, text
from include.compatibility.pages import Site, compare_pages

OLD, NEW = "192.0.2.1", "2001:db8::2"
SITE = Site("shop.example", "shop-example.test.example", OLD, NEW, aliases=("www.shop.example",))

Answer = Callable[[httpx.Request], httpx.Response]


class Web(httpx.MockTransport):
    """Both servers: `old` and `new` answer; `asked` is what they were asked, as (address, scheme, Host, path)."""

    def __init__(self, old: Answer, new: Answer, schemes: tuple[str, ...] = ("https", "http")) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.schemes = schemes
        self.sides = {OLD: old, NEW: new}
        super().__init__(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in self.schemes:
            raise httpx.ConnectError("no TLS here")
        assert request.extensions["sni_hostname"] == request.headers["host"]
        self.asked.append(
            (request.url.host, request.url.scheme, request.headers["host"], request.url.raw_path.decode())
        )
        assert request.headers["accept-encoding"] == "identity"
        answer = self.sides[request.url.host](request)
        # As it comes from a network: not read yet.
        stream = httpx.ByteStream(answer.content) if hasattr(answer, "_content") else answer.stream
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


def html(body: str, status: int = 200) -> Answer:
    return lambda _: httpx.Response(status, html=body)


def compared(web: Web) -> list[dict]:
    return compare_pages([SITE], web)["pages"]


def test_the_same_page_on_both_sides_is_alike() -> None:
    page = "<title>Shop</title><p>Welcome to {}, open today</p>"
    web = Web(html(page.format("www.shop.example")), html(page.format("shop-example.test.example")))
    found = compared(web)
    assert [{**one, "seconds": None} for one in found] == [
        {
            "url": "https://shop.example/",
            "test_url": "https://shop-example.test.example/",
            "status": [200, 200],
            "title": ["Shop", "Shop"],
            "likeness": 1.0,
            "php_errors": [],
            "seconds": None,
        }
    ]
    assert {(host, name) for host, _, name, _ in web.asked} == {
        (OLD, "shop.example"),
        (NEW, "shop-example.test.example"),
    }


def test_http_where_one_side_has_no_certificate() -> None:
    web = Web(html("a"), html("a"), schemes=("http",))
    assert compared(web)[0]["url"] == "http://shop.example/"


def test_links_of_the_front_page_are_followed_a_little_and_only_on_the_site() -> None:
    links = [
        *("/about", "https://www.shop.example/team?x=1&amp;y=2", "//shop.example/news#top", "contact.php"),
        *(
            "https://elsewhere.example/",
            "mailto:a@shop.example",
            "javascript:alert(1)",
            "/logo.png",
            "/wp-login?logout",
        ),
        *("https://shop.example:8443/", "http://[bad", "/cart/add", "/about", "https://shop.example.evil.example/"),
        *(f"/more/{number}" for number in range(30)),
    ]
    body = "".join(f'<a href="{link}">x</a>' for link in links)
    web = Web(html(body), html("b"))
    urls = [one["url"].removeprefix("https://shop.example") for one in compared(web)]
    assert urls[:5] == ["/", "/about", "/team?x=1&y=2", "/news", "/contact.php"]
    assert len(urls) == pages.MAX_PAGES
    assert {address for address, *_ in web.asked} == {OLD, NEW}


def redirect(to: str, status: int = 302) -> Answer:
    return lambda request: (
        httpx.Response(200, html="there")
        if request.url.path == "/there"
        else httpx.Response(status, headers={"location": to})
    )


@pytest.mark.parametrize("to", ["/there", "https://www.shop.example/there", "http://shop.example/there"])
def test_a_redirect_on_the_site_is_followed(to: str) -> None:
    web = Web(redirect(to), html("there"))
    assert compared(web)[0]["status"] == [200, 200]
    assert {address for address, *_ in web.asked} == {OLD, NEW}


@pytest.mark.parametrize(
    "to",
    ["https://elsewhere.example/", "http://127.0.0.1/", "//169.254.169.254/", "ftp://shop.example/", "http://[", ""],
)
def test_a_redirect_elsewhere_is_an_answer_and_nobody_goes_there(to: str) -> None:
    web = Web(html("a"), redirect(to))
    status = compared(web)[0]["status"]
    assert status[0] == 200 and status[1] in (302, None)
    assert {address for address, *_ in web.asked} == {OLD, NEW}


def test_a_redirect_in_a_circle_ends() -> None:
    web = Web(html("a"), redirect("/"))
    assert compared(web)[0]["status"] == [200, 302]
    assert len(web.asked) < 20


def test_an_original_that_does_not_answer_is_not_compared() -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    found = compare_pages([SITE], Web(fails, html("a")))
    assert found == {
        "pages": [],
        "not_looked_at": ["http://shop.example/ did not answer on the present server: not compared."],
    }
    assert compared(Web(html("a"), fails))[0]["status"] == [200, None]


def test_only_new_messages_of_php_are_told() -> None:
    message = "<br />\n<b>{}</b>:  Undefined variable $x in <b>/home/shop/a.php</b> on line <b>3</b><br />\n"
    web = Web(html(message.format("Warning")), html(message.format("Warning") + message.format("Deprecated")))
    assert compared(web)[0]["php_errors"] == ["Deprecated: Undefined variable $x in /home/shop/a.php on line 3"]


def test_a_body_without_end_is_cut() -> None:
    async def endless():
        while True:
            yield b"word " * 20_000

    web = Web(html("a"), lambda _: httpx.Response(200, headers={"content-type": "text/html"}, content=endless()))
    assert compared(web)[0]["status"] == [200, 200]


def test_a_page_that_is_slow_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SLOW_SECONDS", 0.05)
    waits = iter([0.0, 0.3])  # the look for TLS, the first page; then it is warm

    def slow_once(_: httpx.Request) -> httpx.Response:
        time.sleep(next(waits, 0))
        return httpx.Response(200, html="a")

    assert compared(Web(html("a"), slow_once))[0]["seconds"][1] < 0.2


# --- texts ---


def test_what_a_reader_sees() -> None:
    seen = text.read(
        "<!DOCTYPE html><html><head><title>A &amp;\n B</title><style>x{}</style></head><body><!-- <p>no</p> -->"
        "<p>Hello <b>Wo</b>rld<td>x<td>y <a href=\"/a?b=1&amp;c=2\" title='>'>l</a><a rel=nofollow href=/z>z</a>"
        '<script>var a="</p>"; "<a href=q>"</script> 1 < 2 &eacute;</body>'
    )
    assert seen.title == "A & B"
    assert seen.words == ["Hello", "World", "x", "y", "lz", "1", "<", "2", "é"]
    assert seen.links == ["/a?b=1&c=2"]


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<!--",
        "<![",
        "</a ",
        "<a x='",
        "&",
        "<",
        "<script>",
        "<?",
        "</",
        "<title>",
        "Warning: ",
        "<svg",
        '<a b="\'">',
    ],
)
def test_a_page_cannot_make_us_slow(piece: str) -> None:
    began = time.process_time()
    seen = text.read(piece * (fetch.MAX_BYTES // len(piece)))
    text.complaints(seen.words)
    text.likeness(seen.words, [*seen.words, "x"])
    assert time.process_time() - began < 10


@given(st.text())
def test_any_text_can_be_read(content: str) -> None:
    seen = text.read(content)
    assert "<" in content or seen.words == unescape(content).split()
    assert len(seen.title) <= text.MAX_TITLE


words = st.lists(st.text("abcdef ", min_size=1, max_size=4), max_size=40)


@given(words, words)
def test_likeness_is_between_none_and_all(one: list[str], other: list[str]) -> None:
    alike = text.likeness(one, other)
    assert 0 <= alike <= 1
    assert text.likeness(one, one) == 1
    assert alike == pytest.approx(text.likeness(other, one), abs=0.001)
    if one and other and not set(one) & set(other):
        assert alike == 0


def test_likeness_is_the_share_of_words() -> None:
    half = text.likeness(["a"] * 50 + ["b"] * 50, ["a"] * 50 + ["c"] * 50)
    assert half == 0.5


def test_hosts_are_made_alike_longest_first() -> None:
    assert text.without_hosts("http://WWW.shop.example/ shop.example.", ["shop.example", "www.shop.example"]) == (
        "http://this.site/ this.site."
    )
    assert text.without_hosts("x", []) == "x"


def test_complaints_need_a_file_and_a_line() -> None:
    assert text.complaints("Warning: this product is hot. Notice: shop closed in May on Monday".split()) == []
    found = text.complaints(
        "x Fatal error: Uncaught Error: Call to undefined function imap_open() in /home/shop/my files/a.php:3 Stack"
        " trace: #0 {main} thrown in /home/shop/my files/a.php on line 3 Warning: b in c on line 4 Warning: b in c on"
        " line 4".split()
    )
    assert found == [
        "Fatal error: Uncaught Error: Call to undefined function imap_open() in /home/shop/my files/a.php:3 Stack"
        " trace: #0 {main} thrown in /home/shop/my files/a.php on line 3",
        "Warning: b in c on line 4",
    ]
    assert [text.fatal(one) for one in found] == [True, False]
