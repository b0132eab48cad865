# shellcheck shell=bash
# shellcheck disable=SC2154 # names of folders and of the cluster come from run.sh and lib.sh
# The queue beside its peers. Sourced by run.sh.

# The peers and a Node that is new enough for them, in the build folder.
install_peers() {
    peers=$build/bench-npm
    mkdir -p "$peers"
    if ! cmp -s "$bench/queue/package.json" "$peers/installed.json"; then
        command -v npm >/dev/null || die "npm is missing, as root run: apt-get install npm"
        say "installing graphile-worker, pg-boss and node from the npm registry into ${peers#"$root"/}"
        cp "$bench/queue/package.json" "$peers/"
        (cd "$peers" && timeout 300 npm install --no-package-lock --no-audit --no-fund --fetch-retries=1 \
            --fetch-retry-mintimeout=1000 >npm.log 2>&1) ||
            die "could not install the peers from the npm registry: $(grep -m1 'npm error' "$peers/npm.log" || tail -1 "$peers/npm.log")"
        [[ -x $peers/node_modules/node/bin/node ]] || die "the npm package node has installed no Node here: see $peers/npm.log"
        cp "$bench/queue/package.json" "$peers/installed.json"
    fi
    cp "$bench"/queue/*.mjs "$peers/" # where their imports find the peers
}

peer_version() {
    sed -n 's/^ *"version": "\(.*\)",*$/\1/p' "$peers/node_modules/$1/package.json" | head -1
}

queue_main() {
    local quick=0 parts=() start=$SECONDS line
    while (($#)); do
        case $1 in
        --quick) quick=1 ;;
        batch | plain | enqueue | latency | idle | instances | recovery) parts+=("$1") ;;
        *) die "no part $1 of queue; there are: batch plain enqueue latency idle instances recovery" ;;
        esac
        shift
    done
    cmake --build "$build" --target waymark queue_programs >/dev/null || die "could not build queue_worker and queue_add"
    install_peers
    start_cluster
    describe_machine
    say "peers       graphile-worker $(peer_version graphile-worker), pg-boss $(peer_version pg-boss), pg $(peer_version pg), Node $(
        "$peers/node_modules/node/bin/node" --version)"
    waymark_database bench_waymark
    : >"$scratch/record"
    (cd "$peers" && QUICK=$quick PARTS="${parts[*]}" RECORD=$scratch/record SERVER_LOG=$scratch/pg/log \
        QUEUE_WORKER=$build/test/queue/queue_worker QUEUE_ADD=$build/test/bench/queue_add NO_LOG_SUCCESS=1 \
        node_modules/node/bin/node --disable-warning=ExperimentalWarning queue.mjs) || die "the benchmark of the queue failed"
    while IFS= read -r line; do record+=("$line"); done <"$scratch/record"
    fsync_after=$(fdatasync_us)
    say "commit      fdatasync of 8 kB takes $fsync_after us after it"
    keep fdatasync_after_us "$fsync_after"
    keep seconds $((SECONDS - start))
    write_record
    say "in $((SECONDS - start)) s"
}
