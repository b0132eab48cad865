# shellcheck shell=bash
# shellcheck disable=SC2154 # names of folders and of the cluster come from run.sh and lib.sh, low, median, high from spread()
# shellcheck disable=SC2034,SC2178 # arrays by reference
# Pushed events, durable before they are acknowledged: ours, ours with one commit an event, and a plain Node receiver with
# one INSERT a request; by turns, 64 connections. Then ours while Strava's API does not answer. Sourced by run.sh.

webhook_rounds=${BENCH_WEBHOOK_ROUNDS:-5}
webhook_seconds=${BENCH_WEBHOOK_SECONDS:-4}
webhook_pids=()

webhook_script() {
    cat >"$scratch/push.lua" <<'LUA'
-- Each request is about another activity. All but its number is put together before.
local n, around = 10000000000 + os.time() % 80000 * 1000000, {}
local body = '{"aspect_type":"update","event_time":1516126040,"object_id":12345678901,"object_type":"activity",' ..
    '"owner_id":%d,"subscription_id":120475,"updates":{"title":"Morning on the ridge","type":"Trail","private":"false"}}'
function init()
    for owner = 1, 20 do
        local text = wrk.format("POST", nil, { Host = wrk.headers.Host, ["Content-Type"] = "application/json" }, body:format(owner))
        local from, to = text:find("12345678901", 1, true)
        around[owner] = { text:sub(1, from - 1), text:sub(to + 1) }
    end
end
function request()
    n = n + 1
    local a = around[1 + n % 20]
    return a[1] .. string.format("%d", n) .. a[2]
end
LUA
}

# webhook_start OUTPUT CMD...: the first line of what it prints is where it listens.
webhook_start() {
    local output=$1 i
    shift
    : >"$output"
    "$@" >"$output" 2>"$scratch/receiver.log" &
    webhook_pids=($!)
    for ((i = 0; i < 100; i++)); do
        if [[ -s $output ]]; then break; fi
        sleep 0.1
    done
    read -r webhook_address <"$output" || {
        cat "$scratch/receiver.log" >&2
        die "$1 did not start"
    }
}

webhook_stop() {
    local pid
    for pid in "${webhook_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${webhook_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    webhook_pids=()
}

# webhook_push TABLE PATH: sets rate, p50, p99 (ms); every answer must be 200, every event in the table.
webhook_push() {
    local out rows requests
    sql bench_webhook -c CHECKPOINT
    out=$(wrk -t1 -c64 -d"${webhook_seconds}s" --latency -s "$scratch/push.lua" "http://$webhook_address$2")
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
        echo "$out" >&2
        die "not every event was acknowledged"
    fi
    eval "$(awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        $1 == "50%" { printf "p50=%.3f\n", ms($2) }
        $1 == "99%" { printf "p99=%.3f\n", ms($2) }
        /requests in/ { printf "requests=%d\n", $1 }
        /Requests\/sec/ { printf "rate=%s\n", $2 }' <<<"$out")"
    rows=$(sql bench_webhook -c "SELECT count(*) FROM $1")
    ((rows >= requests)) || die "$requests events were acknowledged, $rows are kept"
}

# A database as it is after `waymark migrate`, with athletes whom the events are about.
webhook_database() {
    waymark_database bench_webhook
    sql bench_webhook -c "INSERT INTO athletes (id) SELECT generate_series(1, 20)" \
        -c "INSERT INTO strava.account (athlete_id) SELECT generate_series(1, 20)" \
        -c "UPDATE strava.app SET subscription_id = 120475" \
        -c "CREATE TABLE plain_event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            received_at timestamptz NOT NULL DEFAULT now(), object_type text NOT NULL, object_id bigint NOT NULL,
            aspect_type text NOT NULL, owner_id bigint NOT NULL, subscription_id bigint NOT NULL,
            event_time bigint NOT NULL, updates jsonb NOT NULL)"
}

# webhook_round NAME: appends to NAME_rate, NAME_p50, NAME_p99.
webhook_round() {
    local -n rates=$1_rate p50s=$1_p50 p99s=$1_p99
    webhook_database
    case $1 in
    ours) webhook_start "$scratch/out" "$tools/webhook_bench" 127.0.0.1:0 "$POSTGRES_CONNECTION_STRING" ;;
    single) webhook_start "$scratch/out" "$tools/webhook_bench" 127.0.0.1:0 "$POSTGRES_CONNECTION_STRING" 1 10 ;;
    node) webhook_start "$scratch/out" env PGDATABASE=bench_webhook "$peers/node_modules/node/bin/node" "$peers/webhook.mjs" ;;
    esac
    webhook_push "$([[ $1 == node ]] && echo plain_event || echo strava.event)" /hook
    webhook_stop
    rates+=("$rate") p50s+=("$p50") p99s+=("$p99")
    if [[ $1 == ours ]]; then
        eval "$(awk '/^kept/ { printf "webhook_group+=(%.1f)\n", $2 / $4 }' "$scratch/out")"
    fi
}

# webhook_row TEXT NAME
webhook_row() {
    local -n rates=$2_rate p50s=$2_p50 p99s=$2_p99
    local text50 text99
    spread "${p50s[@]}" && text50="$median [$low..$high]"
    spread "${p99s[@]}" && text99="$median [$low..$high]"
    spread "${rates[@]}"
    row "$1, events/s" "$median [$low..$high]"
    row "    p50 ms" "$text50"
    row "    p99 ms" "$text99"
    keep "webhook_$2_rps" "${rates[@]}"
    keep "webhook_$2_p50_ms" "${p50s[@]}"
    keep "webhook_$2_p99_ms" "${p99s[@]}"
}

# webhook_ratio TEXT KEY LIMIT at-least|at-most VALUE...
webhook_ratio() {
    local text=$1 key=$2 limit=$3 how=$4
    shift 4
    spread "$@"
    row "$text" "$median [$low..$high]" "$([[ $how == at-least ]] && echo '>=' || echo '<=') $limit: $(verdict "$median" "$limit" "$how")"
    keep "$key" "$@"
}

webhook_compare() {
    local i to_single=() to_node=() late=()
    ours_rate=() ours_p50=() ours_p99=() single_rate=() single_p50=() single_p99=() node_rate=() node_p50=() node_p99=()
    webhook_group=()
    for ((i = 0; i < webhook_rounds; i++)); do
        webhook_round node
        webhook_round single
        webhook_round ours
        to_single+=("$(calc "${ours_rate[i]} / ${single_rate[i]}")")
        to_node+=("$(calc "${ours_rate[i]} / ${node_rate[i]}")")
        late+=("$(calc "${ours_p99[i]} / ${single_p99[i]}")")
    done
    webhook_row "Node, http and pg, pool of 10" node
    webhook_row "ours, one commit an event, 10 at once" single
    webhook_row "ours" ours
    spread "${webhook_group[@]}"
    row "    events in a commit" "$median [$low..$high]"
    webhook_ratio "ours / one commit an event" webhook_to_single 4 at-least "${to_single[@]}"
    webhook_ratio "p99 of ours / of one commit an event" webhook_p99_to_single 0.5 at-most "${late[@]}"
    webhook_ratio "ours / Node" webhook_to_node 2 at-least "${to_node[@]}"
}

# The whole service, whose every call to Strava hangs: acknowledged as ever.
webhook_api_down() {
    local i sim port
    webhook_database
    "$build/test/bench/waymark-sim" --preset none >"$scratch/sim" 2>&1 &
    webhook_pids=($!)
    for ((i = 0; i < 100; i++)); do
        if grep -q listening "$scratch/sim"; then break; fi
        sleep 0.1
    done
    sim=$(sed -n 's/^listening //p' "$scratch/sim")
    [[ $sim ]] || die "the simulator did not start"
    python3 - "$sim" <<'PY'
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/_sim/fault", b'{"action":{"type":"drop","at":"never"}}')).read()
PY
    port=$(http_free_port)
    STRAVA_CLIENT_ID=1001 STRAVA_CLIENT_SECRET=sim-secret-1001 STRAVA_CALLBACK_URL=http://127.0.0.1:$port/hook \
        WAYMARK_STRAVA_API_URL=$sim/api/v3 WAYMARK_STRAVA_OAUTH_URL=$sim WAYMARK_HTTP_LISTEN=127.0.0.1:$port \
        WAYMARK_ADMIN_LISTEN=off WAYMARK_STRAVA_TOKENS=plain "$build/waymark" serve 2>"$scratch/serve.log" &
    webhook_pids+=($!)
    for ((i = 0; i < 200; i++)); do
        if grep -q 'waymark is running' "$scratch/serve.log"; then break; fi
        sleep 0.1
    done
    grep -q 'waymark is running' "$scratch/serve.log" || die "the service did not start: $(tail -1 "$scratch/serve.log")"
    sql bench_webhook -c "INSERT INTO access_tokens (athlete_id, access_token, expires_at)
                          SELECT id, 'a', now() + interval '1 day' FROM athletes"
    webhook_address=127.0.0.1:$port
    webhook_push strava.event /hook
    row "the service, Strava's API down: events/s" "$rate"
    row "    p99 ms" "$p99" "<= 200: $(verdict "$p99" 200 at-most)"
    keep webhook_down_rps "$rate"
    keep webhook_down_p99_ms "$p99"
    webhook_stop
}

webhook_main() {
    local start=$SECONDS
    command -v wrk >/dev/null || die "wrk is missing"
    cmake --build "$build" --target waymark webhook_programs >/dev/null || die "could not build webhook_bench"
    install_peers
    cp "$bench/webhook.mjs" "$peers/"
    start_cluster
    trap 'webhook_stop; stop_cluster' EXIT
    describe_machine
    say "peers       pg $(peer_version pg), Node $("$peers/node_modules/node/bin/node" --version), $(
        wrk -v 2>&1 | sed -n 's/^\(wrk [^ ]*\).*/\1/p' | head -1)"
    webhook_script
    heading "pushed events, 64 connections, $webhook_rounds rounds of $webhook_seconds s by turns"
    webhook_compare
    webhook_api_down
    webhook_fsync_after=$(fdatasync_us)
    say "commit      fdatasync of 8 kB takes $webhook_fsync_after us after it"
    keep fdatasync_after_us "$webhook_fsync_after"
    keep seconds $((SECONDS - start))
    write_record
    say "in $((SECONDS - start)) s"
}
