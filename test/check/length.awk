# Functions of at most 60 lines, files of at most 600.
# usage: awk -f length.awk $(find src -name '*.[ch]')
#
# In our layout (.clang-format) the braces of a function body, and only they, stand alone in the first column.
# A function that is better in one piece says so on the line before it: /* long-ok: reason */

function name_of(signature) {
    sub(/\(.*/, "", signature); sub(/[ \t]+$/, "", signature); sub(/.*[ \t*]/, "", signature)
    return signature
}
function file_end() {
    if (file != "" && lines > 600) { printf "%s: %d lines (600 allowed)\n", file, lines; errors++ }
}

FNR == 1 { file_end(); file = FILENAME; start = 0; waiver = 0; signature = "" }
{ lines = FNR }
/long-ok: [A-Za-z]/ && !start { waiver = 1 }
/^[A-Za-z_].*\(/ && !/;[ \t]*$/ && !start { signature = $0; first = FNR }
/^{/ && signature != "" { start = first }
/^}/ {
    if (start && FNR - start + 1 > 60 && !waiver) {
        printf "%s:%d: %s() has %d lines (60 allowed)\n", FILENAME, start, name_of(signature), FNR - start + 1
        errors++
    }
    start = 0; waiver = 0; signature = ""
}

END { file_end(); exit errors > 0 }
