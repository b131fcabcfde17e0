"""`python -m include.compatibility report.json > page.html`: renders the report of a test again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from include.compatibility import report_page

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("The report is missing: python -m include.compatibility report.json > page.html")
    print(report_page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
