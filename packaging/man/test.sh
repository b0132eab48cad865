#!/usr/bin/env bash
# The man page has every command and option that the program has, and is laid out without a warning.
# Environment: WAYMARK_BINARY.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/generate.sh" --check
# What a formatter has to say; manuals it refers to need not be installed.
complain() {
    local said
    said=$("$@" 2>&1 | grep -v 'mandoc.db' || true)
    [[ ! $said ]] || { printf '%s\n' "$said" && exit 1; }
}
if command -v mandoc >/dev/null; then complain mandoc -Tlint -Wstyle "$here/waymark.1"; fi
if command -v groff >/dev/null; then complain groff -mdoc -Tutf8 -ww -z "$here/waymark.1"; fi
