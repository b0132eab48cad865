/* waymark-sim: a Strava for tests. See README.md. */
#include "sim/sim.h"

#include <getopt.h>

enum { STOP_EXIT = 0, USAGE_EXIT = 2, FAILED_EXIT = 1 };

static const char help[] =
    "usage: waymark-sim [OPTION]...\n"
    "A Strava for tests: OAuth, API v3 and webhooks with made-up athletes, a clock and faults.\n"
    "\n"
    "  --listen HOST:PORT       where; default 127.0.0.1:0, any free port\n"
    "  --seed N                 what all chance comes from; default 1\n"
    "  --preset NAME            none, tiny, demo, big, ties or edge; default tiny\n"
    "  --athletes N             so many, with ids from 9001; default 1\n"
    "  --clock ISO|now          the virtual time at the start; default now\n"
    "  --client-id N            default 1001\n"
    "  --client-secret TEXT     default sim-secret-1001\n"
    "  --callback-domain HOST   of redirect URIs; default localhost\n"
    "  --limits R15,RDAY/O15,ODAY  read and overall quota; default 100,1000/200,2000\n"
    "  --capacity N             athletes that may be connected at once; default 0, any number\n"
    "  --near FILE.geojson      the trail that some activities follow; default a made-up one\n"
    "  --help\n"
    "\n"
    "Prints \"listening http://HOST:PORT\" when it is ready. SIGTERM ends it.\n";

/* ---- options -----------------------------------------------------------------------------------
 */

struct options {
    const char *listen, *clock;
};

enum {
    OPT_LISTEN = 256,
    OPT_SEED,
    OPT_PRESET,
    OPT_ATHLETES,
    OPT_CLOCK,
    OPT_CLIENT_ID,
    OPT_CLIENT_SECRET,
    OPT_CALLBACK_DOMAIN,
    OPT_LIMITS,
    OPT_CAPACITY,
    OPT_NEAR,
    OPT_HELP
};

static const struct option longs[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"seed", required_argument, NULL, OPT_SEED},
    {"preset", required_argument, NULL, OPT_PRESET},
    {"athletes", required_argument, NULL, OPT_ATHLETES},
    {"clock", required_argument, NULL, OPT_CLOCK},
    {"client-id", required_argument, NULL, OPT_CLIENT_ID},
    {"client-secret", required_argument, NULL, OPT_CLIENT_SECRET},
    {"callback-domain", required_argument, NULL, OPT_CALLBACK_DOMAIN},
    {"limits", required_argument, NULL, OPT_LIMITS},
    {"capacity", required_argument, NULL, OPT_CAPACITY},
    {"near", required_argument, NULL, OPT_NEAR},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int number(const char *text, int64_t max, int64_t *ret)
{
    return span_to_i64(span_of(text), 0, max, ret);
}

static int read_limits(struct sim *s, const char *text)
{
    int64_t *l = &s->conf.limit[0][0];
    for (int i = 0; i < 4; i++) {
        size_t n = strcspn(text, ",/");
        if (span_to_i64((struct span){text, n}, 0, INT32_MAX, &l[i]) < 0)
            return -1;
        text += n;
        if (*text != (i == 3 ? '\0' : i == 1 ? '/' : ','))
            return -1;
        text += i < 3;
    }
    return 0;
}

static int take_option(struct sim *s, struct options *o, int option, const char *value)
{
    int64_t seed = 0;
    switch (option) {
    case OPT_LISTEN:
        o->listen = value;
        return 0;
    case OPT_SEED:
        if (number(value, INT64_MAX, &seed) < 0)
            return -1;
        s->conf.seed = (uint64_t)seed;
        return 0;
    case OPT_PRESET:
        s->conf.preset = value;
        return preset_exists(value) ? 0 : -1;
    case OPT_ATHLETES:
        return number(value, ATHLETES_MAX, &s->conf.athletes);
    case OPT_CLOCK:
        o->clock = value;
        return 0;
    case OPT_CLIENT_ID:
        return number(value, INT64_MAX, &s->client_id);
    case OPT_CLIENT_SECRET:
        s->client_secret = value;
        return 0;
    case OPT_CALLBACK_DOMAIN:
        snprintf(s->conf.settings.callback_domain, sizeof(s->conf.settings.callback_domain), "%s",
                 value);
        return 0;
    case OPT_LIMITS:
        return read_limits(s, value);
    case OPT_CAPACITY:
        return number(value, ATHLETES_MAX, &s->conf.settings.capacity);
    case OPT_NEAR:
        s->near = value;
        return 0;
    default:
        return -1;
    }
}

/* -1: go on; else the status to end with. */
static int read_options(struct sim *s, struct options *o, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == OPT_HELP) {
            fputs(help, stdout);
            return STOP_EXIT;
        }
        if (option == '?')
            return USAGE_EXIT;
        if (take_option(s, o, option, optarg) < 0) {
            fprintf(stderr, "waymark-sim: --%s %s is not allowed; see --help\n",
                    longs[option - OPT_LISTEN].name, optarg);
            return USAGE_EXIT;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "waymark-sim: what is %s? see --help\n", argv[optind]);
        return USAGE_EXIT;
    }
    return -1;
}

static void set_defaults(struct sim *s)
{
    static const int64_t limit[BUDGETS][2] = {{100, 1000}, {200, 2000}};
    s->client_id = 1001;
    s->client_secret = "sim-secret-1001";
    s->conf = (struct world_conf){.seed = 1,
                                  .preset = "tiny",
                                  .athletes = 1,
                                  .settings = {.rotation = ROTATE_ALWAYS,
                                               .token_life_s = 21600,
                                               .code_life_s = 600,
                                               .delivery_parallel = 8,
                                               .auto_reuse = true,
                                               .chunked = true,
                                               .gzip = true,
                                               .callback_domain = "localhost"}};
    memcpy(s->conf.limit, limit, sizeof(limit));
}

/* ---- start and end -----------------------------------------------------------------------------
 */

void sim_use_world(struct sim *s, struct world *w)
{
    world_free(s->world);
    s->world = w;
    outbox_pump(s);
}

static int set_clock(struct sim *s, const char *clock, struct err *err)
{
    s->start_us = clock_wall_us();
    if (strcmp(clock, "now") != 0 && time_parse_iso(span_of(clock), &s->start_us, err) < 0)
        return err_wrap(err, "--clock");
    s->conf.anchor_us = s->start_us;
    sim_clock_set(s, s->start_us);
    return 0;
}

static int open_all(struct sim *s, const struct options *o, struct err *err)
{
    if (s->near && town_trail_read(s->near, &s->trail, err) < 0)
        return err_wrap(err, "--near");
    if (!s->near)
        town_trail(s->conf.seed, &s->trail);
    if (set_clock(s, o->clock, err) < 0)
        return -1;
    s->log = log_open();
    s->world = world_new(&s->trail, &s->conf);
    s->server = server_open(s, o->listen, err);
    return s->server ? 0 : -1;
}

static void on_stop(void *ctx, int signum)
{
    struct sim *s = ctx;
    (void)signum;
    s->closing = true;
    server_close(s->server);
    client_cut_all(s);
    uv_close((uv_handle_t *)&s->due, NULL);
    loop_signals_close(s->signals);
}

static void free_all(struct sim *s)
{
    for (int i = 0; i < SNAPSHOTS; i++)
        world_free(s->snapshot[i].world);
    world_free(s->world);
    logbook_free(s->log);
    line_done(&s->trail);
    track_done_recent();
}

static int run(struct sim *s, const struct options *o)
{
    struct err err;
    s->loop = loop_new(1, &err);
    if (!s->loop) {
        fprintf(stderr, "waymark-sim: %s\n", err.msg);
        return FAILED_EXIT;
    }
    CHECK(uv_timer_init(loop_uv(s->loop), &s->due) == 0);
    s->due.data = s;
    int rc = open_all(s, o, &err);
    if (rc < 0) {
        fprintf(stderr, "waymark-sim: %s\n", err.msg);
        uv_close((uv_handle_t *)&s->due, NULL);
    } else {
        s->signals = loop_signals_open(s->loop, on_stop, NULL, s);
        printf("listening http://%s\n", server_bound(s->server));
        fflush(stdout);
    }
    loop_run(s->loop);
    loop_free(s->loop);
    free_all(s);
    return rc < 0 ? FAILED_EXIT : 0;
}

int main(int argc, char **argv)
{
    static struct sim s;
    struct options o = {.listen = "127.0.0.1:0", .clock = "now"};
    set_defaults(&s);
    int status = read_options(&s, &o, argc, argv);
    return status >= 0 ? status : run(&s, &o);
}
