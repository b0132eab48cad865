#!/usr/bin/env bash
# Every page and action of the admin pages in headless Chromium, on a private database. ./dev browser builds what is needed
# and runs this; the program is build/waymark (WAYMARK_BINARY), pictures of the pages are left in build/browser.
# usage: browser.sh [--quick]     --quick, for ./dev test: a little of it, if all that it needs is there, else exit status 77
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build
npm=$build/browser-npm

die() {
    printf './dev browser: %s\n' "$*" >&2
    exit 1
}

skip() {
    printf '%s\n' "$*"
    exit 77
}

# The driver of the browser, axe and a Node that is new enough for them, in the build folder.
install_driver() {
    mkdir -p "$npm"
    if ! cmp -s "$here/package.json" "$npm/installed.json"; then
        command -v npm >/dev/null || die "npm is missing, as root run: apt-get install npm"
        printf 'installing playwright-core, axe-core and node from the npm registry into %s\n' "${npm#"$root"/}"
        cp "$here/package.json" "$npm/"
        (cd "$npm" && timeout 300 npm install --no-package-lock --no-audit --no-fund --fetch-retries=1 \
            --fetch-retry-mintimeout=1000 >npm.log 2>&1) ||
            die "could not install them from the npm registry: $(grep -m1 'npm error' "$npm/npm.log" || tail -1 "$npm/npm.log")"
        [[ -x $npm/node_modules/node/bin/node ]] || die "the npm package node has installed no Node here: see $npm/npm.log"
        cp "$here/package.json" "$npm/installed.json"
    fi
}

QUICK='' SHOTS=$build/browser
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || CHROMIUM=
if [[ ${1:-} == --quick ]]; then
    QUICK=1 SHOTS=$npm/quick
    [[ $CHROMIUM ]] || skip "Chromium is not installed; ./dev browser installs it"
    cmp -s "$here/package.json" "$npm/installed.json" || skip "./dev browser has not yet installed what drives Chromium"
else
    [[ $CHROMIUM ]] || die "Chromium is missing"
    install_driver
fi
export CHROMIUM QUICK SHOTS WAYMARK_SOURCE=$root WAYMARK_BINARY=${WAYMARK_BINARY:-$build/waymark}
rm -rf "$SHOTS" "$npm"/*.mjs
mkdir -p "$SHOTS"
cp "$here"/*.mjs "$npm/" # where their imports find the packages
cd "$npm"
exec node_modules/node/bin/node browser.mjs
