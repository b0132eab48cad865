#!/usr/bin/env bash
# The demo from start to end, in a folder of its own: what it prints, the map, the same again, other people's files.
# Environment: WAYMARK_BINARY, WAYMARK_SIM. Exit status 77: skipped, no PostgreSQL with PostGIS here.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/has_postgis.sh" || exit
# A short path that everybody may enter: of a socket, and for the user that PostgreSQL runs as.
box=$(mktemp -d /tmp/waymark-demo-test-XXXXXX)
chmod 755 "$box"
trap 'rm -rf "$box"' EXIT
cd "$box"
export WAYMARK_DEMO_DIR=$box/demo
bad=0

demo() { "$here/demo.sh" "$@" </dev/null; }

complain() {
    echo "$*"
    bad=1
}

# expect PATTERN FILE: some line of it looks like that.
expect() {
    grep -qE -e "$1" "$2" || complain "$2 has no line like: $1"
}

# The settings of the caller do not matter to it.
export POSTGRES_CONNECTION_STRING=postgres://nobody.invalid/none WAYMARK_LOG_LEVEL=loud
demo >first.txt 2>first.err || complain "exit status $? of the demo"
grep -E '^trail  |^Lantern .*  lantern-' first.txt | diff "$here/table.txt" - || complain "another table than in table.txt"
expect '^40 files: 40 new activities' first.txt
expect '^ +11\.4. +56\.3. +67\.[78]. +48\.07' first.txt
expect '^The service has stopped \(exit status 0\)' first.txt
expect '^matching: 40 of 40 \(100 %\)' first.err
[[ -s demo/map.svg ]] || complain "there is no map"
cp demo/map.svg first.svg
[[ ! -e demo/database ]] || complain "the database is still there"

# A second time: afresh, and the same. Stopped in the middle it cleans up.
demo >second.txt 2>second.err || complain "exit status $? of the second run"
cmp first.svg demo/map.svg || complain "the second run drew another map"
mkdir -p own/2025 && cp demo/activities/2025-0[56]*.gpx own/2025 && cp demo/routes/lantern-ridgeway.gpx .
if ! diff <(sed -n '/^trail/,/^$/p' first.txt) <(sed -n '/^trail/,/^$/p' second.txt); then
    complain "the second run printed another table"
fi

# One's own files: without a trail it says what to do; with one in routes/, that is no activity.
status=0
demo own >none.txt 2>&1 || status=$?
[[ $status == 2 ]] || complain "exit status $status, not 2, for a folder without a trail"
expect 'own/routes/, name it route\*\.gpx, or say --route FILE' none.txt
mkdir own/routes && cp lantern-ridgeway.gpx own/routes
echo 'not a track' >own/broken.gpx
# The XML parser at hand is that of GPX: called so, the map has no track in it, but no fault either.
sed -e 's/^<svg /<gpx /' -e 's/^<\/svg>/<\/gpx>/' first.svg >own/map.gpx
demo own >own.txt 2>own.err || complain "exit status $? with own files"
expect "^$(find own/2025 -name '*.gpx' | wc -l | xargs -I N expr N + 2) files: .*2 files refused" own.txt
expect 'broken\.gpx: ' own.err
expect 'map\.gpx: no track in it' own.err
expect '^Lantern Island Ridgeway +lantern-ridgeway +24\.0 ' own.txt

# With a made-up Strava: a login, all of a year, and a walk that shows soon after.
demo --strava >strava.txt 2>strava.err || complain "exit status $? with a made-up Strava"
expect '^ +9001 +new +done +[0-9]+ +111 +111 ' strava.txt
expect '^\.\.\. and [0-9]{2,4} ms after it is on Strava: ' strava.txt
expect '^The service has stopped \(exit status 0\)' strava.txt
pgrep -f "$box/demo" && complain "something is still running"

# Ctrl-C while it is at work.
WAYMARK_DEMO_DIR=$box/stopped setsid "$here/demo.sh" >stopped.txt 2>&1 </dev/null &
pid=$!
until grep -qs 'waymark is running' stopped/service.log; do sleep 0.1; done
kill -TERM $pid
wait $pid && complain "stopped, it says that all went well"
[[ ! -e stopped/database ]] || complain "stopped, it leaves its database"

if ((bad)); then cat first.txt first.err own.txt own.err strava.txt strava.err; fi
exit $bad
