#include "cli/internal.h"

struct check_ctx {
    struct cli *c;
    struct cli_table table;
    struct json_out json;
    struct buf out;
};

static void add_setting(void *ctx, const struct config_key *key, const char *value,
                        const char *source)
{
    struct check_ctx *x = ctx;
    if (x->c->json) {
        jo_begin_object(&x->json, NULL);
        jo_str(&x->json, "key", key->name);
        jo_str(&x->json, "value", value);
        jo_str(&x->json, "source", source);
        jo_end_object(&x->json);
        return;
    }
    const char **cell = cli_table_row(&x->table);
    cell[0] = arena_strdup(x->c->arena, key->name);
    cell[1] = arena_strdup(x->c->arena, value ? value : "");
    cell[2] = arena_strdup(x->c->arena, source);
}

int cli_config_check(struct cli *c)
{
    static const char *const head[] = {"setting", "value", "from"};
    struct check_ctx x = {.c = c};
    cli_table_init(&x.table, c->arena, head, COUNT_OF(head));
    x.json.buf = &x.out;
    if (c->json) {
        jo_begin_array(&x.json, NULL);
    }
    config_each(c->config, add_setting, &x);
    if (c->json) {
        jo_end_array(&x.json);
        puts(x.out.p);
    } else {
        cli_table_print(&x.table, stdout);
        printf("\nThe configuration is valid (%s).\n", c->config_file ? c->config_file : "no file");
    }
    buf_done(&x.out);
    return 0;
}

int cli_config_example(struct cli *c)
{
    (void)c;
    struct buf out = {0};
    app_config_example(&out);
    fputs(out.p, stdout);
    buf_done(&out);
    return 0;
}
