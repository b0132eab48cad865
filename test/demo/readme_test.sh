#!/usr/bin/env bash
# The README is true: every command in it runs, and its tables are what the program says.
# usage: readme_test.sh [settings]     settings: prints the table of settings for the README
# Environment: WAYMARK_BINARY. Exit status 77: skipped, no PostgreSQL with PostGIS here.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
waymark=$(realpath "${WAYMARK_BINARY:-$top/build/waymark}")
bad=0

complain() {
    echo "$*"
    bad=1
}

# One row a setting, from the example file: its comment, then its name and default.
settings() {
    "$waymark" config example | awk '
        /^\[/ { gsub(/[][]/, ""); section = $0; next }
        /^# [a-z_]+ = / && section {
            split(substr($0, 3), part, " = "); gsub(/"/, "", part[2])
            old = ""
            if (match(doc, /; also environment /)) {
                old = "`" substr(doc, RSTART + 19) "`"; gsub(/, /, "`, `", old); doc = substr(doc, 1, RSTART - 1)
            }
            gsub(/\|/, ", ", doc)
            value = part[2] == "" ? "" : "`" part[2] "`"
            printf "| `%s.%s` | %s | %s | %s |\n", section, part[1], value, old, doc
            next
        }
        /^# / { doc = substr($0, 3) }'
}

if [[ ${1:-} == settings ]]; then
    settings
    exit 0
fi

"$here/has_postgis.sh" || exit
# shellcheck disable=SC2016 # backquotes of the README
diff <(settings) <(grep -E '^\| `[a-z]+\.[a-z_]+` \|' "$top/README.md") ||
    complain "the README's table of settings is out of step: test/demo/readme_test.sh settings"
cmp <(sed 's/^    //' "$top/README.md" | grep -E '^(trail|Lantern) ') <(grep -hE '^(trail|Lantern) ' "$here/table.txt") ||
    complain "the README's table is not that of the demo, test/demo/table.txt"

# ---- a sandbox: a home of its own, a running service, and what the commands speak of ------------------------

box=$(mktemp -d /tmp/waymark-readme-XXXXXX)
chmod 755 "$box"
service=''
# shellcheck disable=SC2317 # called by the trap
finish() {
    if [[ $service ]]; then
        kill "$service" 2>/dev/null || true
        wait "$service" || true
    fi
    rm -rf "$box"
}
trap finish EXIT
unset "${!WAYMARK_@}" "${!POSTGRES_@}" "${!PROCESSOR_@}" "${!PG@}"
export HOME=$box/home XDG_STATE_HOME=$box/state XDG_CONFIG_HOME=$box/config PATH=$box/bin:$PATH
export WAYMARK_HTTP_LISTEN=off WAYMARK_ADMIN_LISTEN=off # two run at once here, beside others perhaps
mkdir -p "$HOME" "$box"/{state,config,bin,work,made/routes,made/activities}
awk -f "$here/walker.awk" -v out="$box/made"
cp "$box/made/routes/lantern-coast-path.gpx" "$box/work/coast-path.gpx"
cp -r "$box/made/activities" "$box/work"

wait_for_service() { # LOG PID
    until grep -qs 'waymark is running' "$1"; do
        kill -0 "$2" || { cat "$1"; return 1; }
        sleep 0.1
    done
}

# `waymark` is the real one, but `waymark serve` alone ends by itself, as by Ctrl-C, once it runs.
cat >"$box/bin/waymark" <<WRAPPER
#!/usr/bin/env bash
set -euo pipefail
$(declare -f wait_for_service)
if [[ \$* != serve ]]; then exec "$waymark" "\$@"; fi
"$waymark" serve 2>"$box/serve.log" &
wait_for_service "$box/serve.log" \$!
kill -INT \$!
wait \$!
WRAPPER
chmod 755 "$box/bin/waymark"

cd "$box/work"
"$waymark" serve 2>"$box/service.log" &
service=$!
wait_for_service "$box/service.log" $service
DATABASE_URL=$("$waymark" status --json | sed -n 's/^{"database":"\([^"]*\)".*/\1/p')
RESTORED_URL=${DATABASE_URL/dbname=waymark/dbname=restored}
export DATABASE_URL RESTORED_URL

# ---- the blocks ---------------------------------------------------------------------------------------------

# block N: the N-th ```sh block.
block() {
    awk -v want="$1" '/^```sh$/ { n++; inside = 1; next } /^```/ { inside = 0 } inside && n == want' "$top/README.md"
}

ran=0
for ((n = 1; ; n++)); do
    text=$(block $n)
    [[ $text ]] || break
    if [[ $text == *'./dev demo'* ]]; then
        # Its test is demo_test.sh; here only that nothing else has crept in.
        [[ $(sed -E '/^git clone [^ ]+ && cd waymark$/d; /^\.\/dev demo$/d' <<<"$text") == '' ]] ||
            complain "block $n has more than the two commands to set up"
        continue
    fi
    timeout 100 bash -euo pipefail -c "$text" >"$box/out" 2>&1 </dev/null || {
        complain "block $n ends with exit status $?:"
        printf '%s\n' "$text"
        cat "$box/out"
    }
    ran=$((ran + 1))
done
((ran >= 5)) || complain "only $ran blocks were found in the README"
[[ -s coast.svg && -s missing.gpx && -s waymark.dump ]] || complain "a file that the README's commands write is not there"
kill "$service"
wait "$service" || complain "the service ended with exit status $?"
service=''
exit $bad
