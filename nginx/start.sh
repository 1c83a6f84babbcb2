#!/bin/sh
# Renders the configuration with the environment's NGINX_* and starts nginx; `start.sh reload` has a
# running nginx take it over, `start.sh check` only says whether it could. The image's own way needs a folder that its user may not write.
set -eu

# As local/nginx.py works them out: a bit more than the service allows, so that the service answers.
NGINX_TIMEOUT=$(awk "BEGIN { s = $REQUEST_TIMEOUT + $DATABASE_STATEMENT_TIMEOUT; s = (s > 30 ? s : 30) + 5; print int(s) + (s > int(s)) + 10 }")
NGINX_MAX_BODY_BYTES=$(((MAX_BODY_BYTES > MAX_IMPORT_BYTES ? MAX_BODY_BYTES : MAX_IMPORT_BYTES) + 1048576))
case ",$CORS_ORIGINS," in
    *,\*,*) NGINX_ORIGINS='default "*";' ;;
    *) NGINX_ORIGINS=$(echo "$CORS_ORIGINS" | tr ',' '\n' | sed 's/ //g; /^$/d; s/.*/"&" $http_origin;/') ;;
esac
export NGINX_TIMEOUT NGINX_MAX_BODY_BYTES NGINX_ORIGINS

names=$(env | sed -n 's/^\(NGINX_[A-Z_]*\)=.*/${\1}/p')
envsubst "$names" <"${0%/*}/nginx.conf.template" >/tmp/nginx.conf.new
nginx -t -q -c /tmp/nginx.conf.new -g 'pid /tmp/nginx.pid;'
[ "${1:-start}" = check ] && exit
mv /tmp/nginx.conf.new /tmp/nginx.conf

if [ "${1:-start}" = reload ]; then
    exec nginx -c /tmp/nginx.conf -g 'pid /tmp/nginx.pid;' -s reload
fi
exec nginx -c /tmp/nginx.conf -g 'daemon off; pid /tmp/nginx.pid;'
