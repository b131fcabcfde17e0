"""An account whose files are judged, and what its judge says of one."""

from __future__ import annotations

from include.agent.layouts.classic.judges.whose import Whose
from include.agent.layouts.classic.places import kind_of

WEB1 = Whose(
    name="web1",
    home="/var/www/clients/client1/web1",
    hosts=frozenset(("shop.example", "www.shop.example")),
    domains=frozenset(("shop.example", "www.shop.example", "mail.example")),
    sockets=frozenset(("/run/php/web1.sock", "/var/lib/php8.2-fpm/web1.sock")),
    files=frozenset(
        (
            "/etc/letsencrypt/live/shop.example/fullchain.pem",
            "/etc/letsencrypt/live/shop.example/privkey.pem",
            "/etc/apache2/htpasswd/shop.example",
        )
    ),
)


def said(path: str, text: str) -> list[str]:
    """What the judge of this place says."""
    kind = kind_of(path, WEB1)
    assert kind is not None, f"{path} is no place for a file of {WEB1.name}'s"
    return [*kind.judge(path, text, WEB1)]
