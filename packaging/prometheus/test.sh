#!/usr/bin/env bash
# The alert rules: promtool takes them, each fires when it should (waymark.test.yml), and they and the dashboard speak only
# of metrics that there are (metrics.txt). Exit status 77: the names are right, the rest was skipped, there is no promtool.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
bad=0

# known FILE: every metric it names is in the list; a histogram has three names.
known() {
    local names
    names=$(grep -oE '\b(waymark|process)_[a-z0-9_]+' "$1" | sort -u)
    [[ $names ]] || { echo "${1##*/} names no metric" && return 1; }
    diff <(awk '!/^#/ { print $1 } $2 == "histogram" { print $1 "_bucket"; print $1 "_sum"; print $1 "_count" }' \
        "$here/../metrics.txt" | sort -u) - <<<"$names" | sed -n 's/^> /not in packaging\/metrics.txt: /p' >"$box/unknown"
    sed "s#^#${1##*/}: #" "$box/unknown"
    [[ ! -s $box/unknown ]]
}

box=$(mktemp -d /tmp/waymark-prometheus-XXXXXX)
trap 'rm -rf "$box"' EXIT
known "$here/waymark.rules.yml" || bad=1
known "$here/../grafana/waymark.json" || bad=1
if awk '!/^#/ && (NF < 3 || $2 !~ /^(counter|gauge|histogram)$/ || ($2 == "counter") != ($1 ~ /_total$/)) { print; odd = 1 }
        END { exit !odd }' "$here/../metrics.txt"; then
    echo "metrics.txt: a line is not \"name type help\", or a counter does not end in _total"
    bad=1
fi
((bad == 0)) || exit 1

promtool=$(command -v promtool || true)
if [[ -x $top/build/prometheus/usr/bin/promtool ]]; then promtool=$top/build/prometheus/usr/bin/promtool; fi
[[ $promtool ]] || { echo "promtool is not there: ./dev test unpacks it" && exit 77; }
"$promtool" check rules "$here/waymark.rules.yml"
# So do the dashboard's queries, as the rules they could be.
{
    printf 'groups:\n- name: dashboard\n  rules:\n'
    sed -n 's/^ *"expr": \(".*"\),$/\1/p' "$here/../grafana/waymark.json" |
        sed -e 's/\$__rate_interval/5m/g' -e 's/.*/  - record: a\n    expr: &/' | awk '/record/ { $0 = $0 NR } { print }'
} >"$box/dashboard.yml"
(($(grep -c record: "$box/dashboard.yml") >= 30)) || { echo "hardly a query was found in the dashboard" && exit 1; }
"$promtool" check rules "$box/dashboard.yml"
# Every rule has a test.
diff <(sed -n 's/.*- alert: //p' "$here/waymark.rules.yml" | sort) \
    <(sed -n 's/.*- alertname: //p' "$here/waymark.test.yml" | sort -u) || { echo "rules and tests differ" && exit 1; }
# What a summary says is nobody's business here.
sed -E '/^ +annotations:$/d; /^ +(summary|description):/d' "$here/waymark.rules.yml" >"$box/waymark.rules.yml"
cp "$here/waymark.test.yml" "$box"
"$promtool" test rules "$box/waymark.test.yml"
