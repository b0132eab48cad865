#!/usr/bin/env bash
# The statements of an earlier program, for test_upgrade.c: after each landing, for the revision that landed.
# usage: previous.sh REVISION >previous.sql
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
last=$(git ls-tree --name-only "$1" src/db/migrations/ | tail -1)
echo "-- Made by previous.sh: every statement of an earlier program, which runs beside a newer one during an upgrade."
echo "-- schema $((10#$(basename "$last" | cut -c1-4)))"
git ls-tree -r --name-only "$1" src | grep -E '^src/[a-z]+/sql/[a-z_0-9]+\.sql$' | while read -r path; do
    echo "-- ==== $(sed -E 's,^src/([a-z]+)/sql/(.*)\.sql$,\1 \2,' <<<"$path")"
    git show "$1:$path"
done
