# shellcheck shell=bash
# shellcheck disable=SC2154 # spread() sets variables by name
# What one new activity costs as routes far from it pile up, one new route as activities far from it do, and what is
# stored. Sourced by run.sh.

# The route that new activities lie on, the reference's first route.
growth_local() { # DATABASE
    if [[ $data ]]; then
        python3 "$shared/tools/coverage_sql.py" "$data" account | grep -E "insert into (athletes|routes)" | sql "$1"
    else
        sed '/^-- activities/,$d' "$bench/synthetic.sql" | sql "$1"
    fi
    sql "$1" -f "$bench/growth.sql"
}

# Routes of a real network, one a line, as `waymark route import` reads them; or made-up ones.
growth_network() { # DATABASE
    local file=$shared/data/routes/pilgrimdb-network.geojson.gz
    if [[ -r $file ]]; then
        waymark_database network
        gunzip -c "$file" >"$scratch/network.geojson"
        measured "$build/waymark" route import --each --quiet "$scratch/network.geojson"
        row "route import of the network, s" "$(calc "$wall_s" %.1f)"
        psql -Xqc "COPY (SELECT id, ST_AsEWKB(track::geometry) FROM routes ORDER BY id) TO STDOUT (FORMAT binary)" network |
            sql "$1" -c 'COPY bench_network (id, track) FROM STDIN (FORMAT binary)'
    else
        sql "$1" -c 'SELECT bench_make_network(2303)' >/dev/null
    fi
}

serve_start() {
    WAYMARK_HTTP_LISTEN=off WAYMARK_ADMIN_LISTEN=off "$build/waymark" serve >"$scratch/serve.log" 2>&1 &
    serve_pid=$!
    local i
    for ((i = 0; i < 300; i++)); do
        if grep -q 'waymark is running' "$scratch/serve.log"; then return; fi
        sleep 0.1
    done
    die "waymark serve did not start: $(tail -1 "$scratch/serve.log")"
}

serve_stop() {
    kill "$serve_pid"
    wait "$serve_pid" || die "waymark serve ended badly: $(tail -1 "$scratch/serve.log")"
    serve_pid=
}

# samples DATABASE CALL: runs the measuring procedure, sets the array ms.
samples() {
    sql "$1" -c 'TRUNCATE bench_sample' -c "CALL $2"
    mapfile -t ms < <(sql "$1" -c 'SELECT round(ms::numeric, 2) FROM bench_sample ORDER BY n')
}

# A fresh process on one new activity, less one that finds nothing to do.
cold_ms() {
    local i with=() without=()
    for ((i = 0; i < 5; i++)); do
        measured "$build/waymark" process --quiet
        without+=("$wall_s")
        sql growth -c "SELECT bench_add_activity(nextval('bench_id'))" >/dev/null
        measured "$build/waymark" process --quiet
        with+=("$wall_s")
    done
    spread "${without[@]}"
    local base=$median
    spread "${with[@]}"
    cold=$(calc "($median - $base) * 1000" %.1f)
}

growth_routes() {
    local n warm_few='' cold line
    heading "one new activity, as routes nowhere near it grow in number (INSERT until it is matched)"
    waymark_database growth
    growth_local growth
    growth_network growth
    use_database growth
    for n in 10 100 1000 2303; do
        sql growth -c "SELECT bench_take_network($n)" >/dev/null
        waymark process --quiet
        sql growth -c 'VACUUM ANALYZE' -c CHECKPOINT
        cold_ms
        serve_start
        samples growth 'bench_new_activities(3)' # fills the caches
        samples growth 'bench_new_activities(25)'
        serve_stop
        spread "${ms[@]}"
        warm_few=${warm_few:-$median}
        line=
        if ((n == 2303)); then
            line="<= 3 times: $(verdict "$median" "$(calc "3 * $warm_few")" at-most) ($(calc "$median / $warm_few" %.2f))"
        fi
        row "$n routes: warm ms (min/median/max), cold ms" "$low / $median / $high, $cold" "$line"
        keep "activity_ms_routes_$n" "${ms[@]}"
        keep "activity_cold_ms_routes_$n" "$cold"
    done
}

growth_activities() {
    local n route_few=
    heading "one new route of some 900 km, as activities nowhere near it grow in number (INSERT until it is listed)"
    waymark_database far
    growth_local far
    waymark process --quiet
    for n in 1000 10000 100000; do
        if ((n > max_activities)); then break; fi
        sql far -c "SELECT bench_add_far_activities($n)" >/dev/null
        measured "$build/waymark" process --quiet
        keep "process_s_to_activities_$n" "$wall_s"
        sql far -c 'VACUUM ANALYZE' -c CHECKPOINT
        serve_start
        samples far 'bench_new_routes(2)'
        samples far 'bench_new_routes(7)'
        serve_stop
        spread "${ms[@]}"
        route_few=${route_few:-$median}
        row "$n activities: ms (min / median / max)" "$low / $median / $high" "$(calc "$median / $route_few" %.2f) times the first"
        keep "route_ms_activities_$n" "${ms[@]}"
        stored_rows "$n"
    done
}

# No table may hold activities times routes. The finished jobs are one row a job, kept for a while.
stored_rows() {
    local line
    line=$(sql far -F ' ' -c "SELECT string_agg(name || ' ' || n, ', ' ORDER BY n DESC, name) FROM bench_rows() WHERE n > 0")
    say "    rows: $line"
    keep_text "rows_at_activities_$1" "$line"
}

growth_part() {
    growth_routes
    growth_activities
}
