# Includes point down the layers of cmake/layers.txt.
# usage: awk -f layers.awk cmake/layers.txt $(find src -name '*.[ch]')     (run in the root that holds src/)
#
# The include path has one root, so the compiler cannot stop an include that the layers forbid.
# Rules:
#   - a folder of src/ stands in layers.txt;
#   - a file includes its own folder, layer 0, and folders of lower layers; main.c may include all;
#   - of another folder only the public header x/x.h (and base/poison.h);
#   - app/ and cli/ are included by main.c and cli/ only;
#   - a *_work.c runs in worker threads: only base/, geo/ and its own folder;
#   - geo/ is pure: no uv, no libpq;
#   - no "../", and a name without a folder is a header next to the file, a generated statement list of the same
#     folder, or (base only) one of deps/.

function bad(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; errors++ }
function exists(path,   l, r) { r = (getline l < path) >= 0; close(path); return r }

FILENAME ~ /layers\.txt$/ {
    if ($1 ~ /^[0-9]+$/) level[$2] = $1
    next
}

FNR == 1 {
    n = split(FILENAME, part, "/")
    folder = n == 3 ? part[2] : n > 3 ? part[2] : "main"
    dir = FILENAME; sub(/[^\/]*$/, "", dir)
    work = FILENAME ~ /_work\.c$/
    if (folder != "main" && !(folder in level)) bad("folder " folder "/ stands in no layer (cmake/layers.txt)")
    else if (folder == "main" && part[n] != "main.c") bad("only main.c lies in src/ itself")
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    name = $0; sub(/^[^<]*</, "", name); sub(/>.*/, "", name)
    top = name; sub(/\/.*/, "", top)
    if (top != name && top in level) bad("<" name ">: own headers are included with quotes")
    if (folder == "geo" && name ~ /^(uv|libpq-fe|curl\/.*)\.?h?$/) bad("<" name ">: geo/ is pure computation")
    if (work && folder != "db" && name ~ /^(uv|libpq-fe)\.h$/) bad("<" name ">: a worker touches no loop and no database")
    next
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    if (name ~ /\.\.\//) { bad("\"" name "\": include from the root of src/, not by ../"); next }
    if (name !~ /\//) {
        if (name == folder "_sql.h" || name == folder "_files.h") next
        if (exists(dir name)) next
        if (folder == "base" && exists("deps/" name)) next
        bad("\"" name "\": neither next to this file nor the statements or files of " folder "/")
        next
    }
    top = name; sub(/\/.*/, "", top)
    if (!(top in level)) { bad("\"" name "\": " top "/ stands in no layer (cmake/layers.txt)"); next }
    if (folder == "main" || !(folder in level) || top == folder) next
    if (name != top "/" top ".h" && name != "base/poison.h") bad("\"" name "\": private to " top "/, include " top "/" top ".h")
    if (top == "app" || top == "cli") { if (!(folder == "cli" && top == "app")) bad("\"" name "\": nobody includes " top "/") }
    else if (work && top != "base" && top != "geo") bad("\"" name "\": a *_work.c may include only base/, geo/ and " folder "/")
    else if (level[top] > 0 && level[top] == level[folder]) bad("\"" name "\": sideways, " top "/ and " folder "/ are of one layer")
    else if (level[top] > level[folder]) bad("\"" name "\": upwards, from layer " level[folder] " to " level[top])
}

END { exit errors > 0 }
