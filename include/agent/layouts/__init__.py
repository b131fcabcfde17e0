"""Who serves, runs and delivers on a server."""
