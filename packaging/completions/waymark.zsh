#compdef waymark
# zsh completion for waymark; as waymark.bash, from the program's own help.

# The lines "word:what it is" that may follow the given command words; options when $1 starts with "-".
_waymark_next() {
    local current=$1
    shift
    command waymark "$@" --help 2>/dev/null | awk -v given="$*" -v current="$current" '
        /^  --/ {
            if (current !~ /^-/) next
            doc = $0; sub(/^  --[a-z0-9-]+( [A-Z]+)? */, "", doc)
            print $1 ":" doc
        }
        /^  [a-z]/ {
            n = split(given, words, " ")
            for (i = 1; i <= n; i++) if ($i != words[i]) next
            if ($(n + 1) !~ /^[a-z-]+$/ || seen[$(n + 1)]++) next
            doc = $0; sub(/^ +/, "", doc); doc = substr(doc, match(doc, /  +[^ ]/) ? RSTART + RLENGTH - 1 : 1)
            print $(n + 1) ":" ($0 !~ ("^  " (given ? given " " : "") $(n + 1) "  ") && $(n + 2) ~ /^[a-z]/ ? "..." : doc)
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
    local current=${words[CURRENT]} previous=${words[CURRENT - 1]} found
    local -a given lines
    given=(${${words[2,CURRENT - 1]}:#-*})
    if [[ $previous == --* ]]; then
        found=$(_waymark_values "$previous" $given)
        if [[ $found == FILE ]]; then
            _files
            return
        elif [[ -n $found ]]; then
            compadd -- ${=found}
            return
        fi
    fi
    lines=(${(f)"$(_waymark_next "$current" $given)"})
    if (( $#lines )); then
        _describe -o waymark lines
    else
        _files
    fi
}

# Loaded from fpath it is called at once; tests only source it.
if [[ ${funcstack[1]} == _waymark ]]; then
    _waymark "$@"
fi
