#!/usr/bin/env bash
# The units are what systemd understands, with and without the drop-ins, and leave the service little to attack.
# Environment: WAYMARK_BINARY. Exit status 77: skipped, there is no systemd-analyze.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed" && exit 77; }
box=$(mktemp -d /tmp/waymark-systemd-XXXXXX)
trap 'rm -rf "$box"' EXIT
cp "$here"/*.socket "$box"
# No program has to be installed where the unit looks for it.
ln -s "$(realpath "${WAYMARK_BINARY:-$here/../../build/waymark}")" "$box/waymark"
sed "s#@CMAKE_INSTALL_FULL_BINDIR@#$box#" "$here/waymark.service.in" >"$box/waymark.service"
cd "$box"

# It says what it does not know, but its exit status does not always.
clean() {
    local said
    said=$(systemd-analyze verify --man=no ./waymark.service ./waymark.socket ./waymark-admin.socket 2>&1) || true
    [[ ! $said ]] || { printf '%s\n' "$said" && return 1; }
}
clean
for drop_in in "$here"/examples/*.conf; do
    mkdir waymark.service.d
    cp "$drop_in" waymark.service.d
    clean || { echo "with ${drop_in##*/}" && exit 1; }
    rm -r waymark.service.d
done

# "20" is an exposure of 2.0.
systemd-analyze security --offline=true --threshold=20 ./waymark.service >log 2>&1 || { cat log && exit 1; }
tail -1 log

# What is not to be lost when somebody tidies up.
for line in Type=notify WatchdogSec=30s KillMode=mixed RestartPreventExitStatus=78 StateDirectory=waymark; do
    grep -qx "$line" waymark.service || { echo "the unit has no $line" && exit 1; }
done
# The drain of the example configuration, in seconds, and time for the database to stop.
drain=$(sed -n 's/^# drain = "\([0-9]*\)s"$/\1/p' "$here/../../config.example.toml")
stop=$(sed -n 's/^TimeoutStopSec=\([0-9]*\)s$/\1/p' waymark.service)
((stop >= drain + 30)) || { echo "TimeoutStopSec=${stop}s is too short for a drain of ${drain}s" && exit 1; }
