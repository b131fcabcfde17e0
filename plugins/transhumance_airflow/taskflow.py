"""Airflow's `task`, as DAGs use it: a task is called without what Airflow fills in, and with what earlier ones will
give. Airflow's own types know neither, so the calls are not checked; what a task does is."""

from typing import Any

from airflow import sdk

task: Any = sdk.task
