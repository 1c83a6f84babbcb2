# One image for the service and its migrations.
FROM python:3.14-slim AS build
COPY requirements/production.txt /
# An environment without pip: the service installs nothing. The package index, proxies and
# certificates of the user are secrets of this step only: see ops/indexes.py.
RUN --mount=type=secret,id=environment --mount=type=secret,id=certificates \
    set -a; if [ -f /run/secrets/environment ]; then . /run/secrets/environment; fi; set +a; \
    if [ -s /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi; \
    python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --only-binary :all: \
        --require-hashes -r /production.txt
WORKDIR /app
COPY alembic.ini ./
COPY migrations migrations
COPY schemas schemas
COPY service service
# A clone may be readable only for its owner.
RUN chmod -R a+rX /app
# The file system is read-only at run time, so the bytecode is compiled here.
RUN /venv/bin/python -m compileall -q service migrations

FROM python:3.14-slim
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_MMAP_THRESHOLD_=65536 \
    APP_ENV=production \
    BIND=0.0.0.0:5000
USER 10001:10001
EXPOSE 5000
# `/readyz`, so that a replica counts only when it can serve requests.
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-ISc", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 5000, timeout=3); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
# Starts the drain; the stop grace period must be as long as docs/operate.md says.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "service"]
