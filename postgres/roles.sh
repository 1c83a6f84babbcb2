#!/bin/sh
# Runs once, when the database is made: the migrations own the tables, the service only uses them.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set database="$POSTGRES_DB" <<'SQL'
-- From the environment, for everybody can read a process's arguments.
\getenv migrate_password MIGRATE_PASSWORD
\getenv api_password API_PASSWORD
CREATE ROLE migrate LOGIN PASSWORD :'migrate_password';
CREATE ROLE api LOGIN PASSWORD :'api_password';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO migrate, api;
GRANT CREATE, USAGE ON SCHEMA public TO migrate;
GRANT USAGE ON SCHEMA public TO api;
ALTER DEFAULT PRIVILEGES FOR ROLE migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO api;
SQL
