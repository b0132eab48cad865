#!/usr/bin/env bash
# /metrics of a running service has the metrics of metrics.txt, of these types, and no others; promtool has no complaint.
# Environment: WAYMARK_BINARY. Exit status 77: skipped, no PostgreSQL with PostGIS here.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
waymark=$(realpath "${WAYMARK_BINARY:-$top/build/waymark}")
"$top/test/demo/has_postgis.sh" || exit
box=$(mktemp -d /tmp/waymark-metrics-XXXXXX)
chmod 755 "$box"
service=''
finish() {
    if [[ $service ]]; then
        kill "$service" 2>/dev/null || true
        wait "$service" || true
    fi
    rm -rf "$box"
}
trap finish EXIT
unset "${!WAYMARK_@}" "${!POSTGRES_@}" "${!PROCESSOR_@}" "${!PG@}"
export HOME=$box XDG_CONFIG_HOME=$box WAYMARK_DATA_DIR=$box/data WAYMARK_ADMIN_LISTEN=127.0.0.1:0 WAYMARK_HTTP_LISTEN=off
cd "$box"
"$waymark" serve 2>log &
service=$!
for ((n = 0; n < 600; n++)); do
    if grep -qs 'waymark is running' log; then break; fi
    kill -0 $service || { cat log && exit 1; }
    sleep 0.1
done
# So that what is told for each queue, rate and schedule is there.
"$waymark" jobs rates set strava --cap15 200 --capday 2000 >/dev/null
"$waymark" jobs cron add races '0 3 * * 1' --kind fetch --queue races >/dev/null
port=$(sed -n 's/.*listener=admin address=127\.0\.0\.1:\([0-9]*\).*/\1/p' log)
fetch() {
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    cat <&3 >answer
    exec 3>&-
    head -1 answer | grep -q ' 200 ' || { head -1 answer && exit 1; }
    sed '1,/^\r$/d' answer >page.txt
}
# A moment, until the database has been asked.
for ((n = 0; n < 100; n++)); do
    fetch
    if grep -q '^waymark_cron_missed_total' page.txt; then break; fi
    sleep 0.2
done
# Names and types; a histogram has one line for both.
diff <(awk '!/^#/ { print $1, $2 }' "$here/../metrics.txt" | sort) <(sed -n 's/^# TYPE //p' page.txt | sort) || {
    echo "/metrics and packaging/metrics.txt differ"
    exit 1
}
promtool=$(command -v promtool || true)
if [[ -x $top/build/prometheus/usr/bin/promtool ]]; then promtool=$top/build/prometheus/usr/bin/promtool; fi
if [[ $promtool ]]; then "$promtool" check metrics <page.txt; fi
