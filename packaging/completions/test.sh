#!/usr/bin/env bash
# The completions offer every command and every option that the program has, and nothing else; bash, and zsh and fish
# where they are installed. Environment: WAYMARK_BINARY.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
box=$(mktemp -d /tmp/waymark-completions-XXXXXX)
trap 'rm -rf "$box"' EXIT
ln -s "$(realpath "${WAYMARK_BINARY:-$here/../../build/waymark}")" "$box/waymark"
PATH=$box:$PATH
bad=0

# ask SHELL CURRENT WORD...: the words offered, sorted.
ask() {
    local shell=$1
    shift
    case $shell in
    bash) bash -c '. "$0/waymark.bash"; _waymark_next "$@" | cut -f1' "$here" "$@" ;;
    zsh) zsh -fc '. "$0/waymark.zsh"; _waymark_next "$@" | cut -d: -f1' "$here" "$@" ;;
    fish) fish --no-config -c 'source '"$here"'/waymark.fish; __waymark_lines $argv | cut -f1' -- "$@" ;;
    esac | sort
}

# expect SHELL FILE ARGS...: what ask says is what the file has.
expect() {
    local shell=$1 want=$2
    shift 2
    diff -u "$want" <(ask "$shell" "$@") || {
        echo "$shell offers something else after: waymark ${*:2} $1"
        bad=1
    }
}

waymark --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z -]*[a-z]\).*/\1/p' | sed -E 's/ {2,}.*//' >"$box/lines"
# A command's words end where its help says so: the rest of such a line is its first operand or its summary.
while IFS= read -r line; do
    name='' command=''
    for word in $line; do
        name+=${name:+ }$word
        # shellcheck disable=SC2086 # words
        if waymark $name --help 2>/dev/null | grep -q "^usage: waymark $name "; then
            command=$name # or the first words of a longer one
        elif [[ $command ]]; then
            break
        fi
    done
    echo "$command"
done <"$box/lines" >"$box/commands"
(($(wc -l <"$box/commands") >= 20)) || { echo "hardly a command was found in the help" && bad=1; }

for shell in bash zsh fish; do
    command -v $shell >/dev/null || continue
    cut -d' ' -f1 "$box/commands" | sort -u >"$box/want"
    expect $shell "$box/want" ''
    for group in athlete jobs route sync 'jobs cron'; do
        sed -n "s/^$group \([^ ]*\).*/\1/p" "$box/commands" | sort -u >"$box/want"
        # shellcheck disable=SC2086 # words
        expect $shell "$box/want" '' $group
    done
    for name in serve 'route show' 'jobs cron add' 'config example'; do
        # shellcheck disable=SC2086 # words
        waymark $name --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' | sort >"$box/want"
        # shellcheck disable=SC2086 # words
        expect $shell "$box/want" - $name
    done
done

# The whole way, as bash calls it.
offer() {
    bash -c '. "$0/waymark.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waymark; echo "${COMPREPLY[*]}"' "$here" "$@"
}
cd "$here"
[[ $(offer waymark jobs cron a) == add ]] || { echo "bash: jobs cron a" && bad=1; }
[[ $(offer waymark status --log-level i) == info ]] || { echo "bash: --log-level i" && bad=1; }
[[ $(offer waymark route show x --svg test.s) == test.sh ]] || { echo "bash: --svg takes a file" && bad=1; }
[[ $(offer waymark import test.s) == test.sh ]] || { echo "bash: import takes a file" && bad=1; }
exit $bad
