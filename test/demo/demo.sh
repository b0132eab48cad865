#!/usr/bin/env bash
# The main job from start to end, for people who want to see it: ./dev demo [FOLDER | --strava] [--route FILE]... [--serve]
#
# Everything it makes lies in build/demo (WAYMARK_DEMO_DIR); a run starts afresh. The test of it is demo_test.sh.
set -euo pipefail
export LC_ALL=C.UTF-8
came_from=${OLDPWD:-$PWD} # ./dev has changed to the top of the repository
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
waymark=${WAYMARK_BINARY:-$here/../../build/waymark}
demo=${WAYMARK_DEMO_DIR:-build/demo}
service='' database='' folder='' serve='' with_strava='' routes=() activities='' athlete=1 started=$SECONDS
site='' strava_athlete=9001 strava_pid='' # of strava.sh
# shellcheck disable=SC1091 # checked by itself
source "$here/strava.sh"

usage() {
    cat <<'TEXT'
usage: ./dev demo [FOLDER] [--route FILE]... [--serve]
       ./dev demo --strava [--serve]
  without FOLDER    a made-up island: two trails and a year of walks
  FOLDER            your own activities, GPX or GeoJSON files, also in folders below it. The trails are the files in
                    FOLDER/routes/, those of FOLDER named route*.gpx or route*.geojson, or what --route names
  --strava          a made-up Strava: somebody connects, everything comes in, and then a walk, live
  --serve           leave the service running until Ctrl-C, and keep its data
TEXT
}

die() {
    printf './dev demo: %s\n' "$*" >&2
    exit 1
}

misuse() {
    printf './dev demo: %s\n' "$*" >&2
    exit 2
}

# run ARGS...: the program, showing the command as one would type it.
run() {
    printf '\n%s$ waymark %s%s\n' "$bold" "$*" "$plain"
    "$waymark" "$@"
}

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

# ---- the service --------------------------------------------------------------------------------------------

# stop_service: returns its exit status.
stop_service() {
    local pid=$service status=0
    service=''
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" || status=$?
    rm -f "$demo/service.pid"
    return $status
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP # once is enough
    trap - EXIT
    if [[ $service ]]; then stop_service || true; fi
    if [[ $strava_pid ]]; then kill -TERM "$strava_pid" 2>/dev/null || true; fi
    if [[ $database && ! $serve ]]; then rm -rf "$database"; fi
    exit $status
}

# Of a run that was killed: the service, its Strava, and what may be left of its PostgreSQL.
stop_leftover() {
    local pid try name
    for name in "$demo/service.pid" "$demo/strava.pid" "$demo/database/pgdata/postmaster.pid"; do
        pid=$(head -n 1 "$name" 2>/dev/null) || continue
        [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) =~ ^(waymark|waymark-sim|postgres)$ ]] || continue
        tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -e serve -e --preset -e "$PWD/$demo/database/pgdata" -e "$demo/database/pgdata" ||
            continue
        kill -INT "$pid" 2>/dev/null || continue
        for ((try = 0; try < 100; try++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
    done
}

# As root, PostgreSQL runs as a user who must be able to come here.
all_may_pass() {
    local dir
    dir=$(realpath "$1")
    while [[ $dir != / ]]; do
        [[ $(stat -c %A "$dir") == *[xt] ]] || return 1
        dir=$(dirname "$dir")
    done
}

choose_database() {
    database=$demo/database
    if [[ $EUID == 0 ]] && ! all_may_pass "$demo"; then
        database=$(mktemp -d /tmp/waymark-demo-XXXXXX 2>/dev/null || mktemp -d /var/tmp/waymark-demo-XXXXXX)
        chmod 755 "$database"
        echo "PostgreSQL does not run as root, and no other user may enter $(realpath "$demo"):"
        echo "the database of this demo lies in $database."
    fi
}

start_service() {
    local start=$SECONDS
    # Only this file counts, whatever is configured here otherwise.
    unset "${!WAYMARK_@}" "${!POSTGRES_@}" "${!PROCESSOR_@}"
    printf '[data]\ndir = "%s"\n' "$(realpath -m "$database")" >"$demo/config.toml"
    # Nobody looks at pages of a service that is about to end.
    if [[ $with_strava ]]; then
        strava_config >>"$demo/config.toml"
    elif [[ ! $serve ]]; then
        printf '[http]\nlisten = "off"\n[admin]\nlisten = "off"\n' >>"$demo/config.toml"
    fi
    export WAYMARK_CONFIG=$demo/config.toml
    printf '\n%s$ waymark serve &%s\n' "$bold" "$plain"
    # In a session of its own: Ctrl-C is for this script, which then stops it.
    setsid "$waymark" serve >"$demo/service.log" 2>&1 </dev/null 9>&- &
    service=$!
    echo "$service" >"$demo/service.pid"
    until grep -qs 'waymark is running' "$demo/service.log"; do
        if ! kill -0 "$service" 2>/dev/null || ((SECONDS - start > 120)); then
            sed 's/^/    /' "$demo/service.log" >&2
            die "the service did not start; its log is above"
        fi
        sleep 0.1
    done
    echo "It runs on a private PostgreSQL of its own, in $database; its log is $demo/service.log."
}

# ---- the data -----------------------------------------------------------------------------------------------

# found PATH: as it was meant where the command was typed.
found() {
    if [[ $1 == /* || ! -e $came_from/$1 ]]; then echo "$1"; else echo "$came_from/$1"; fi
}

track_files() { # FIND-ARGS...
    find -L "$@" -type f \( -iname '*.gpx' -o -iname '*.geojson' \) | sort
}

own_data() {
    local file
    activities=$folder
    mapfile -t -O "${#routes[@]}" routes < <(
        if [[ -d $folder/routes ]]; then track_files "$folder/routes"; fi
        track_files "$folder" -maxdepth 1 -iname 'route*'
    )
    if ((${#routes[@]} == 0)); then
        misuse "no trail to match with in $folder: put its GPX file into $folder/routes/, name it route*.gpx," \
            "or say --route FILE"
    fi
    # A trail is no activity: where trails lie among the activities, the demo takes a folder of links without them.
    for file in "${routes[@]}"; do
        if [[ $(realpath "$file") == "$(realpath "$folder")"/* ]]; then
            activities=$demo/activities
        fi
    done
    if [[ $activities == "$demo/activities" ]]; then
        mkdir "$demo/activities"
        cp -rsT "$(realpath "$folder")" "$demo/activities"
        for file in "${routes[@]}"; do
            file=$(realpath --no-symlinks --relative-to="$folder" "$file")
            if [[ $file != ../* ]]; then rm -f "$demo/activities/$file"; fi
        done
    fi
    [[ $(track_files "$activities" | head -n 1) ]] || misuse "no activity in $folder: it has no other .gpx or .geojson file"
    echo "Your activities in $folder, and ${#routes[@]} trail$( ((${#routes[@]} == 1)) || echo s)."
}

made_up_data() {
    mkdir -p "$demo/routes" "$demo/activities"
    awk -f "$here/walker.awk" -v out="$demo"
    activities=$demo/activities
    mapfile -t routes < <(track_files "$demo/routes")
    echo "A made-up island with two trails, and a year of somebody's activities there: files in $demo."
}

# ---- the result ---------------------------------------------------------------------------------------------

# The id of the route with the most kilometres covered.
best_route() {
    "$waymark" route list --json --athlete "$athlete" | tr '{' '\n' |
        sed -n 's/.*"id":"\([^"]*\)".*"covered_m":\([0-9.]*\).*/\2 \1/p' | sort -rn | sed -n '1s/^[^ ]* //p'
}

show_result() {
    local best
    run route list
    best=$(best_route)
    [[ $best ]] || die "none of the trails could be imported"
    run route gaps "$best" --top 5
    run route show "$best" --svg "$demo/map.svg"
}

closing() {
    if [[ $serve ]]; then
        if [[ $with_strava ]]; then printf '\nConnect as anybody you like: %s/\n' "$site"; fi
        printf '\nThe service goes on until Ctrl-C. From another terminal, for example:\n'
        printf '  WAYMARK_CONFIG=%s %s route list\n' "$(realpath "$demo/config.toml")" "$(realpath "$waymark")"
        trap 'echo' INT TERM HUP
        wait "$service" || true
    fi
    stop_service || die "the service ended with exit status $?; its log is $demo/service.log"
    printf '\nThe service has stopped (exit status 0), %s s in all. The map is %s\n' $((SECONDS - started)) \
        "$(realpath "$demo/map.svg")"
}

while (($#)); do
    case $1 in
    --serve) serve=1 ;;
    --strava) with_strava=1 ;;
    --route)
        (($# > 1)) || misuse "--route needs a file"
        routes+=("$(found "$2")")
        [[ -f ${routes[-1]} ]] || misuse "--route $2: no such file"
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) misuse "there is no option $1: see ./dev demo --help" ;;
    *)
        [[ ! $folder ]] || misuse "one folder at a time; $1 is the second"
        folder=$(found "$1")
        [[ -d $folder ]] || misuse "$1 is not a folder"
        ;;
    esac
    shift
done
[[ $folder || ${#routes[@]} == 0 ]] || misuse "--route goes with a folder of activities"
[[ ! $with_strava || ! $folder ]] || misuse "--strava makes its own data: no folder goes with it"
[[ -x $waymark ]] || die "$waymark is not there: ./dev build"

mkdir -p "$demo"
exec 9>"$demo/lock"
flock -n 9 || die "another demo is running in $demo"
stop_leftover
find "$demo" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
trap clean_up EXIT
trap 'echo; exit 130' INT
trap 'exit 143' TERM HUP
if [[ $with_strava ]]; then
    athlete=$strava_athlete
    start_strava
elif [[ $folder ]]; then own_data; else made_up_data; fi
choose_database
start_service
if [[ $with_strava ]]; then
    run route import "${routes[@]}"
    connect_athlete
    run sync --athlete "$athlete"
else
    run route import "${routes[@]}" || true # a file that is refused is named; the rest goes on
    run import "$activities" --athlete 1 || true
    run status --wait
fi
show_result
if [[ $with_strava ]]; then
    walk_live
    show_result
fi
closing
