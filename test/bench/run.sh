#!/usr/bin/env bash
# Measures Waymark against the classic PostGIS approach (reference/) and against its own growth. ./dev bench [PART...]
# builds what is needed and runs this. About six minutes, more than half of it the reference's.
#
# parts: account  matcher  growth  coverage (default: all of these)
#        queue [--quick] [batch|plain|enqueue|latency|idle|instances|recovery]...: the queue beside graphile-worker and
#        pg-boss, which come from the npm registry; another six minutes
#        http: the HTTP server beside nginx; a minute
#        webhook: pushed events beside one commit an event and beside Node; two minutes
# environment: BENCH_REFERENCE_ROUNDS (2), BENCH_WAYMARK_ROUNDS (6), BENCH_BUILD (build), BENCH_MAX_ACTIVITIES (100000)
set -euo pipefail
export LC_ALL=C.UTF-8

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$bench/../.." && pwd)
build=${BENCH_BUILD:-$root/build}
tools=$build/test/bench
shared=$root/../shared
data=
# shellcheck disable=SC2034 # these three are read by the parts
{
    reference_rounds=${BENCH_REFERENCE_ROUNDS:-2}
    waymark_rounds=${BENCH_WAYMARK_ROUNDS:-6}
    max_activities=${BENCH_MAX_ACTIVITIES:-100000}
}

# shellcheck disable=SC1091 # checked by itself
. "$bench/lib.sh"
# shellcheck disable=SC1091 # checked by itself
. "$bench/account.sh"
# shellcheck disable=SC1091 # checked by itself
. "$bench/growth.sh"
# shellcheck disable=SC1091 # checked by itself
. "$bench/queue/queue.sh"
# shellcheck disable=SC1091 # checked by itself
. "$bench/http.sh"
# shellcheck disable=SC1091 # checked by itself
. "$bench/webhook.sh"

matcher_part() {
    local line name pairs us
    heading "matcher alone, CPU of one thread"
    if [[ ! $data ]]; then
        say "  skipped: needs ../shared/data/coverage"
        return
    fi
    while read -r name pairs _ _ _ _ us; do
        case $name in
        account) line="<= 40: $(verdict "$us" 40 at-most)" ;;
        acc2) line="<= 600: $(verdict "$us" 600 at-most)" ;;
        acc) line= ;;
        *) continue ;;
        esac
        row "$name, us a pair ($pairs pairs)" "$us" "$line"
        keep "matcher_us_$name" "$us"
    done < <("$tools/match_bench" "$data")
}

main() {
    local parts=("$@") part start=$SECONDS
    if [[ ${1:-} == queue ]]; then
        queue_main "${@:2}"
        return
    fi
    if [[ ${1:-} == http ]]; then
        http_main
        return
    fi
    if [[ ${1:-} == webhook ]]; then
        webhook_main
        return
    fi
    if ((${#parts[@]} == 0)); then parts=(matcher growth coverage account); fi
    for part in "${parts[@]}"; do
        [[ $(type -t "${part}_part") == function ]] || die "no part $part; there are: account matcher growth coverage queue http webhook"
    done
    cmake --build "$build" --target waymark bench_programs >/dev/null || die "could not build match_bench and measure"
    if [[ -r $shared/data/coverage/activities.csv ]] && command -v python3 >/dev/null; then
        data=$shared/data/coverage
    else
        say "note        ../shared/data is not there (or python3 is not): a made-up account and network take its place"
    fi
    start_cluster
    describe_machine
    for part in "${parts[@]}"; do "${part}_part"; done
    keep seconds $((SECONDS - start))
    write_record
    say "in $((SECONDS - start)) s"
}

main "$@"
