#!/bin/sh
# Renders the configuration with the environment's NGINX_* and starts nginx; `start.sh reload` has a
# running nginx take it over. The image's own way needs a folder that its user may not write.
set -eu

names=$(env | sed -n 's/^\(NGINX_[A-Z_]*\)=.*/${\1}/p')
envsubst "$names" </etc/nginx/templates/nginx.conf.template >/tmp/nginx.conf.new
mv /tmp/nginx.conf.new /tmp/nginx.conf

if [ "${1:-start}" = reload ]; then
    exec nginx -c /tmp/nginx.conf -g 'pid /tmp/nginx.pid;' -s reload
fi
exec nginx -c /tmp/nginx.conf -g 'daemon off; pid /tmp/nginx.pid;'
