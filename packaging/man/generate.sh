#!/usr/bin/env bash
# The man page's commands and options, from the program's own help. usage: generate.sh [--check]
#
# Rewrites waymark.1 between its two marks; --check only compares. Environment: WAYMARK_BINARY.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
waymark=${WAYMARK_BINARY:-$here/../../build/waymark}

# Plain text for mdoc: no backslash, no request at the start of a line.
text() {
    sed -e 's/\\/\\e/g' -e "s/^\\([.']\\)/\\\\\&\\1/" <<<"$1"
}

# "[ID...]" and the like as mdoc arguments.
operands() {
    local word out=
    for word in $1; do
        if [[ $word == \[*\] ]]; then
            word=${word#[} word=${word%]}
            out+=" Op Ar ${word/.../ ...}"
        else
            out+=" Ar ${word/.../ ...}"
        fi
    done
    printf '%s' "$out"
}

# options WHICH: items of the help on stdin; WHICH is "own" (before --config) or "common" (from there).
options() {
    local line where=own
    while IFS= read -r line; do
        [[ $line =~ ^\ \ --([a-z0-9-]+)(\ ([A-Z]+))?\ +(.*)$ ]] || continue
        if [[ ${BASH_REMATCH[1]} == config ]]; then where=common; fi
        if [[ $1 != "$where" ]]; then continue; fi
        printf '.It Fl -%s%s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]:+ Ar ${BASH_REMATCH[3]}}"
        text "${BASH_REMATCH[4]}"
    done
}

generated() {
    local usage words given name text help list
    printf '.Bl -tag -width Ds\n'
    while IFS= read -r usage; do
        [[ $usage =~ ^\ \ ([a-z][a-z\ -]*[a-z])(\ |$) ]] || continue
        # Words in small letters, as many as are a command's.
        read -ra words <<<"$usage"
        name=() given=() help=
        for word in "${words[@]}"; do
            [[ $word =~ ^[a-z-]+$ ]] || break
            given+=("$word")
            text=$("$waymark" "${given[@]}" --help 2>&1) || true
            if [[ $text == "usage: waymark ${given[*]} "* ]]; then
                name=("${given[@]}") help=$text
            elif [[ $help ]]; then
                break
            fi
        done
        [[ $help =~ ^usage:\ waymark\ ${name[*]}\ ?(.*)\ ?\[options\] ]] || continue
        printf '.It Cm %s%s\n' "${name[*]}" "$(operands "${BASH_REMATCH[1]}")"
        text "$(sed -n 2p <<<"$help")"
        list=$(options own <<<"$help")
        if [[ $list ]]; then printf '.Bl -tag -width Ds -compact\n%s\n.El\n' "$list"; fi
    done < <("$waymark" --help | sed -n '/^Commands:/,/^$/p')
    printf '.El\n.Ss Common options\n.Bl -tag -width Ds -compact\n'
    "$waymark" config example --help | options common
    printf '.El\n'
}

new=$(mktemp) body=$(mktemp)
trap 'rm -f "$new" "$body"' EXIT
generated >"$body"
awk -v body="$body" '
    /^\.\\" ---- generated/ { print; while ((getline line < body) > 0) print line; skip = 1; next }
    /^\.\\" ---- end/ { skip = 0 }
    !skip' "$here/waymark.1" >"$new"
if [[ ${1:-} == --check ]]; then
    diff -u "$here/waymark.1" "$new" || { echo "the man page is out of step: packaging/man/generate.sh" && exit 1; }
else
    cat "$new" >"$here/waymark.1"
fi
