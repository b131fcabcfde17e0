"""A whole small web host on one Linux machine, in network namespaces and containers."""
