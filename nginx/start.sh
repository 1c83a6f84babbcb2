#!/bin/sh
# Renders the configuration with the environment's NGINX_* and starts nginx; `start.sh reload` makes
# a running nginx use it, `start.sh check` only tests it. The image's own script writes to a folder
# that its user can't write to.
set -eu
: "${MAX_CONNECTIONS?is missing: this container is of an earlier version. Run \`just down\`, then \`just up\`.}"

# As in ops/local/nginx.py: slightly more than the service's limits, so that the service answers.
NGINX_TIMEOUT=$(awk "BEGIN { s = $REQUEST_TIMEOUT + $DATABASE_STATEMENT_TIMEOUT; s = (s > 30 ? s : 30) + 5; print int(s) + (s > int(s)) + 10 }")
NGINX_MAX_BODY_BYTES=$(((MAX_BODY_BYTES > MAX_IMPORT_BYTES ? MAX_BODY_BYTES : MAX_IMPORT_BYTES) + 1048576))
case ",$CORS_ORIGINS," in
    *,\*,*) NGINX_ORIGINS='default "*";' ;;
    *) NGINX_ORIGINS=$(echo "$CORS_ORIGINS" | tr ',' '\n' | sed 's/ //g; /^$/d; s/.*/"&" $http_origin;/') ;;
esac
export NGINX_ORIGINS
# A container of an earlier version has none.
export NGINX_STATUS="${NGINX_STATUS-}"
NGINX_TRUSTED_PROXIES=$(echo "$TRUSTED_PROXIES" | tr ',' '\n' | sed 's/ //g; /^$/d; s/.*/set_real_ip_from &;/')
NGINX_PATH_PREFIX=${PATH_PREFIX%/}
quarter=$(((NGINX_CONNECTION_LIMIT + 3) / 4))
NGINX_CLIENT_LARGE=$((quarter > 8 ? quarter : 8))
NGINX_LARGE=$((MAX_CONNECTIONS / 2))
files=$(ulimit -Hn | sed 's/unlimited/32768/')
NGINX_OPEN_FILES=$((files < 32768 ? files : 32768))
NGINX_CONNECTIONS=$((NGINX_OPEN_FILES / 2))
export NGINX_CLIENT_LARGE NGINX_CONNECTIONS NGINX_LARGE NGINX_MAX_BODY_BYTES NGINX_OPEN_FILES NGINX_PATH_PREFIX NGINX_TIMEOUT NGINX_TRUSTED_PROXIES

names=$(env | sed -n 's/^\(NGINX_[A-Z_]*\)=.*/${\1}/p')
envsubst "$names" <"${0%/*}/nginx.conf.template" >/tmp/nginx.conf.new
nginx -t -q -p /tmp/ -c nginx.conf.new
[ "${1:-start}" = check ] && exit
mv /tmp/nginx.conf.new /tmp/nginx.conf

if [ "${1:-start}" = reload ]; then
    exec nginx -p /tmp/ -c nginx.conf -s reload
fi
exec nginx -p /tmp/ -c nginx.conf
