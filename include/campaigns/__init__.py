"""Campaigns: a migration performed for many accounts, in waves, canaries first.

What the steps of `run_campaign` do, without Airflow. All that a campaign knows is in the registry, so that a run that
was killed goes on, or another in its place. A refusal is `include.registry.RegistryRefused` with one sentence.
"""
