# Calls that have no place in src/: blocking on the loop, unbounded, or around the part that owns the matter.
# usage: awk -f banned.awk $(find src -name '*.[ch]')
#
# Comments and strings are ignored. A line that must break the rule says why: /* banned-ok: reason */

function rule(calls, where, why,   n, i, a) {
    n = split(calls, a, " ")
    for (i = 1; i <= n; i++) { reason[a[i]] = why; allowed[a[i]] = " " where " " }
}

BEGIN {
    # base/poison.h stops these too, but only where it is included.
    rule("sprintf vsprintf strcpy strcat strncpy strncat gets alloca", "", "no bound; use buf_printf, snprintf or memcpy")
    rule("strtok asctime ctime gmtime localtime", "", "not reentrant")
    rule("atoi atol atoll atof strtod strtof", "base", "accepts rubbish or depends on the locale; use span_to_i64, span_to_f64")
    rule("setjmp longjmp sigsetjmp siglongjmp", "", "no jumps across frames of libuv, libpq or GEOS")
    rule("system popen", "", "a shell gets in between; use uv_spawn")
    rule("fork vfork", "", "use uv_spawn")
    rule("exit _exit quick_exit", "cli main loop", "only the top ends the process")
    rule("sleep usleep nanosleep", "", "blocks the loop; use a timer_op")
    rule("signal sigaction", "loop", "signals are the loop's")
    rule("rand srand random srandom drand48", "", "predictable and shared; use RAND_bytes")
    rule("getenv setenv putenv", "base loop db app cli main", "settings come through the configuration")
    rule("getaddrinfo gethostbyname", "", "blocks; use uv_getaddrinfo")
    rule("uv_queue_work uv_run uv_default_loop uv_loop_init", "loop", "belongs to loop/")
    rule("PQexec PQexecParams PQexecPrepared PQprepare PQconnectdb PQconnectdbParams PQsetdbLogin PQping PQpingParams PQreset", "", \
         "blocks the loop; use a db_unit")
    rule("PQcancel", "db_work", "blocks; only in db/db_work.c, on a worker")
    rule("PQfn PQputCopyData PQsendQuery", "db", "not possible in pipeline mode; use a statement file")
    rule("curl_easy_perform curl_multi_wait curl_multi_poll", "", "blocks; use fetch/")
    rule("setlocale uselocale", "main base", "numbers are parsed and printed in the C locale everywhere")
    rule("printf puts putchar vprintf perror", "cli base main", "output is for cli/, everybody else logs")
    rule("malloc calloc realloc strdup strndup asprintf", "base", "use the mem_ functions: they abort or are called try_")
}

FNR == 1 {
    n = split(FILENAME, part, "/")
    folder = n >= 3 ? part[2] : "main"
    file = part[n]; sub(/\.[ch]$/, "", file)
    comment = 0
}

{
    ok = /banned-ok: [A-Za-z]/
    if (/banned-ok/ && !ok) { printf "%s:%d: banned-ok without a reason\n", FILENAME, FNR; errors++ }
    text = $0
    if (text ~ /^[ \t]*#[ \t]*pragma/) next
    gsub(/\\./, "", text)
    gsub(/"[^"]*"/, "\"\"", text)
    if (comment) {
        if (!sub(/^.*\*\//, "", text)) next
        comment = 0
    }
    while (match(text, /\/\*/)) {
        head = substr(text, 1, RSTART - 1); tail = substr(text, RSTART + 2)
        if (match(tail, /\*\//)) text = head " " substr(tail, RSTART + 2)
        else { text = head; comment = 1 }
    }
    sub(/\/\/.*/, "", text)
    if (ok) next
    while (match(text, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        before = RSTART > 1 ? substr(text, RSTART - 1, 1) : ""
        before2 = RSTART > 2 ? substr(text, RSTART - 2, 2) : ""
        name = substr(text, RSTART, RLENGTH - 1); sub(/[ \t]+$/, "", name)
        text = substr(text, RSTART + RLENGTH)
        if (before == "." || before2 == "->") continue # a member of that name is no call of ours
        if (name in reason && index(allowed[name], " " folder " ") == 0 && index(allowed[name], " " file " ") == 0) {
            printf "%s:%d: %s: %s\n", FILENAME, FNR, name, reason[name]
            errors++
        }
    }
}

END { exit errors > 0 }
