# shellcheck shell=bash
# ./dev demo --strava: the same with a made-up Strava (test/sim) and somebody who connects there. Part of demo.sh.
strava_sim=${WAYMARK_SIM:-$here/../../build/test/sim/waymark-sim}
strava=''
# A larger application's quota: with a small one's, a year's walks would wait for the next quarter hour.
strava_options=(--preset none --seed 1 --limits 300,3000/600,6000)

# http METHOD URL [BODY [COOKIES]]: the answer, head and all.
http() {
    local address=${2#http://} method=$1 body=${3:-} cookies=${4:-} connection
    local path=/${address#*/}
    address=${address%%/*}
    exec {connection}<>"/dev/tcp/${address%:*}/${address##*:}"
    printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %s\r\n%s\r\n%s' "$method" "$path" "$address" \
        "${#body}" "${cookies:+Cookie: $cookies$'\r\n'}" "$body" >&"$connection"
    cat <&"$connection"
    exec {connection}>&-
}

head_field() { # NAME, from an answer
    tr -d '\r' | sed -n "/^\$/q; s/^$1: //Ip"
}

body_of() {
    sed '1,/^\r$/d'
}

# make_activity JSON: on the made-up Strava.
make_activity() {
    local answer
    answer=$(http POST "$strava/_sim/activity" "{\"do\":\"create\",\"athlete\":$strava_athlete,$1}")
    [[ $answer == 'HTTP/1.1 200'* ]] || die "the made-up Strava says: $(body_of <<<"$answer")"
}

# A year: runs in town, and every seventh week a day on the trail, a little further on; some of it twice.
make_year() {
    local week from=0
    for ((week = 52; week > 0; week--)); do
        make_activity "\"count\":2,\"sport_type\":\"Run\",\"distance\":7000,\"start\":\"$(ago $((week * 7)) 18)\""
        if ((week % 7 == 0)); then
            make_activity "\"sport_type\":\"Hike\",\"trail\":[$from,$((from + 9000 + week % 3 * 2000))],\"start\":\"$(ago $((week * 7 - 3)) 8)\""
            from=$((from + 7000 + week % 3 * 5000))
        fi
    done
}

ago() { # DAYS HOUR
    printf '%(%FT)T%02d:00:00Z' $((EPOCHSECONDS - $1 * 86400)) "$2"
}

free_port() {
    local port
    for port in {8080..8180}; do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    die "no port from 8080 to 8180 is free"
}

# The island's coast path: the simulator wants it as GeoJSON.
strava_trail() {
    sed -n 's/.*lat="\([^"]*\)" lon="\([^"]*\)".*/[\2,\1]/p' "$demo/routes/lantern-coast-path.gpx" | paste -sd, |
        sed 's/.*/{"type":"Feature","properties":{"name":"Lantern Island Coast Path"},"geometry":{"type":"LineString","coordinates":[&]}}/'
}

start_strava() {
    made_up_data
    strava_trail >"$demo/trail.geojson"
    [[ -x $strava_sim ]] || die "$strava_sim is not there"
    setsid "$strava_sim" --listen 127.0.0.1:0 --near "$demo/trail.geojson" "${strava_options[@]}" >"$demo/strava.log" 2>&1 </dev/null 9>&- &
    strava_pid=$!
    echo "$strava_pid" >"$demo/strava.pid"
    until strava=$(sed -n 's/^listening //p' "$demo/strava.log") && [[ $strava ]]; do
        kill -0 "$strava_pid" 2>/dev/null || die "the made-up Strava did not start: $demo/strava.log"
        sleep 0.05
    done
    site=http://127.0.0.1:$(free_port)
    make_year
    echo "A made-up Strava with another year of somebody's activities: $strava"
}

strava_config() {
    cat <<TOML
[http]
listen = "${site#http://}"
[admin]
listen = "off"
[strava]
client_id = "1001"
client_secret = "sim-secret-1001"
api_url = "$strava/api/v3"
oauth_url = "$strava"
callback_url = "$site/webhook/demo-$RANDOM$RANDOM"
TOML
}

# What a browser does when somebody follows "Connect with Strava" and consents there.
connect_athlete() {
    local answer cookies consent
    printf '\nAthlete %s connects: %s/auth/strava, consent at Strava, and back\n' "$strava_athlete" "$site"
    answer=$(http GET "$site/auth/strava")
    cookies=$(head_field Set-Cookie <<<"$answer" | sed 's/;.*//' | paste -sd';')
    consent=$(head_field Location <<<"$answer")
    [[ $consent ]] || die "the service did not send to Strava: ${answer%%$'\n'*}"
    answer=$(http GET "$consent&sim_auto=$strava_athlete")
    answer=$(http GET "$(head_field Location <<<"$answer")" '' "$cookies")
    [[ $answer == 'HTTP/1.1 30'* ]] || die "the login failed: ${answer%%$'\n'*}"
}

covered_m() {
    "$waymark" route list --json --athlete "$strava_athlete" | tr '{' '\n' |
        sed -n 's/.*"id":"lantern-coast-path".*"covered_m":\([0-9.]*\).*/\1/p'
}

# A walk along the longest uncovered stretch, or 15 km of it, from the moment it is on Strava until the numbers have changed.
walk_live() {
    local before after started try gap
    gap=$("$waymark" route gaps lantern-coast-path --athlete "$strava_athlete" --top 1 --json |
        sed -n 's/.*"start_m":\([0-9.]*\),"end_m":\([0-9.]*\).*/\1 \2/p' |
        awk '{ printf "[%d,%d]", $1, ($2 > $1 && $2 < $1 + 12000 ? $2 : $1 + 12000) }')
    [[ $gap ]] || die "nothing of the trail is left to walk"
    before=$(covered_m)
    printf '\nAthlete %s records a walk into the longest gap, metres %s of the coast path ...\n' "$strava_athlete" "$gap"
    started=${EPOCHREALTIME/./}
    make_activity "\"sport_type\":\"Hike\",\"trail\":$gap"
    for ((try = 0; try < 300; try++)); do
        after=$(covered_m)
        [[ $after == "$before" ]] || break
        sleep 0.05
    done
    [[ $after != "$before" ]] || die "15 s later the numbers had not changed; the log is $demo/service.log"
    printf '... and %s ms after it is on Strava: %s m covered, %s m before\n' $(((${EPOCHREALTIME/./} - started) / 1000)) \
        "${after%.*}" "${before%.*}"
}
