"""How accounts and servers pass through a migration: what each step of the two DAGs does, without Airflow.

The functions take a registry connection, `Host` objects (a server's agent), and the interfaces for machines,
names and routes. Every one of them can be repeated. A refusal is `include.registry.RegistryRefused` with one
sentence.
"""
