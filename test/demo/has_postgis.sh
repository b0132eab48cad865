#!/usr/bin/env bash
# Exit status 77 with the reason, where no PostgreSQL server with PostGIS is installed: for tests that need one.
if compgen -G '/usr/share/postgresql/*/extension/postgis.control' >/dev/null; then exit 0; fi
echo "no PostgreSQL with PostGIS is installed"
exit 77
