/* Shared by the files of cli/ only. */
#pragma once

#include "app/app.h"
#include "cli/cli.h"

enum { CLI_MAX_OPTIONS = 24, CLI_DB_WAIT_MS = 10000 };

struct cli;
struct cli_command {
    const char *name;               /* "route import" */
    const char *operands;           /* "FILE..." for the usage line, or "" */
    int min_operands, max_operands; /* max < 0: any number */
    const char *options; /* names it takes besides the common ones, separated by spaces */
    const char *summary; /* one line */
    /* One of the two: run needs no database; body gives the flow that runs once the app is up. */
    int (*run)(struct cli *c);
    struct flow *(*body)(struct cli *c);
    enum app_schema schema;
    bool own_config;             /* its run loads the configuration itself, or needs none */
    bool service;                /* waits for its database as long as it takes */
    int (*check)(struct cli *c); /* of the values of its options; may be NULL */
};
extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* One invocation. */
struct cli {
    const struct cli_command *command;
    struct arena *arena;
    const char **operand;
    size_t noperands;
    struct {
        const char *name, *value;
    } option[CLI_MAX_OPTIONS];
    size_t noptions;
    bool json, quiet;
    char *const *envp;
    struct config *config;
    const char *config_file; /* read, or NULL */
    struct app app;
    struct op *running;     /* end of what a signal cancels: coming up, then the command's flow */
    struct op *stop;        /* of a service: finish it instead */
    void (*hup)(void *ctx); /* of a service: SIGHUP came; NULL: it does not mind */
    void *hup_ctx;
    struct config *replaced; /* the one before SIGHUP: what it says is still in use */
    bool stopping;           /* a signal came */
    int status;              /* of a command that did what it could: 1 if some of it failed */
    struct err err;
};
/* Value of an option as given, or NULL; flags give "". */
const char *cli_option(const struct cli *c, const char *name);
/* Numbers from options; -1 with a usage error. Absent: fallback. */
int cli_option_i64(struct cli *c, const char *name, int64_t min, int64_t max, int64_t fallback,
                   int64_t *ret) MUST_CHECK;
int cli_option_f64(struct cli *c, const char *name, double min, double max, double fallback,
                   double *ret) MUST_CHECK;

/* cli.c: file, environment and options, as they are now; NULL with *err. */
struct config *cli__load_config(struct cli *c, struct err *err) MUST_CHECK;
/* c->config is now this one. What was taken from the first lives on; one in between does not. */
void cli__config_replace(struct cli *c, struct config *now);

/* cli_help.c: no command was given, or none that there is. Returns the exit status. */
int cli__no_command(int argc, char **argv);

/* cli_run.c: up, the command's flow, down. Returns the exit status. */
int cli__run(struct cli *c);
/* Flows of commands are made before the app is up; they get at it by c->app. A command whose
 * options are wrong returns NULL with c->err filled. */

/* cli_flow.c: one statement and a function that prints its rows; most lists are that. */
struct flow *cli__query_flow(struct cli *c, const struct db_stmt *s,
                             void (*add)(struct cli *c, struct db_unit *u),
                             int (*show)(struct cli *c, const struct db_unit *u));
/* Finds the athlete meant: --athlete, or the only one there is. Errors name the choices. */
struct flow *cli__athlete_flow(struct cli *c, int64_t *ret);

/* cli_table.c: columns of text, right-aligned numbers, widths by display characters. */
struct cli_table {
    struct arena *arena;
    const char *const *head; /* ncols; a head starting with '>' is right-aligned */
    size_t ncols;
    struct {
        VEC(const char **);
    } row;
};
void cli_table_init(struct cli_table *t, struct arena *a, const char *const *head, size_t ncols);
const char **cli_table_row(struct cli_table *t); /* ncols cells to fill */
void cli_table_print(struct cli_table *t, FILE *out);

/* cli_progress.c: a bar on a terminal, a plain line every few seconds elsewhere, nothing with
 * --quiet or --json. */
struct cli_progress {
    const char *what;
    bool off, tty, drawn;
    int64_t started_ms, last_ms;
    double last_share;
};
void cli_progress_start(struct cli_progress *p, const struct cli *c, const char *what);
void cli_progress_set(struct cli_progress *p, uint64_t done, uint64_t total);
void cli_progress_clear(struct cli_progress *p); /* before printing a line */
void cli_progress_end(struct cli_progress *p);

/* The commands. */
int cli_doctor(struct cli *c);
int cli_health(struct cli *c);
int cli_alert_test(struct cli *c);
int cli_config_check(struct cli *c);
int cli_config_example(struct cli *c);
int cli_import_check(struct cli *c);
int cli_route_import_check(struct cli *c);
int cli_route_check(struct cli *c);
struct flow *cli_serve(struct cli *c);
struct flow *cli_process(struct cli *c);
struct flow *cli_migrate(struct cli *c);
struct flow *cli_admin_secret(struct cli *c);
struct flow *cli_sync_subscribe(struct cli *c);
struct flow *cli_sync_unsubscribe(struct cli *c);
struct flow *cli_import(struct cli *c);
struct flow *cli_alert_list(struct cli *c);
struct flow *cli_status(struct cli *c);
struct flow *cli_route_import(struct cli *c);
struct flow *cli_route_list(struct cli *c);
struct flow *cli_route_show(struct cli *c);
struct flow *cli_route_gaps(struct cli *c);
struct flow *cli_route_remove(struct cli *c);
int cli_athlete_export_check(struct cli *c);
int cli_athlete_erase_check(struct cli *c);
struct flow *cli_athlete_list(struct cli *c);
struct flow *cli_athlete_export(struct cli *c);
struct flow *cli_athlete_erase(struct cli *c);
int cli_jobs_list_check(struct cli *c);
int cli_jobs_show_check(struct cli *c);
int cli_jobs_change_check(struct cli *c);
int cli_jobs_pause_check(struct cli *c);
int cli_jobs_drain_check(struct cli *c);
int cli_jobs_cron_add_check(struct cli *c);
int cli_jobs_rates_set_check(struct cli *c);
struct flow *cli_jobs_list(struct cli *c);
struct flow *cli_jobs_show(struct cli *c);
struct flow *cli_jobs_change(struct cli *c); /* retry, cancel, discard, purge, move */
struct flow *cli_jobs_pause(struct cli *c);
struct flow *cli_jobs_resume(struct cli *c);
struct flow *cli_jobs_drain(struct cli *c);
struct flow *cli_jobs_cron_list(struct cli *c);
struct flow *cli_jobs_cron_add(struct cli *c);
struct flow *cli_jobs_cron_remove(struct cli *c);
struct flow *cli_jobs_cron_pause(struct cli *c); /* and resume */
struct flow *cli_jobs_cron_run(struct cli *c);
struct flow *cli_jobs_rates_list(struct cli *c);
struct flow *cli_jobs_rates_set(struct cli *c);
struct flow *cli_jobs_rates_remove(struct cli *c);
