"""nginx's part of a test copy: a site answers to its test name and believes that it is asked for its own domain.

What it answers is led back to the test names: redirects, cookies, and the addresses in its pages and scripts.
"""

import re
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from ..account.accounts import Account, Site

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TYPES = """text/css text/javascript text/xml application/javascript application/x-javascript application/json
        application/ld+json application/manifest+json application/xml application/rss+xml application/atom+xml"""
# What begins an address, in text, in JSON and in a query; and what a host name in it may be followed by. Without the
# second, shop.example would be found in shop.example.org.
_ADDRESSES = (
    ("//", ("/", '"', "'", "\\", "?", "#", ":", "<", "&", " ", ")", "\n")),
    ("\\/\\/", ("\\", '"', "'", "?", "#", ":")),
    ("%2F%2F", ("%", '"', "'", "&")),
)
_MAX_HOSTS = 250 // sum(len(ends) for _, ends in _ADDRESSES)
"""nginx replaces at most 255 texts in an answer."""


def asked_as(site: Site, web_server: tuple[str, int]) -> str:
    """The host that a site wants to be asked as, by the web server behind the front. One that sends its visitors from
    its domain on to an alias would send those of the test name round in a circle."""
    hosts, asked = (site.domain, *site.aliases), ("http", site.domain)
    for _ in range(4):
        connection = HTTPConnection(*web_server, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": asked[1], "X-Forwarded-Proto": asked[0]})
            to = urlsplit(connection.getresponse().getheader("Location") or "")
            target = (to.scheme, to.hostname or "")
        except (OSError, HTTPException, ValueError):
            return site.domain
        finally:
            connection.close()
        if target[0] not in ("http", "https") or target[1] not in hosts or target == asked:
            return asked[1]
        asked = target
    return site.domain


def blocks(account: Account, test: dict[str, Any]) -> str:
    """nginx's server blocks of the test names, beside those of the sites. Every value in them was checked before."""
    names, hosts = test["names"], test.get("hosts", {})
    sites = [site for site in account.sites if site.domain in names]
    return "".join(
        _block(f"{account.uid}_{number}", site, hosts.get(site.domain, site.domain), sites, names)
        for number, site in enumerate(sites)
    )


def _block(key: str, site: Site, host: str, sites: list[Site], names: dict[str, str]) -> str:
    own = names[site.domain]
    led_back = [
        (domain, names[account_site.domain]) for account_site in [site, *sites] for domain in account_site.names
    ]
    led_back = list(dict(led_back).items())[:_MAX_HOSTS]
    headers = "\n".join(_header_map(key, header, own, host) for header in ("referer", "origin"))
    lines = [
        f'proxy_redirect "~*^(https?:)?//{re.escape(domain)}(:\\d+)?([/?#].*)?$" $1//{name}$3;'
        for domain, name in led_back
    ]
    lines += [f"proxy_cookie_domain {domain} {name};" for domain, name in led_back]
    lines += [f"sub_filter {old} {new};" for domain, name in led_back for old, new in _replaced(domain, name)]
    more = "\n        ".join(lines)
    return f"""{headers}
server {{
    listen 127.0.0.1:8080;
    server_name {own};
    add_header X-Robots-Tag "noindex, nofollow" always;
    location = /robots.txt {{
        default_type text/plain;
        return 200 "User-agent: *\\nDisallow: /\\n";
    }}
    location / {{
        proxy_pass http://127.0.0.1:8080;
        proxy_http_version 1.1;
        proxy_set_header Host {host};
        proxy_set_header Referer $th_referer_{key};
        proxy_set_header Origin $th_origin_{key};
        # What PHP does not answer waits for no hold here.
        proxy_set_header X-Transhumance-Again never;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $app_connection;
        # What comes compressed cannot be led back.
        proxy_set_header Accept-Encoding "";
        proxy_hide_header X-Robots-Tag;
        proxy_read_timeout 300s;
        sub_filter_once off;
        sub_filter_types {_TYPES};
        {more}
    }}
}}
"""


def _header_map(key: str, header: str, own: str, host: str) -> str:
    """The site sees its own host where a browser tells the test name: many check it before they take a form."""
    return f"""map $http_{header} $th_{header}_{key} {{
    default $http_{header};
    "~^(?<th_scheme>https?)://{re.escape(own)}(?<th_rest>[:/?#].*)?$" $th_scheme://{host}$th_rest;
}}"""


def _replaced(domain: str, name: str) -> list[tuple[str, str]]:
    return [(_quoted(begin + domain + end), _quoted(begin + name + end)) for begin, ends in _ADDRESSES for end in ends]


def _quoted(text: str) -> str:
    """A text as nginx's configuration takes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
