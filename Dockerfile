# syntax=docker/dockerfile:1
# Build: docker build --build-arg SOURCE_COMMIT=$(git rev-parse HEAD) -t signalbook .
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt requirements-parquet.txt /tmp/
RUN /venv/bin/pip install --require-hashes --requirement /tmp/requirements.txt
# 55 MB for `flask export --format parquet`; the root of the running container cannot be written.
ARG WITH_PARQUET=""
RUN [ -z "$WITH_PARQUET" ] || /venv/bin/pip install --require-hashes --requirement /tmp/requirements-parquet.txt

FROM python:3.11-slim
ARG SOURCE_COMMIT=""
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SOURCE_COMMIT=$SOURCE_COMMIT \
    HOST=0.0.0.0 PORT=5000 DATA_DIR=/data
RUN groupadd --gid 10001 signalbook \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin signalbook \
    && install -d -o signalbook -g signalbook -m 0700 /data /backups
COPY --from=build /venv /venv
COPY . /app
WORKDIR /app
USER 10001:10001
# Journal, keys and the embedded database: without a volume here a redeploy loses what was not stored yet.
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
CMD ["python", "web_server.py"]
