#!/usr/bin/env bash
# The Debian package. usage: deb_test.sh --quick | FOLDER
#
# --quick packs what the build folder has (WAYMARK_BUILD), and looks at what came out. With a FOLDER that has the package
# and one of a higher version (./dev package --test), as root: installs it in a bare Debian, runs the service under
# systemd there, upgrades, removes and purges. Exit status 77: skipped.
set -euo pipefail
export LC_ALL=C.UTF-8
box=$(mktemp -d /tmp/waymark-deb-XXXXXX)
container='' before=()

skip() {
    echo "$*"
    exit 77
}

die() {
    echo "$*"
    exit 1
}

finish() {
    if [[ $container ]]; then
        kill "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    if mountpoint -q "$box/root/proc" 2>/dev/null; then umount "$box/root/proc"; fi
    rm -rf "$box"
}
trap finish EXIT

# ---- what is in it ---------------------------------------------------------------------------------------------------

contents() { # DEB
    local list control script
    list=$(dpkg-deb -c "$1" | awk '$1 !~ /^d/ { print $6 }')
    for file in ./etc/waymark/config.toml ./usr/bin/waymark ./usr/lib/systemd/system/waymark.service \
        ./usr/share/man/man1/waymark.1.gz ./usr/share/doc/waymark/copyright ./usr/share/doc/waymark/changelog.gz \
        ./usr/share/zsh/vendor-completions/_waymark; do
        grep -qxF "$file" <<<"$list" || die "$file is not in the package"
    done
    if grep -vE '^\./(etc/waymark|usr/(bin|lib/(systemd|sysusers\.d)|share))/' <<<"$list"; then
        die "files where the package should have none"
    fi
    control=$(dpkg-deb -f "$1")
    for field in 'Package: waymark' 'Recommends: postgresql-15-postgis-3' 'Depends: .*libpq5' 'Depends: .*libcurl4' \
        'Depends: .*adduser' 'Depends: .*ca-certificates'; do
        grep -q "^$field" <<<"$control" || die "the control file has no $field"
    done
    dpkg-deb -e "$1" "$box/control"
    [[ $(cat "$box/control/conffiles") == /etc/waymark/config.toml ]] || die "conffiles: not the one there is"
    for script in postinst prerm postrm; do
        [[ -x $box/control/$script ]] || die "$script is not executable"
        sh -n "$box/control/$script"
    done
    (cd "$box" && dpkg-deb -x "$1" tree)
    grep -qx 'ExecStart=/usr/bin/waymark serve' "$box/tree/usr/lib/systemd/system/waymark.service" ||
        die "the unit names another program"
    [[ $(cd "$box" && tree/usr/bin/waymark config check --config tree/etc/waymark/config.toml --json) == \
        *'"key":"data.dir","value":"/var/lib/waymark"'* ]] || die "the packaged configuration is another one"
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error,warning "$1" || die "lintian found something"
    fi
}

if [[ ${1:-} == --quick ]]; then
    command -v dpkg-deb dpkg-shlibdeps cpack >/dev/null || skip "the tools to make Debian packages are not installed"
    # What sanitizers built would be refused for its libraries.
    (cd "$box" && cpack --config "${WAYMARK_BUILD:?}/CPackConfig.cmake" -B "$box/out" >log 2>&1) || { cat "$box/log" && exit 1; }
    unset "${!WAYMARK_@}"
    contents "$box"/out/waymark_*.deb
    exit 0
fi

# ---- a bare Debian ---------------------------------------------------------------------------------------------------

old=$(realpath "$1"/waymark_[0-8]*.deb) new=$(realpath "$1"/waymark_9*.deb)
root=$box/root
[[ $EUID == 0 ]] || skip "not root"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
start=$SECONDS
sources=/etc/apt/sources.list
if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then sources=/etc/apt/sources.list.d/debian.sources; fi

told() {
    printf '%-50s %4s s\n' "$*" $((SECONDS - start))
    start=$SECONDS
}

contents "$old"
told "what is in the package"

mmdebstrap --quiet --variant=minbase --include=systemd-sysv,dbus bookworm "$root" "$sources" >"$box/log" 2>&1 ||
    { cat "$box/log" && exit 1; }
cp "$old" "$new" "$root/srv"
cp /etc/resolv.conf "$root/etc/resolv.conf"
told "a bare Debian 12"

# In a network of its own: the ports of this machine may be taken.
alone=()
if command -v ip >/dev/null; then alone=(unshare --net sh -c 'ip link set lo up && exec "$@"' -); fi

inside() { # CMD...: without systemd
    "${before[@]}" chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
find "$root" -xdev -name '*waymark*' -not -path '*/srv/*' | sort >"$box/before"
inside sh -c 'apt-get -qq update && apt-get -qq -y -o Acquire::Retries=3 install /srv/'"${old##*/}" >"$box/log" 2>&1 ||
    { tail -50 "$box/log" && exit 1; }
[[ $(inside waymark --version) == waymark\ * ]] || die "waymark --version"
[[ $(inside stat -c '%a %G' /etc/waymark/config.toml) == '640 waymark' ]] || die "config.toml is open to everybody"
inside sh -c 'test -L /etc/systemd/system/multi-user.target.wants/waymark.service' || die "the service is not enabled"
told "installed"

# By hand, as in a container without systemd: on its private PostgreSQL.
cat >"$root/srv/by-hand.sh" <<'SCRIPT'
set -e
cd /
setpriv --reuid=waymark --regid=waymark --init-groups waymark serve 2>/tmp/serve.log &
service=$!
n=0
until grep -qs 'waymark is running' /tmp/serve.log; do
    n=$((n + 1))
    if [ $n -gt 300 ] || ! kill -0 $service; then cat /tmp/serve.log; exit 1; fi
    sleep 0.2
done
runuser -u waymark -- waymark status --json
runuser -u waymark -- waymark health
kill $service
wait $service
SCRIPT
before=("${alone[@]}")
inside sh /srv/by-hand.sh >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
grep -q '"schema":' "$box/log" || { cat "$box/log" && die "no status"; }
before=()
told "served by hand"

# ---- under systemd ---------------------------------------------------------------------------------------------------

boot() {
    command -v systemd-nspawn >/dev/null || return 1
    umount "$root/proc"
    rm "$root/usr/sbin/policy-rc.d"
    systemd-nspawn --quiet --register=no --keep-unit --private-network --machine=waymark -D "$root" --boot \
        >"$box/boot.log" 2>&1 </dev/null &
    container=$!
    sleep 3
    kill -0 $container 2>/dev/null || { container='' && return 1; }
    pid=$(cat "/proc/$container/task/$container/children")
    pid=${pid%% *}
}

booted() { # CMD...: in the container
    nsenter -t "$pid" -m -u -i -n -p -C -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

until_running() { # N: so many times since the boot
    local n=0
    until (($(booted journalctl -b -u waymark --no-pager 2>/dev/null | grep -c 'waymark is running') >= $1)); do
        n=$((n + 1))
        if ((n > 300)); then booted journalctl -b -u waymark --no-pager && die "the service does not run"; fi
        sleep 0.2
    done
    booted systemctl --quiet is-active waymark || die "the service is not active"
}

query() { # SQL, on the private database
    booted runuser -u waymark -- psql -XAtd 'user=waymark dbname=waymark host=/var/lib/waymark/run' -c "$1"
}

health() {
    booted runuser -u waymark -- waymark health || die "waymark health: exit status $?"
}

if boot; then
    until_running 1
    health
    query "INSERT INTO routes (id, display_name, track) VALUES ('kept', 'Kept', 'LINESTRING(7 46, 7.01 46)')" >/dev/null
    told "served by systemd, hardened"
    booted dpkg -i "/srv/${new##*/}" >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
    until_running 2
    health
    [[ $(booted dpkg-query -W -f '${Version}' waymark) == 9* ]] || die "not upgraded"
    [[ $(query "SELECT count(*) FROM routes WHERE id = 'kept'") == 1 ]] || die "the upgrade lost a route"
    told "upgraded, and restarted by that"
    since=$SECONDS
    booted systemctl stop waymark
    ((SECONDS - since < 60)) || die "it took $((SECONDS - since)) s to stop"
    [[ $(booted systemctl show -P Result waymark) == success ]] || die "it did not stop well"
    told "stopped"
    # A command of root's in between leaves nothing that the service could not use.
    booted sh -c 'rm /var/lib/waymark/log/postgres.log && waymark status >/dev/null' || die "waymark status, as root"
    # The drop-ins: sockets that systemd holds, a secret as a credential.
    booted sh -c 'set -e
        cd /etc/systemd/system && mkdir waymark.service.d
        cp /usr/share/doc/waymark/examples/systemd/sockets.conf waymark.service.d
        cp /usr/share/doc/waymark/examples/systemd/admin-secret.conf waymark.service.d
        (umask 077 && echo correct-horse-battery-staple >/etc/waymark/admin.secret)
        systemctl daemon-reload
        systemctl start waymark.socket waymark-admin.socket waymark.service'
    until_running 3
    health
    booted systemctl reload waymark
    booted systemctl restart waymark
    until_running 4
    health
    told "with sockets and a credential, reloaded, restarted"
    booted sh -c 'rm -r /etc/systemd/system/waymark.service.d /etc/waymark/admin.secret'
    run=booted
else
    echo "systemd does not run here: only the files"
    inside dpkg -i "/srv/${new##*/}" >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
    run=inside
fi

$run dpkg -r waymark >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
[[ -d $root/var/lib/waymark/pgdata && -e $root/etc/waymark/config.toml ]] || die "removing took data or settings away"
if [[ $run == booted ]] && booted pgrep -u waymark >/dev/null 2>&1; then die "removed, and still running"; fi
told "removed: data and settings stay"
$run dpkg -P waymark >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
grep -q 'removing /var/lib/waymark' "$box/log" || die "it did not say what it removes"
if $run getent passwd waymark; then die "the user is still there"; fi
find "$root" -xdev -name '*waymark*' -not -path '*/srv/*' -not -path '*/tmp/*' -not -path '*/proc/*' -not -path '*/sys/*' \
    -not -path '*/run/*' | sort >"$box/after"
diff "$box/before" "$box/after" || die "files are left"
told "purged: nothing left"
