"""Operators: start something that lasts, wait for it without a worker, and never start it twice.

Each checks in the worker before it defers. Retries come from the DAG's default_args; a retry attaches to what
already runs, since what is started bears a name that does not change: an operation id, a run id.
"""

BUSY = 15.0
"""Seconds that a worker itself waits for something that is at work, an operation or a run: a small account is through
within them, and many of them in a row make up most of what Airflow adds to a migration."""
