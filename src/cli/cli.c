/* Options, help, and the choice of the command. */
#include "cli/internal.h"

static const struct {
    const char *name, *value, *doc; /* value NULL: a flag */
    bool common;
    const char *config; /* the setting it overrides */
} options[] = {
    {"athlete", "ID", "whose: an athlete's id", false, NULL},
    {"id", "ID", "id of the route; default: made from the file name", false, NULL},
    {"name", "TEXT", "name of the route; default: what the file says", false, NULL},
    {"tolerance", "M", "how far off the line still counts, 5 to 500 m; default 40", false, NULL},
    {"max-gap", "M", "join parts of a route at most this far apart; default 200 m", false, NULL},
    {"each", NULL, "every line of the file is a route of its own", false, NULL},
    {"format", "F", "table, gpx or geojson", false, NULL},
    {"min", "M", "leave out gaps shorter than this", false, NULL},
    {"top", "N", "only the N longest", false, NULL},
    {"wait", NULL, "first wait until everything that waits is done, with a bar", false, NULL},
    {"svg", "FILE", "draw covered and uncovered stretches into this file", false, NULL},
    {"retry-dead", NULL, "first put back what failed for good", false, NULL},
    {"queue", "Q", "jobs of this queue", false, NULL},
    {"kind", "K", "jobs of this kind", false, NULL},
    {"state", "S", "ready, waiting, blocked, running, dead or done; several with commas", false,
     NULL},
    {"error", "TEXT", "jobs whose last error has this in it", false, NULL},
    {"older", "T", "added, or dead, or done, at least so long ago (90s, 2h, 30d)", false, NULL},
    {"newer", "T", "added, or dead, or done, at most so long ago", false, NULL},
    {"limit", "N", "at most so many; default 50", false, NULL},
    {"to", "QUEUE", "the queue they go to", false, NULL},
    {"all", NULL, "all there are, without any other choice", false, NULL},
    {"dry-run", NULL, "only tell how many it would be", false, NULL},
    {"undo", NULL, "take it back: it may claim again", false, NULL},
    {"tz", "ZONE", "time zone of the schedule, as Europe/Zurich; default UTC", false, NULL},
    {"payload", "JSON", "a JSON object for the job", false, NULL},
    {"catchup", "HOW", "for times that passed while nobody ran: none, one (default) or all", false,
     NULL},
    {"prio", "N", "lower first; 0 to 9 is live work; default 0", false, NULL},
    {"cap15", "N", "at most so many in a quarter of an hour", false, NULL},
    {"capday", "N", "at most so many in a day (UTC)", false, NULL},
    {"reserve", "SHARE", "of them, kept for live work; default 0.3", false, NULL},
    {"batch-size", "N", "activities in one transaction", false, "processor.batch_size"},
    {"concurrency", "N", "batches in flight", false, "processor.concurrency"},
    {"interval", "T", "look for forgotten work this often (90s, 1h30m)", false,
     "processor.interval"},
    {"out", "FILE", "write to this file, which nobody else may read", false, NULL},
    {"yes", NULL, "do not ask", false, NULL},
    {"ready", NULL, "whether it can work now, not only whether it is alive", false, NULL},
    {"config", "FILE", "configuration file", true, NULL},
    {"database-url", "URL", "PostgreSQL to use", true, "database.url"},
    {"data-dir", "DIR", "folder of the private PostgreSQL", true, "data.dir"},
    {"log-level", "L", "debug, info, warn or error", true, "log.level"},
    {"json", NULL, "print JSON", true, NULL},
    {"quiet", NULL, "print no progress", true, NULL},
    {"help", NULL, "print this", true, NULL},
};

const struct cli_command cli_commands[] = {
    {.name = "serve",
     .operands = "",
     .options = "batch-size concurrency interval",
     .summary = "run the service",
     .body = cli_serve,
     .service = true},
    {.name = "process",
     .operands = "",
     .options = "batch-size concurrency retry-dead",
     .summary = "process everything that waits, then exit",
     .body = cli_process},
    {.name = "migrate",
     .operands = "",
     .options = "",
     .summary = "bring the database's schema up to date",
     .body = cli_migrate},
    {.name = "import",
     .operands = "PATH...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "athlete",
     .summary = "import recorded activities from GPX and GeoJSON files and folders",
     .check = cli_import_check,
     .body = cli_import},
    {.name = "route import",
     .operands = "FILE...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "id name tolerance max-gap each",
     .summary = "import routes from GPX and GeoJSON files",
     .check = cli_route_import_check,
     .body = cli_route_import},
    {.name = "route list",
     .operands = "",
     .options = "athlete",
     .summary = "routes, and how much of each is covered",
     .check = cli_route_check,
     .body = cli_route_list},
    {.name = "route show",
     .operands = "ROUTE",
     .min_operands = 1,
     .max_operands = 1,
     .options = "athlete svg",
     .summary = "one route; --svg draws it",
     .check = cli_route_check,
     .body = cli_route_show},
    {.name = "route gaps",
     .operands = "ROUTE",
     .min_operands = 1,
     .max_operands = 1,
     .options = "athlete format min top",
     .summary = "what is not covered yet, longest first",
     .check = cli_route_check,
     .body = cli_route_gaps},
    {.name = "route remove",
     .operands = "ROUTE...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "",
     .summary = "remove routes, with all credit on them",
     .body = cli_route_remove},
    {.name = "sync subscribe",
     .operands = "",
     .options = "",
     .summary = "make or mend the subscription to Strava's events now",
     .body = cli_sync_subscribe,
     .schema = APP_SCHEMA_CHECK},
    {.name = "sync unsubscribe",
     .operands = "",
     .options = "",
     .summary = "let Strava push no more events",
     .body = cli_sync_unsubscribe,
     .schema = APP_SCHEMA_CHECK},
    {.name = "athlete list",
     .operands = "",
     .options = "",
     .summary = "who is here, and how they stand with Strava",
     .body = cli_athlete_list,
     .schema = APP_SCHEMA_CHECK},
    {.name = "athlete export",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .options = "out",
     .summary = "all that is kept of an athlete, as GeoJSON",
     .check = cli_athlete_export_check,
     .body = cli_athlete_export,
     .schema = APP_SCHEMA_CHECK},
    {.name = "athlete erase",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .options = "yes",
     .summary = "withdraw the grant at Strava and erase everything of an athlete",
     .check = cli_athlete_erase_check,
     .body = cli_athlete_erase,
     .schema = APP_SCHEMA_CHECK},
    {.name = "admin secret",
     .operands = "",
     .options = "",
     .summary = "make a new secret for the admin pages, and log everybody out of them",
     .body = cli_admin_secret},
    {.name = "alert test",
     .operands = "[DESTINATION]",
     .max_operands = 1,
     .options = "",
     .summary = "send a message to each destination of alerts, or to one",
     .run = cli_alert_test},
    {.name = "alert list",
     .operands = "",
     .options = "",
     .summary = "states that alerts are about, the bad ones first",
     .body = cli_alert_list,
     .schema = APP_SCHEMA_CHECK},
    {.name = "status",
     .operands = "",
     .options = "wait",
     .summary = "what is stored, what waits, who works",
     .body = cli_status,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs list",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete error older newer state limit",
     .summary = "jobs: what runs, what is dead, what else there is; --state done: history",
     .check = cli_jobs_list_check,
     .body = cli_jobs_list,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs show",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .options = "",
     .summary = "all that is known of one job",
     .check = cli_jobs_show_check,
     .body = cli_jobs_show,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs retry",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete error older newer state all dry-run",
     .summary = "put dead letters back, and make jobs that wait ready now",
     .check = cli_jobs_change_check,
     .body = cli_jobs_change,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cancel",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete error older newer state all dry-run",
     .summary = "take jobs out; those that run are asked to stop",
     .check = cli_jobs_change_check,
     .body = cli_jobs_change,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs discard",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete error older newer all dry-run",
     .summary = "throw dead letters away",
     .check = cli_jobs_change_check,
     .body = cli_jobs_change,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs purge",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete older newer all dry-run",
     .summary = "forget finished jobs",
     .check = cli_jobs_change_check,
     .body = cli_jobs_change,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs move",
     .operands = "[ID...]",
     .max_operands = -1,
     .options = "queue kind athlete error older newer state to all dry-run",
     .summary = "put jobs that do not run into another queue",
     .check = cli_jobs_change_check,
     .body = cli_jobs_change,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs pause",
     .operands = "",
     .options = "queue kind athlete",
     .summary = "claim nothing of a queue, or of a kind or an athlete in it",
     .check = cli_jobs_pause_check,
     .body = cli_jobs_pause,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs resume",
     .operands = "",
     .options = "queue kind athlete all",
     .summary = "claim it again; --all: every pause of the queue ends",
     .check = cli_jobs_pause_check,
     .body = cli_jobs_resume,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs drain",
     .operands = "INSTANCE",
     .min_operands = 1,
     .max_operands = 1,
     .options = "undo",
     .summary = "let an instance claim nothing more, and wait until it runs nothing",
     .check = cli_jobs_drain_check,
     .body = cli_jobs_drain,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron list",
     .operands = "",
     .options = "",
     .summary = "schedules, and when they come",
     .body = cli_jobs_cron_list,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron add",
     .operands = "NAME SPEC",
     .min_operands = 2,
     .max_operands = 2,
     .options = "queue kind tz payload catchup prio",
     .summary = "a job at times as in crontab: '30 4 * * 1', @daily",
     .check = cli_jobs_cron_add_check,
     .body = cli_jobs_cron_add,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron remove",
     .operands = "NAME...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "",
     .summary = "remove schedules",
     .body = cli_jobs_cron_remove,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron pause",
     .operands = "NAME...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "",
     .summary = "let schedules rest",
     .body = cli_jobs_cron_pause,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron resume",
     .operands = "NAME...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "",
     .summary = "let schedules go on from now",
     .body = cli_jobs_cron_pause,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs cron run",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .options = "",
     .summary = "add the job of a schedule now",
     .body = cli_jobs_cron_run,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs rates list",
     .operands = "",
     .options = "",
     .summary = "limits, and what is left of them",
     .body = cli_jobs_rates_list,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs rates set",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .options = "cap15 capday reserve",
     .summary = "limit the jobs that use a rate, over all instances",
     .check = cli_jobs_rates_set_check,
     .body = cli_jobs_rates_set,
     .schema = APP_SCHEMA_CHECK},
    {.name = "jobs rates remove",
     .operands = "NAME...",
     .min_operands = 1,
     .max_operands = -1,
     .options = "",
     .summary = "remove limits",
     .body = cli_jobs_rates_remove,
     .schema = APP_SCHEMA_CHECK},
    {.name = "doctor",
     .operands = "",
     .options = "",
     .summary = "check all that a set-up needs, and tell what is wrong and what to do",
     .run = cli_doctor,
     .own_config = true},
    {.name = "health",
     .operands = "",
     .options = "ready",
     .summary = "ask the running service whether it is well: exit status 0 or 1",
     .run = cli_health},
    {.name = "config check",
     .operands = "",
     .options = "",
     .summary = "check the configuration and show where each value comes from",
     .run = cli_config_check},
    {.name = "config example",
     .operands = "",
     .options = "",
     .summary = "print a configuration file with all defaults",
     .run = cli_config_example,
     .own_config = true},
};
const size_t cli_command_count = COUNT_OF(cli_commands);

static bool takes(const struct cli_command *cmd, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = cmd->options; (p = strstr(p, name)); p += n) {
        if ((p == cmd->options || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static void print_help(const struct cli_command *cmd)
{
    printf("usage: waymark %s%s%s [options]\n%s\n\n", cmd->name, *cmd->operands ? " " : "",
           cmd->operands, cmd->summary);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (options[i].common || takes(cmd, options[i].name)) {
            char left[40];
            snprintf(left, sizeof(left), "--%s%s%s", options[i].name, options[i].value ? " " : "",
                     options[i].value ? options[i].value : "");
            printf("  %-22s %s\n", left, options[i].doc);
        }
    }
}

const char *cli_option(const struct cli *c, const char *name)
{
    for (size_t i = c->noptions; i-- > 0;) {
        if (strcmp(c->option[i].name, name) == 0) {
            return c->option[i].value;
        }
    }
    return NULL;
}

int cli_option_i64(struct cli *c, const char *name, int64_t min, int64_t max, int64_t fallback,
                   int64_t *ret)
{
    const char *v = cli_option(c, name);
    *ret = fallback;
    if (v && span_to_i64(span_of(v), min, max, ret) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--%s %s: must be a whole number from %lld to %lld", name, v, (long long)min,
                       (long long)max);
    }
    return 0;
}

int cli_option_f64(struct cli *c, const char *name, double min, double max, double fallback,
                   double *ret)
{
    const char *v = cli_option(c, name);
    *ret = fallback;
    if (v && (span_to_f64(span_of(v), ret) != 0 || *ret < min || *ret > max)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--%s %s: must be a number from %g to %g",
                       name, v, min, max);
    }
    return 0;
}

/* --name value, --name=value, --flag. Returns how many arguments it was, or -1. */
static int take_option(struct cli *c, int argc, char **argv, int at)
{
    const char *arg = argv[at] + 2, *eq = strchr(arg, '=');
    size_t n = eq ? (size_t)(eq - arg) : strlen(arg);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (strlen(options[i].name) != n || strncmp(options[i].name, arg, n) != 0 ||
            !(options[i].common || takes(c->command, options[i].name))) {
            continue;
        }
        const char *value = eq ? eq + 1 : options[i].value && at + 1 < argc ? argv[at + 1] : NULL;
        if ((options[i].value != NULL) != (value != NULL) || c->noptions == CLI_MAX_OPTIONS) {
            return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--%s %s", options[i].name,
                           c->noptions == CLI_MAX_OPTIONS ? "comes after too many options"
                           : options[i].value             ? "needs a value"
                                                          : "takes no value");
        }
        c->option[c->noptions].name = options[i].name;
        c->option[c->noptions++].value = value ? value : "";
        return options[i].value && !eq ? 2 : 1;
    }
    return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                   "waymark %s has no option --%.*s: see waymark %s --help", c->command->name,
                   (int)n, arg, c->command->name);
}

static int parse(struct cli *c, int argc, char **argv, int at)
{
    static char help[] = "--help";
    bool literal = false;
    c->operand = arena_new_array(c->arena, const char *, (size_t)argc + 1);
    while (at < argc) {
        int used = 1;
        if (!literal && strcmp(argv[at], "--") == 0) {
            literal = true;
        } else if (!literal && strcmp(argv[at], "-h") == 0) {
            used = take_option(c, 1, (char *[]){help}, 0);
        } else if (!literal && strncmp(argv[at], "--", 2) == 0) {
            used = take_option(c, argc, argv, at);
        } else {
            c->operand[c->noperands++] = argv[at];
        }
        if (used < 0) {
            return -1;
        }
        at += used;
    }
    c->json = cli_option(c, "json") != NULL;
    c->quiet = cli_option(c, "quiet") != NULL || c->json;
    const struct cli_command *cmd = c->command;
    if (cli_option(c, "help")) {
        return 0;
    }
    if ((int)c->noperands < cmd->min_operands ||
        (cmd->max_operands >= 0 && (int)c->noperands > cmd->max_operands)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "usage: waymark %s%s%s [options]",
                       cmd->name, *cmd->operands ? " " : "", cmd->operands);
    }
    return 0;
}

/* How many words of the name the arguments start with; 0 if not all of them. */
static int match_words(const char *name, int argc, char **argv)
{
    int words = 0;
    for (const char *p = name; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        const char *arg = words + 1 < argc ? argv[words + 1] : "";
        if (strlen(arg) != n || strncmp(arg, p, n) != 0) {
            return 0;
        }
        words++;
        p += n;
    }
    return words;
}

/* The longest command whose words the arguments start with. */
static const struct cli_command *find_command(int argc, char **argv, int *words)
{
    const struct cli_command *found = NULL;
    for (size_t i = 0; i < cli_command_count; i++) {
        int n = match_words(cli_commands[i].name, argc, argv);
        if (n > *words) {
            found = &cli_commands[i];
            *words = n;
        }
    }
    return found;
}

struct config *cli__load_config(struct cli *c, struct err *err)
{
    struct app_flag flag[COUNT_OF(options)];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const char *v = options[i].config ? cli_option(c, options[i].name) : NULL;
        if (v) {
            flag[n++] = (struct app_flag){options[i].config, v};
        }
    }
    return app_config_load(cli_option(c, "config"), c->envp, flag, n, c->arena, &c->config_file,
                           err);
}

void cli__config_replace(struct cli *c, struct config *now)
{
    if (c->replaced) {
        config_free(c->config);
    } else {
        c->replaced = c->config;
    }
    c->config = now;
}

static int run_command(struct cli *c)
{
    /* Before anything is started for it. */
    if (c->command->check && c->command->check(c) != 0) {
        return -1;
    }
    if (c->command->own_config) {
        return c->command->run(c);
    }
    c->config = cli__load_config(c, &c->err);
    if (!c->config) {
        return -1;
    }
    app_log_init(c->config);
    if (c->command->run) {
        return c->command->run(c);
    }
    return cli__run(c);
}

int cli_main(int argc, char **argv, char **envp)
{
    int words = 0;
    mem_init();
    const struct cli_command *cmd = find_command(argc, argv, &words);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("waymark " WAYMARK_VERSION);
        return 0;
    }
    if (!cmd) {
        return cli__no_command(argc, argv);
    }
    struct cli c = {.command = cmd, .arena = arena_new(0), .envp = envp};
    int rc = parse(&c, argc, argv, words + 1);
    if (rc == 0 && cli_option(&c, "help")) {
        print_help(cmd);
    } else if (rc == 0) {
        rc = run_command(&c);
    }
    int status = c.status;
    if (rc != 0) {
        fprintf(stderr, "waymark: %s\n", c.err.msg);
        status = err_exit_status(&c.err);
    }
    config_free(c.config);
    config_free(c.replaced);
    log_forget_secrets();
    arena_free(c.arena);
    return status;
}
