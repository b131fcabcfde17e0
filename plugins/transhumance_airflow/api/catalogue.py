"""The catalogue for the API: pages and incompatibilities come from its files, dates from the registry."""

from __future__ import annotations

import logging
from functools import lru_cache

import psycopg
from markdown_it import MarkdownIt

from include import catalogue, registry

log = logging.getLogger(__name__)


def entries(conn: psycopg.Connection) -> dict[str, catalogue.Entry]:
    """Every entry that has a file, by name; the registry takes over what changed in them. Files that are wrong, or that
    the registry refuses, are left to who wrote them: what the registry knows goes on."""
    try:
        found = _loaded(tuple((path, path.stat().st_mtime_ns) for path in sorted(catalogue.FOLDER.glob("*.yaml"))))
        registry.sync_catalogue(conn, found.values())
    except (catalogue.CatalogueError, registry.RegistryRefused) as error:
        log.warning("The catalogue is not taken over: %s", error)
        return {}
    return found


@lru_cache(1)
def _loaded(_: tuple[object, ...]) -> dict[str, catalogue.Entry]:
    return catalogue.load()


def as_html(page: str) -> str:
    """A page's Markdown as HTML; HTML within it is shown, not used."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(page)
