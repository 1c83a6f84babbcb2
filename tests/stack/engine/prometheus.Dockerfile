FROM flusk-engine-base
# The same lines as in nginx-prometheus-exporter.Dockerfile, so that they run once.
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        prometheus prometheus-nginx-exporter \
    && rm -rf /var/lib/apt/lists/*
RUN mkdir /prometheus && chown nobody /prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["prometheus"]
