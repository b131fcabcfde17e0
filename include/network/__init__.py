"""Where names point and where IPs are routed."""
