# shellcheck shell=bash
# shellcheck disable=SC2154 # names of folders come from run.sh, low, median and high from spread()
# The HTTP server beside nginx: both take a POST of 212 B; ours parses it as JSON, nginx answers without reading it
# (return 200). One core for the server, one for wrk; by turns, on loopback only. Sourced by run.sh.

http_rounds=${BENCH_HTTP_ROUNDS:-5}
http_seconds=${BENCH_HTTP_SECONDS:-3}
http_pids=()

http_stop() {
    local status=$?
    trap - EXIT
    if ((${#http_pids[@]})); then kill "${http_pids[@]}" 2>/dev/null || true; fi
    wait
    if [[ ${scratch:-} ]]; then rm -rf "$scratch"; fi
    exit "$status"
}

# A port that was free a moment ago.
http_free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

http_start_nginx() {
    local nginx kind temp=
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx || echo "$root/build/nginx/usr/sbin/nginx")
    [[ -x $nginx ]] || die "nginx is missing"
    nginx_version=$("$nginx" -v 2>&1 | sed 's/.*: //')
    nginx_port=$(http_free_port)
    for kind in client_body proxy fastcgi uwsgi scgi; do temp+="${kind}_temp_path $scratch/$kind; "; done
    cat >"$scratch/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $scratch/nginx.pid;
error_log $scratch/nginx.log;
events { worker_connections 1024; }
http {
    $temp
    access_log off;
    keepalive_requests 1000000000;
    server {
        listen 127.0.0.1:$nginx_port;
        location / { default_type application/json; return 200 '{"ok":true}'; }
    }
}
CONF
    taskset -c 0 "$nginx" -e "$scratch/nginx.log" -p "$scratch" -c "$scratch/nginx.conf" >"$scratch/nginx.out" 2>&1 &
    http_pids+=($!)
}

http_start_ours() {
    taskset -c 0 "$tools/http_bench" 127.0.0.1:0 >"$scratch/bound" &
    http_pids+=($!)
    local i
    for ((i = 0; i < 50; i++)); do
        if [[ -s $scratch/bound ]]; then break; fi
        sleep 0.1
    done
    our_address=$(<"$scratch/bound")
    [[ $our_address ]] || die "http_bench did not start"
}

# http_rate ADDRESS: requests a second; anything but 200 is a failure.
http_rate() {
    local out
    out=$(taskset -c 1 wrk -t1 -c64 -d"${http_seconds}s" --latency -s "$scratch/post.lua" "http://$1/hook")
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
        echo "$out" >&2
        return 1
    fi
    awk '/Requests\/sec/ { print $2 }' <<<"$out"
}

http_body='{"aspect_type":"update","event_time":1516126040,"object_id":1360128428,"object_type":"activity",'
http_body+='"owner_id":134815,"subscription_id":120475,"updates":{"title":"Morning on the ridge","type":"Trail","private":"no"}}'

http_measure_rates() {
    local round nginx ours rates_nginx=() rates_ours=() ratios=()
    for ((round = 0; round < http_rounds; round++)); do
        nginx=$(http_rate "127.0.0.1:$nginx_port") || die "nginx did not answer 200"
        ours=$(http_rate "$our_address") || die "we did not answer 200"
        rates_nginx+=("$nginx") rates_ours+=("$ours") ratios+=("$(calc "$ours / $nginx")")
    done
    spread "${rates_nginx[@]}"
    row "nginx return 200, requests/s" "$median [$low..$high]"
    spread "${rates_ours[@]}"
    row "ours, JSON parsed, requests/s" "$median [$low..$high]"
    spread "${ratios[@]}"
    row "ours / nginx" "$median [$low..$high]" ">= 0.6: $(verdict "$median" 0.6 at-least)"
    keep http_nginx_rps "${rates_nginx[@]}"
    keep http_ours_rps "${rates_ours[@]}"
    keep http_ratio "${ratios[@]}"
}

http_measure_idle() {
    local files idle
    files=$(ulimit -Hn)
    if [[ $files != unlimited ]] && ((files < 10100)); then
        row "10 000 idle connections" skipped "needs 10 100 descriptors, the limit is $files"
        return
    fi
    ulimit -Sn 10100
    idle=$("$tools/http_bench" 127.0.0.1:0 idle 10000 | tail -1)
    [[ $idle == *' MB resident'* ]] || die "could not hold 10 000 idle connections"
    idle=${idle#*: }
    idle=${idle%% MB*}
    row "10 000 idle connections, MB resident" "$idle" "<= 60: $(verdict "$idle" 60 at-most)"
    keep http_idle_mb "$idle"
}

http_main() {
    local start=$SECONDS
    (($(nproc) >= 2)) || die "http needs two cores: one for the server, one for wrk"
    cmake --build "$build" --target http_bench >/dev/null || die "could not build http_bench"
    scratch=$(mktemp -d /tmp/waymark-bench.XXXXXX)
    trap http_stop EXIT
    trap 'exit 130' INT TERM
    # As root nginx gives its worker to nobody, who must get here.
    chmod 711 "$scratch"
    printf 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [[%s]]\n' "$http_body" \
        >"$scratch/post.lua"
    http_start_nginx
    http_start_ours
    say "versions    $nginx_version, $(wrk -v 2>&1 | sed -n 's/^\(wrk [^ ]*\).*/\1/p' | head -1), Linux $(uname -r), load $(
        cut -d' ' -f1 /proc/loadavg) before the start"
    heading "HTTP, POST of ${#http_body} B, 64 connections, $http_rounds rounds of $http_seconds s by turns"
    http_rate "127.0.0.1:$nginx_port" >/dev/null || die "nginx did not answer: $(tail -1 "$scratch/nginx.log")"
    http_measure_rates
    http_measure_idle
    keep seconds $((SECONDS - start))
    write_record
    say "in $((SECONDS - start)) s"
}
