"""What lives on a server and is no account's: told before anything of the server is moved, rerouted or erased."""
