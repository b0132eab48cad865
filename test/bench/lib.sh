# shellcheck shell=bash
# What the benchmarks share: a private cluster, measuring, and the record. Sourced by run.sh, which sets the names of
# folders; what measured() and spread() set is read by the parts.
# shellcheck disable=SC2034,SC2154

die() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
}

say() {
    printf '%s\n' "$*"
}

heading() {
    printf '\n%s\n' "$*"
}

# ---- the cluster --------------------------------------------------------------------------------------------

# PostgreSQL with its default settings on a unix socket, in a folder of its own that goes when the script ends.
bin_dir() {
    local major
    for ((major = 30; major >= 15; major--)); do
        if [[ -x /usr/lib/postgresql/$major/bin/initdb ]]; then
            echo "/usr/lib/postgresql/$major/bin"
            return
        fi
    done
    return 1
}

# PostgreSQL refuses to run as root.
as_server() {
    if [[ ${server_user:-} ]]; then
        setpriv --reuid "$server_user" --regid "$(id -g "$server_user")" --init-groups "$@"
    else
        "$@"
    fi
}

start_cluster() {
    pg_bin=$(bin_dir) || die "PostgreSQL 15 or newer is missing: apt-get install postgresql-15-postgis-3"
    if [[ $EUID == 0 ]]; then server_user=$(id -un postgres 2>/dev/null || echo nobody); fi
    scratch=$(mktemp -d /tmp/waymark-bench.XXXXXX)
    trap stop_cluster EXIT
    trap 'exit 130' INT TERM
    chmod 711 "$scratch"
    mkdir "$scratch/pg"
    if [[ ${server_user:-} ]]; then chown "$server_user" "$scratch/pg"; fi
    cd "$scratch/pg" || exit # where the server's user may be
    as_server "$pg_bin/initdb" -D "$scratch/pg/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        >"$scratch/log" 2>&1 || die "initdb failed: $(tail -1 "$scratch/log")"
    as_server "$pg_bin/pg_ctl" -D "$scratch/pg/data" -l "$scratch/pg/log" -w \
        -o "-c listen_addresses= -c unix_socket_directories=$scratch/pg" start >>"$scratch/log" 2>&1 ||
        die "the server did not start: $(tail -1 "$scratch/pg/log")"
    cd "$OLDPWD" || exit
    export PGHOST=$scratch/pg PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
    unset PGPASSWORD PGSERVICE PGPORT
    postmaster=$(head -1 "$scratch/pg/data/postmaster.pid")
}

stop_cluster() {
    local status=$?
    trap - EXIT
    if [[ ${serve_pid:-} ]]; then kill "$serve_pid" 2>/dev/null || true; fi
    if [[ ${postmaster:-} ]]; then
        (cd "$scratch/pg" && as_server "$pg_bin/pg_ctl" -D "$scratch/pg/data" -m immediate stop >/dev/null 2>&1) || true
    fi
    if [[ ${scratch:-} ]]; then rm -rf "$scratch"; fi
    exit "$status"
}

# sql DATABASE [PSQL-ARG]...: quiet, unaligned, stops at the first error.
sql() {
    psql -XqAt -v ON_ERROR_STOP=1 -d "$@"
}

fresh_database() {
    sql postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"
}

use_database() {
    export POSTGRES_CONNECTION_STRING="host=$PGHOST user=postgres dbname=$1"
}

# A database with Waymark's schema.
waymark_database() {
    fresh_database "$1"
    use_database "$1"
    waymark migrate
}

waymark() {
    "$build/waymark" "$@" >"$scratch/waymark.log" 2>&1 || {
        cat "$scratch/waymark.log" >&2
        die "waymark $1 failed"
    }
}

# ---- measuring ----------------------------------------------------------------------------------------------

# measured [-m] CMD...: sets wall_s, cpu_s, server_s, rss_kb, pss_kb, hwm_kb, backends (measure.c).
measured() {
    local memory=() figures
    if [[ $1 == -m ]]; then
        memory=(-m)
        shift
    fi
    figures=$("$tools/measure" "${memory[@]}" "$postmaster" "$@" 2>"$scratch/measured.log" >"$scratch/measured.out" &&
        tail -1 "$scratch/measured.out") || {
        cat "$scratch/measured.log" "$scratch/measured.out" >&2
        die "$* failed"
    }
    eval "$figures"
}

# calc 'EXPRESSION' [FORMAT]
calc() {
    awk "BEGIN { printf \"${2:-%.3f}\", $1 }"
}

# spread VALUE...: sets low, median, high.
spread() {
    local sorted
    mapfile -t sorted < <(printf '%s\n' "$@" | sort -g)
    low=${sorted[0]} high=${sorted[-1]}
    if (($# % 2)); then
        median=${sorted[$# / 2]}
    else
        median=$(calc "(${sorted[$# / 2 - 1]} + ${sorted[$# / 2]}) / 2" '%.6g')
    fi
}

verdict() { # VALUE LIMIT at-least|at-most
    if awk "BEGIN { exit !($1 $([[ $3 == at-least ]] && echo '>=' || echo '<=') $2) }"; then echo ok; else echo MISSED; fi
}

# ---- the table and the record -------------------------------------------------------------------------------

# row WHAT VALUE [TARGET]
row() {
    printf '  %-50s %24s  %s\n' "$1" "$2" "${3:-}"
}

record=()

# keep KEY VALUE...: an array of numbers in the record, or one number.
keep() {
    local key=$1 text
    shift
    if (($# == 1)); then
        record+=("\"$key\": $1")
    else
        text=$(printf '%s, ' "$@")
        record+=("\"$key\": [${text%, }]")
    fi
}

keep_text() {
    local text=${2//\\/\\\\}
    record+=("\"$1\": \"${text//\"/\\\"}\"")
}

write_record() {
    local file i
    file=$root/bench-$(date +%Y-%m-%d-%H%M).json
    {
        printf '{\n'
        for ((i = 0; i < ${#record[@]}; i++)); do
            printf '  %s%s\n' "${record[i]}" "$([[ $i -lt $((${#record[@]} - 1)) ]] && echo ,)"
        done
        printf '}\n'
    } >"$file"
    heading "every sample: ${file#"$root"/}"
}

# How long this disk takes to make 8 kB durable, in us, 0 if unknown: commits wait for that.
fdatasync_us() {
    local us
    # It tries one method after the other for a second each; the second is the one PostgreSQL uses on Linux.
    us=$(
        cd "$scratch/pg" || exit
        as_server timeout 3 stdbuf -oL "$pg_bin/pg_test_fsync" -s 1 -f "$scratch/pg/fsync" 2>/dev/null |
            awk '$1 == "fdatasync" { print $(NF - 1); exit }'
    ) || true
    rm -f "$scratch/pg/fsync"
    echo "${us:-0}"
}

# The machine, the versions, and what a commit costs.
describe_machine() {
    local cpu memory disk fsync_us
    cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
    memory=$(awk '/^MemTotal/ { printf "%.1f GB", $2 / 1e6 }' /proc/meminfo)
    disk=$(df -T "$scratch" | awk 'NR == 2 { print $2 }')
    fsync_us=$(fdatasync_us)
    say "machine     ${cpu:-unknown}, $(nproc) cores, $memory, $disk, load $(cut -d' ' -f1 /proc/loadavg) before the start"
    say "versions    $("$build/waymark" --version 2>/dev/null | head -1), PostgreSQL $(sql postgres -c 'SHOW server_version'), $(
        sql postgres -c "SELECT 'PostGIS ' || default_version FROM pg_available_extensions WHERE name = 'postgis'"), Linux $(uname -r)"
    say "commit      fdatasync of 8 kB takes $fsync_us us; the server has its default settings, fsync on"
    keep_text date "$(date -u +%FT%TZ)"
    keep_text cpu "${cpu:-unknown}"
    keep cores "$(nproc)"
    keep_text memory "$memory"
    keep_text filesystem "$disk"
    keep_text load_before "$(cut -d' ' -f1-3 /proc/loadavg)"
    keep_text kernel "$(uname -r)"
    keep_text postgresql "$(sql postgres -c 'SHOW server_version')"
    keep_text waymark "$("$build/waymark" --version 2>/dev/null | head -1)"
    keep_text revision "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)"
    keep fdatasync_us "$fsync_us"
}
