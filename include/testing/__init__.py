"""Tests: a copy of an account on a server of the new version, looked at while the original serves on.

What each step of `test_account` and `expire_tests` does, without Airflow. The functions take a registry connection,
`Host` objects (a server's agent) and the zone that test names are in. Every one of them can be repeated. A refusal is
`include.registry.RegistryRefused` with one sentence.
"""
