# fish completion for waymark; as waymark.bash, from the program's own help.

function __waymark_next -d 'what may follow the words typed so far'
    set -l current (commandline -ct)
    set -l given
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a given $word
    end
    __waymark_lines "$current" $given
end

# The lines "word<TAB>what it is" that may follow the given command words; options when $argv[1] starts with "-".
function __waymark_lines
    set -l current $argv[1]
    set -l given $argv[2..-1]
    command waymark $given --help 2>/dev/null | awk -v given="$given" -v current="$current" '
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
            print $(n + 1) "\t" ($0 !~ ("^  " (given ? given " " : "") $(n + 1) "  ") && $(n + 2) ~ /^[a-z]/ ? "..." : doc)
        }'
end

# Files stay possible: they are what most commands take.
complete -c waymark -a '(__waymark_next)'
