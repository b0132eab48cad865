# bash completion for waymark. What there is to say is read from the program's own help, so it cannot be out of date.

# The lines "word<TAB>what it is" that may follow the given command words; options when $1 starts with "-".
_waymark_next() {
    local current=$1
    shift
    command waymark "$@" --help 2>/dev/null | awk -v given="$*" -v current="$current" '
        /^  --/ {
            if (current !~ /^-/) next
            doc = $0; sub(/^  --[a-z0-9-]+( [A-Z]+)? */, "", doc)
            print $1 "\t" doc
        }
        /^  [a-z]/ {
            n = split(given, words, " ")
            for (i = 1; i <= n; i++) if ($i != words[i]) next
            if ($(n + 1) !~ /^[a-z-]+$/ || seen[$(n + 1)]++) next
            doc = $0; sub(/^ +/, "", doc); doc = substr(doc, match(doc, /  +[^ ]/) ? RSTART + RLENGTH - 1 : 1)
            print $(n + 1) "\t" ($(n + 2) ~ /^[a-z]/ && $0 !~ ("^  " (given ? given " " : "") $(n + 1) "  ") ? "..." : doc)
        }'
}

# What the value of option $1 may be: words, or "FILE".
_waymark_values() {
    local option=$1
    shift
    command waymark "$@" --help 2>/dev/null | awk -v option="$option" '
        $1 == option && $2 ~ /^(FILE|DIR|PATH)$/ { print "FILE" }
        $1 == option && $2 ~ /^[A-Z]+$/ {
            doc = $0; sub(/^  --[a-z0-9-]+ [A-Z]+ */, "", doc); sub(/;.*/, "", doc)
            if (doc ~ /^[a-z]+(, [a-z]+)* or [a-z]+$/) { gsub(/, | or /, " ", doc); print doc }
        }'
}

_waymark() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word given=() found
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $word != -* ]]; then given+=("$word"); fi
    done
    if [[ $previous == --* ]]; then
        found=$(_waymark_values "$previous" "${given[@]}")
        if [[ $found == FILE ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
        elif [[ $found ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$found" -- "$current")
            return
        fi
    fi
    found=$(_waymark_next "$current" "${given[@]}" | cut -f1)
    if [[ ! $found && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$found" -- "$current")
    fi
}

complete -o filenames -F _waymark waymark
