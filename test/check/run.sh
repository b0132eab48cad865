#!/usr/bin/env bash
# One check over a tree. usage: run.sh CHECK [ROOT]     exit status: 0 fine, 1 findings (one a line), 77 skipped
#
# ROOT is the repository, or for the self-test (selftest.sh) a small tree that must fail.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check=$1
cd "${2:-$here/../..}"
export LC_ALL=C.UTF-8

skip() {
    echo "$*"
    exit 77
}

c_files() { # FOLDER...
    find "$@" -path test/check/fixture -prune -o -name '*.[ch]' -print | sort
}

awk_check() { # SCRIPT ARGS...: mawk and gawk stop at a missing file, and an empty list would read stdin
    local files
    mapfile -t files < <(c_files src)
    awk -f "$here/$1" "${@:2}" "${files[@]}" </dev/null
}

# found TEXT: the lines on stdin are findings.
found() {
    local line bad=0
    while IFS= read -r line; do
        printf '%s: %s\n' "$line" "$1"
        bad=1
    done
    return $bad
}

case $check in
layers)
    awk_check layers.awk cmake/layers.txt
    ;;
banned)
    awk_check banned.awk
    ;;
length)
    awk_check length.awk
    ;;
headers)
    # Each header compiles alone, twice in one file, with both compilers.
    flags=$(pkg-config --cflags libuv libpq libcurl jansson libcrypto expat 2>/dev/null || true)
    list=$(find src -name '*.h' | sort)
    gen=${WAYMARK_GEN:-build/gen}
    bad=0
    for cc in gcc clang; do
        if ! command -v $cc >/dev/null; then
            echo "$cc is not installed"
            continue
        fi
        for header in $list; do
            # shellcheck disable=SC2086 # flags are words
            printf '#include "%s"\n#include "%s"\n' "${header#src/}" "${header#src/}" |
                $cc -fsyntax-only -std=gnu17 -D_GNU_SOURCE -DGEOS_USE_ONLY_R_API -Wall -Wextra -Werror -Isrc -Ideps \
                    -I"$gen" -isystem /usr/share/include/llhttp $flags -x c - || {
                echo "$header does not compile alone with $cc"
                bad=1
            }
        done
    done
    exit $bad
    ;;
format)
    # The version matters: each lays out a few things differently.
    tool=$(command -v clang-format-14 || command -v clang-format || true)
    [[ $tool ]] || skip "clang-format is not installed"
    version=$("$tool" --version | sed 's/.*version \([0-9]*\).*/\1/')
    [[ $version == 14 ]] || skip "clang-format 14 decides; this is $version"
    mapfile -t files < <(c_files src test deps 2>/dev/null)
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    { "$tool" --style="file:$here/../../.clang-format" --dry-run -Werror "${files[@]}" 2>&1 || true; } |
        sed -n 's/: error: .*/: not formatted, run .\/dev format/p' | sort -u -t: -k1,1 >"$list"
    cat "$list"
    [[ ! -s $list ]]
    ;;
config)
    # config.example.toml says what the program knows, no more and no less.
    [[ -f config.example.toml ]] || skip "config.example.toml is not there yet"
    "${WAYMARK_BINARY:-build/waymark}" config example | diff -u config.example.toml - || {
        echo "config.example.toml differs from the code: waymark config example > config.example.toml"
        exit 1
    }
    ;;
leftovers)
    # Notes to oneself belong into an issue; paths of one machine into nobody's checkout.
    bad=0
    { grep -rnoE '\b(TODO|FIXME|XXX)\b' src || true; } | found "an unfinished note" || bad=1
    { grep -rnoIE '(^|[^A-Za-z0-9_.])/(work|root|Users|home/[a-z]+)/[A-Za-z0-9_.-]+' . --exclude-dir=.git \
        --exclude-dir='build*' --exclude-dir=fixture || true; } | found "a path of one machine" || bad=1
    exit $bad
    ;;
shell)
    # Shell scripts pass shellcheck.
    command -v shellcheck >/dev/null || skip "shellcheck is not installed"
    mapfile -t files < <(grep -rlE --exclude-dir=.git --exclude-dir='build*' --exclude-dir=fixture -m1 '^#!(/usr/bin/env bash|/bin/(ba)?sh)$' .)
    # Left out: A && B || C where that is meant, $ in single quotes (awk, sed), functions that only a trap calls.
    shellcheck -e SC2015,SC2016,SC2317 "${files[@]}"
    ;;
*)
    echo "no check $check"
    exit 2
    ;;
esac
