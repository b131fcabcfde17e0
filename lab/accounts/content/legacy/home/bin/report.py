#!/usr/bin/python3
"""Mails a report of the night."""

import json
from distutils.version import LooseVersion

try:
    import imp
except ImportError:
    imp = None

if __name__ == "__main__":
    print(json.dumps({"newer": LooseVersion("2.0") > LooseVersion("1.0"), "imp": "import asyncore"}))
