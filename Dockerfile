# The Airflow image for production: the same lock as the lab's. A tag can be moved by whoever owns it, a digest cannot, so
# nothing is built without one: docker build --build-arg DIGEST=sha256:... (docs/operations.md says where it is from).
ARG DIGEST
FROM apache/airflow@${DIGEST}
USER root
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential pkg-config libmariadb-dev \
 && rm -rf /var/lib/apt/lists/*
USER airflow
COPY requirements.txt /requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /requirements.txt
COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root plugins /opt/airflow/plugins
COPY --chown=airflow:root include /opt/airflow/include
COPY --chown=airflow:root config /opt/airflow/config
COPY --chown=airflow:root infrastructure /opt/airflow/infrastructure
COPY --chown=airflow:root LICENSE /opt/airflow/LICENSE
# The Airflow settings of this project; places and secrets come from the environment (docs/operations.md).
ENV PYTHONPATH=/opt/airflow \
    AIRFLOW_CONFIG=/opt/airflow/config/airflow.cfg \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins \
    TRANSHUMANCE_REPORTS=/opt/airflow/reports
