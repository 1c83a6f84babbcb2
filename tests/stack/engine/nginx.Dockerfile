FROM flusk-engine-base
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        nginx gettext-base \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /bin/false --user-group nginx
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
