#!/bin/bash
# Makes the role that Grafana reads with. It sees every table and changes none.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password GRAFANA_DB_PASSWORD
create role grafana login password :'password';
grant pg_read_all_data to grafana;
alter role grafana set default_transaction_read_only = on;
alter role grafana set statement_timeout = '30s';
SQL
