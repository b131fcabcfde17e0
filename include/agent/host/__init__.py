"""The server itself: durable writes, units, processes, addresses, the sandbox."""
