#!/usr/bin/env bash
# cmake --install puts every file in its place, under DESTDIR, and the unit names the program there.
# Environment: WAYMARK_BUILD, the build folder.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${WAYMARK_BUILD:-$here/../build}
box=$(mktemp -d /tmp/waymark-install-XXXXXX)
trap 'rm -rf "$box"' EXIT
DESTDIR=$box/root cmake --install "$build" --prefix /opt/waymark >"$box/log" || { cat "$box/log" && exit 1; }
cd "$box/root"
diff -u <(LC_ALL=C sort <<'LIST'
opt/waymark/bin/waymark
opt/waymark/lib/systemd/system/waymark-admin.socket
opt/waymark/lib/systemd/system/waymark.service
opt/waymark/lib/systemd/system/waymark.socket
opt/waymark/lib/sysusers.d/waymark.conf
opt/waymark/share/bash-completion/completions/waymark
opt/waymark/share/doc/waymark/CHANGELOG.md
opt/waymark/share/doc/waymark/LICENSE
opt/waymark/share/doc/waymark/README.md
opt/waymark/share/doc/waymark/config.example.toml
opt/waymark/share/doc/waymark/examples/grafana/waymark.json
opt/waymark/share/doc/waymark/examples/prometheus/waymark.rules.yml
opt/waymark/share/doc/waymark/examples/systemd/admin-secret.conf
opt/waymark/share/doc/waymark/examples/systemd/database.conf
opt/waymark/share/doc/waymark/examples/systemd/sockets.conf
opt/waymark/share/fish/vendor_completions.d/waymark.fish
opt/waymark/share/man/man1/waymark.1
opt/waymark/share/zsh/site-functions/_waymark
LIST
) <(find . -type f | sed 's/^..//' | LC_ALL=C sort)
grep -qx 'ExecStart=/opt/waymark/bin/waymark serve' opt/waymark/lib/systemd/system/waymark.service
[[ $(opt/waymark/bin/waymark --version) == waymark\ * ]]
