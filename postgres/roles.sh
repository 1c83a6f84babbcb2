#!/bin/sh
# Creates the database and its roles, and sets the roles' passwords from `.env`: the migrations own
# the tables, the service only uses them. It is idempotent.
set -eu

# Over the socket, where the server trusts its own user without a password.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
-- From the environment, for everybody can read a process's arguments.
\getenv database POSTGRES_DB
\getenv postgres_password POSTGRES_PASSWORD
\getenv migrate_password MIGRATE_PASSWORD
\getenv api_password API_PASSWORD
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT 'CREATE ROLE ' || role FROM unnest(ARRAY['migrate', 'api']) AS role WHERE to_regrole(role) IS NULL \gexec
ALTER ROLE postgres PASSWORD :'postgres_password';
ALTER ROLE migrate LOGIN PASSWORD :'migrate_password';
ALTER ROLE api LOGIN PASSWORD :'api_password';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO migrate, api;
-- For imports, whose lines wait in a temporary table.
GRANT TEMPORARY ON DATABASE :"database" TO api;
-- For the extensions that PostgreSQL trusts, such as pg_trgm.
GRANT CREATE ON DATABASE :"database" TO migrate;

\connect :"database"
GRANT CREATE, USAGE ON SCHEMA public TO migrate;
GRANT USAGE ON SCHEMA public TO api;
SET ROLE migrate;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO api;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO api;
-- Alembic's own table, as it would make it: the service may read which revision is there.
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
);
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM api;
SQL
