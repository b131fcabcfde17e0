"""WordPress as Debian packages it."""

from __future__ import annotations

from pathlib import Path

from lab.accounts import debian
from lab.state import CACHE

PACKAGES = [
    "wordpress",
    "wordpress-theme-twentytwentyone",
    "php-getid3",
    "libjs-cropper",
    "libjs-underscore",
]
LEFT_OUT = {"wp-config.php", ".htaccess"}
"""Debian's own: a configuration that reads /etc/wordpress, and a link into it."""


def archive(cache: Path = CACHE) -> Path:
    """A tar of WordPress's tree (about 40 MB) in the cache."""
    return debian.archive("wordpress", PACKAGES, {"usr/share/wordpress": "."}, LEFT_OUT, cache)
