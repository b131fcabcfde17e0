"""Everything that DAGs and plugins call: importable and testable without Airflow."""
