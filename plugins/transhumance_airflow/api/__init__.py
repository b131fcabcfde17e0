"""The panel's API: what a host's customer panel calls, mounted in Airflow's API server at /transhumance.

`app.make_app()` is the FastAPI application; `auth` says who may do what, `problems` how it is refused, `runs` how an
action becomes an ordinary DAG run, once for each Idempotency-Key. See docs/api.md.
"""
