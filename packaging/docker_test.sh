#!/usr/bin/env bash
# The Dockerfile, without Docker: a bare Debian 12 for each FROM, every COPY, RUN and ENV done in it, then the image's
# command as its user, on the private PostgreSQL, with the health check. Root; some minutes. Exit status 77: skipped.
set -euo pipefail
export LC_ALL=C.UTF-8
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
box=$(mktemp -d /tmp/waymark-docker-XXXXXX)
service=''

die() {
    echo "$*"
    exit 1
}

finish() {
    if [[ $service ]]; then kill "$service" 2>/dev/null || true; fi
    for mounted in "$box"/stage*/proc; do
        if mountpoint -q "$mounted" 2>/dev/null; then umount "$mounted"; fi
    done
    rm -rf "$box"
}
trap finish EXIT
[[ $EUID == 0 ]] || { echo "not root" && exit 77; }
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed" && exit 77; }

# What Docker would send, by .dockerignore: all but what is let in again with "!".
mkdir "$box/context"
sed -n 's/^!//p' "$top/.dockerignore" | while read -r path; do (cd "$top" && cp -r --parents "$path" "$box/context"); done
[[ ! -e $box/context/.git ]] || die "the context has .git in it"

sources=/etc/apt/sources.list
if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then sources=/etc/apt/sources.list.d/debian.sources; fi
mmdebstrap --quiet --variant=minbase bookworm "$box/base" "$sources" >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }

declare -A root_of=() variable=()
before=()
stage=0 root='' dir=/ user=0:0 entry='' cmd='' health=''

inside() { # CMD...: in the last stage
    local settings=() name
    for name in "${!variable[@]}"; do settings+=("$name=${variable[$name]}"); done
    "${before[@]}" chroot --userspec="$user" "$root" env -i -C "$dir" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "${settings[@]}" "$@"
}

json_words() { # '["a", "b"]' to one word a line
    python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$1"
}

assign() { # NAME=VALUE... as ENV and ARG take them
    local pair
    eval "set -- $1"
    for pair in "$@"; do variable[${pair%%=*}]=${pair#*=}; done
}

copy() { # ARGS of COPY
    local from=$box/context to
    # shellcheck disable=SC2086 # words
    set -- $1
    if [[ $1 == --from=* ]]; then
        from=${root_of[${1#--from=}]}
        shift
    fi
    to=${*: -1}
    [[ $to == /* ]] || to=$dir/$to
    while (($# > 1)); do
        if [[ -d $from/$1 ]]; then
            mkdir -p "$root$to"
            cp -a "$from/$1/." "$root$to"
        else
            mkdir -p "$root$([[ $to == */ ]] && echo "$to" || dirname "$to")"
            cp -a "$from/$1" "$root$to"
        fi
        shift
    done
}

obey() { # INSTRUCTION REST
    case $1 in
    FROM)
        [[ $2 =~ ^debian:12-slim(\ AS\ ([a-z]+))?$ ]] || die "FROM $2"
        stage=$((stage + 1)) root=$box/stage$stage dir=/ user=0:0 variable=()
        root_of[${BASH_REMATCH[2]:-last}]=$root
        cp -a "$box/base" "$root"
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"
        cp /etc/resolv.conf "$root/etc"
        mount -t proc proc "$root/proc"
        ;;
    WORKDIR) dir=$2 && mkdir -p "$root$dir" ;;
    COPY) copy "$2" ;;
    RUN) inside sh -c "$2" >"$box/log" 2>&1 || { tail -50 "$box/log" && die "RUN $2"; } ;;
    ENV | ARG) assign "$2" ;;
    USER) user=$2 ;;
    ENTRYPOINT) entry=$2 ;;
    CMD) cmd=$2 ;;
    HEALTHCHECK) health=${2#*CMD } ;;
    LABEL | EXPOSE | VOLUME | STOPSIGNAL) ;;
    *) die "an instruction this test does not know: $1" ;;
    esac
}

start=$SECONDS
while read -r word rest; do
    obey "$word" "$rest"
    printf '%4s s  %.100s\n' $((SECONDS - start)) "$word $rest"
done < <(sed -e '/^ *#/d' -e '/^$/d' "$top/Dockerfile" | sed -e ':a' -e '/\\$/{N;s/\\\n */ /;ba}')

# ---- what came out -----------------------------------------------------------------------------------------------------

[[ $user != 0:* && $user =~ ^[0-9]+:[0-9]+$ ]] || die "the user is $user"
if [[ -e $root/usr/bin/gcc || -e $root/src || -e $root/tmp/setup ]]; then die "what built it is in the image"; fi
echo "$(du -xsm "$root" | cut -f1) MB, $(du -xsm "$box/base" | cut -f1) MB of them the base"
mapfile -t words < <(json_words "$entry" && json_words "$cmd")
# In a network of its own: the ports of this machine may be taken.
alone=()
if command -v ip >/dev/null; then alone=(unshare --net sh -c 'ip link set lo up && exec "$@"' -); fi
before=(exec "${alone[@]}")
inside "${words[@]}" 2>"$box/serve.log" &
service=$!
before=(nsenter "--net=/proc/$service/ns/net")
for ((n = 0; n < 300; n++)); do
    if grep -qs 'waymark is running' "$box/serve.log"; then break; fi
    kill -0 $service 2>/dev/null || { cat "$box/serve.log" && die "it does not run"; }
    sleep 0.2
done
inside waymark status
mapfile -t words < <(json_words "$health")
inside "${words[@]}" || die "the health check fails on a healthy service"
kill -STOP $service
if inside timeout 20 "${words[@]}"; then die "the health check is content with a service that hangs"; fi
kill -CONT $service
[[ $(stat -c %u:%g "$root/var/lib/waymark/pgdata") == "$user" ]] || die "the data belong to somebody else"
kill -TERM $service
wait $service || die "exit status $?"
service=''
echo "the image's command ran, answered and ended well"
