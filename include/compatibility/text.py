"""What a page says: its title, its visible text, its links, and PHP's complaints in it. Pages are hostile: whatever is
done here takes time in proportion to their size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from html import unescape

MAX_TITLE = 200
MAX_COMPLAINT = 300
MAX_COMPLAINTS = 20
MAX_LINKS = 500
MAX_WORDS = 20_000

# What is not text: searched by its end alone, as browsers do.
_UNSEEN_ENDS = {
    name: re.compile(f"</{name}[\\s/>]", re.IGNORECASE)
    for name in ("script", "style", "template", "noscript", "svg", "title")
}
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^"'>]++|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = r"""(?i)(?:^|\s){}\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)"""
_HREF, _REL = (re.compile(_ATTRIBUTE.format(name)) for name in ("href", "rel"))
_WITHIN_A_LINE = set("a abbr b big cite code em font i kbd mark q s small span strong sub sup tt u var wbr".split())

_BEGINS = re.compile(r"\b(?:Fatal error|Parse error|Recoverable fatal error|Warning|Notice|Deprecated): ")
_ENDS = re.compile(r" in .{1,500}? on line \d+")
_WINDOW = 2000
FATAL = ("Fatal error", "Parse error", "Recoverable fatal error")


@dataclass
class Text:
    """What a reader sees of a page; `links` as they are written there."""

    title: str = ""
    words: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def read(html: str) -> Text:
    """Title, visible words and links of a page; of anything that is no HTML, its words.

    Python's own parser takes quadratic time for pages that are made so. Here each character is passed over once; a tag
    or an element that never ends hides the rest of the page, as it does in browsers.
    """
    text, shown, at = Text(), [], 0
    while (begin := html.find("<", at)) >= 0:
        shown.append(html[at:begin])
        if html.startswith("<!--", begin):
            at = _after(html, "-->", begin + 4)
        elif html.startswith(("<!", "<?"), begin):
            at = _after(html, ">", begin + 2)
        elif tag := _TAG.match(html, begin):
            shown.append("" if tag[2].lower() in _WITHIN_A_LINE else " ")
            at = tag.end() if tag[1] else _element(html, tag, text)
        elif html[begin + 1 : begin + 2].isalpha() or html.startswith("</", begin):
            at = len(html)
        else:
            shown.append("<")
            at = begin + 1
    shown.append(html[at:])
    text.words = _unescaped("".join(shown)).split()[:MAX_WORDS]
    return text


def _unescaped(text: str) -> str:
    """The text with characters in place of HTML's references. Python refuses numbers of thousands of digits."""
    try:
        return unescape(text)
    except ValueError:
        return text


def _after(html: str, end: str, start: int) -> int:
    """Where what follows `end` begins; the end of the page when it is not there."""
    at = html.find(end, start)
    return len(html) if at < 0 else at + len(end)


def _element(html: str, tag: re.Match[str], text: Text) -> int:
    """Takes in what an opening tag tells; gives where to read on."""
    name = tag[2].lower()
    if name == "a" and len(text.links) < MAX_LINKS:
        text.links += _link(tag[3])
    if name not in _UNSEEN_ENDS:
        return tag.end()
    ended = _UNSEEN_ENDS[name].search(html, tag.end())
    end = ended.start() if ended else len(html)
    if name == "title" and not text.title:
        text.title = " ".join(_unescaped(html[tag.end() : end]).split())[:MAX_TITLE]
    return end


def _link(attributes: str) -> list[str]:
    """The address of a link, unless the page says that it is not to be followed."""
    href, rel = _HREF.search(attributes), _REL.search(attributes)
    if href is None or (rel and "nofollow" in rel[1].lower()):
        return []
    return [_unescaped(href[1].strip("\"'"))]


def without_hosts(text: str, hosts: Iterable[str]) -> str:
    """The text with the site's own host names made alike, so that original and copy can be compared."""
    names = sorted({host.lower() for host in hosts if host}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), "this.site", text, flags=re.IGNORECASE) if names else text


def likeness(old: list[str], new: list[str]) -> float:
    """How much of the words two texts share, 0 to 1, whatever their order: difflib's quick ratio, which a page cannot
    make slow."""
    if old == new:
        return 1.0
    return round(SequenceMatcher(None, old, new, autojunk=False).quick_ratio(), 3)


def complaints(words: list[str]) -> list[str]:
    """PHP's messages that a visitor sees in the page, each once, in their order."""
    text = " ".join(words)
    complaints: dict[str, None] = {}
    for number, begin in enumerate(_BEGINS.finditer(text)):
        if number >= 10 * MAX_COMPLAINTS or len(complaints) >= MAX_COMPLAINTS:
            break
        window = text[begin.start() : begin.start() + _WINDOW]
        following = _BEGINS.search(window, 1)
        end = _ENDS.search(window, 0, following.start() if following else len(window))
        if end:
            complaints[_short(window[: end.end()])] = None
    return list(complaints)


def fatal(complaint: str) -> bool:
    """Whether PHP ended the page with this message."""
    return complaint.startswith(FATAL)


def _short(text: str) -> str:
    return text if len(text) <= MAX_COMPLAINT else text[: MAX_COMPLAINT - 3] + "..."
