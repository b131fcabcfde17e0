"""The program that runs on a server: standard library only, one zipapp, reached over SSH."""
