"""The compatibility report of a test: what would be otherwise for an account on the new version, and what to do.

`compare_pages` fetches the account's pages from the original and from the copy; `build` makes the report, as JSON, of
what all the looks have found; `report_page` renders it for the customer. Nothing here speaks to a database or to a
server's agent. `python -m include.compatibility report.json > page.html` renders a report again.
"""

from include.compatibility.page import report_page
from include.compatibility.pages import Site, compare_pages
from include.compatibility.report import build, counts

__all__ = ["Site", "build", "compare_pages", "counts", "report_page"]
