"""What every task needs, imported when Airflow's programs start (`lazy_load_plugins` in config/airflow.cfg).

The scheduler's workers, and in them the tasks, are forked from it: without this each task would spend a quarter of a
second of processor time to import the same again.
"""

import transhumance_airflow.conditions
import transhumance_airflow.look
import transhumance_airflow.operators.agent
import transhumance_airflow.operators.runs
import transhumance_airflow.operators.wait  # noqa: F401
