#!/usr/bin/env bash
# Every check can fail. usage: selftest.sh CHECK
#
# fixture/CHECK is a small tree with one example of each thing that CHECK forbids; its file `expect` has one line a
# finding. The check must fail there, find all of them and nothing else in files named good*.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check=$1
tree=$here/fixture/$check
status=0
output=$("$here/run.sh" "$check" "$tree" 2>&1) || status=$?
if [[ $status == 77 ]]; then
    echo "$output"
    exit 77
fi
bad=0
if [[ $status != 1 ]]; then
    echo "expected exit status 1, got $status"
    bad=1
fi
while IFS= read -r line; do
    if [[ $line && $output != *"$line"* ]]; then
        echo "not found: $line"
        bad=1
    fi
done <"$tree/expect"
if grep -q 'good' <<<"$output"; then
    echo "found fault with what is fine:"
    grep 'good' <<<"$output"
    bad=1
fi
if ((bad)); then
    echo "the check printed:"
    echo "$output"
fi
exit $bad
