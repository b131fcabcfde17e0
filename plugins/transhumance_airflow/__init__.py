"""What the DAGs need of Airflow: connections, operators, and triggers.

Imported under this one name by workers, by the DAG processor and by the triggerer: Airflow puts the plugins
folder on the path of each, and the repository's root is on it by PYTHONPATH (for `include`). Triggers live
here and not beside the DAGs since the triggerer sees no DAG bundle; their arguments stay backward compatible
for as long as the longest wait.
"""
