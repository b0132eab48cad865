/* The database, and who did what. */
#include "web/internal.h"

#include <math.h>

/* ---- the database ---------------------------------------------------------------------------- */

enum { CALL_SERVER = 1, CALL_OLD = 2, CALL_TABLES = 3 };

int web__database_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_database);
    db_add(u, &SQL_web_database_old);
    db_add(u, &SQL_web_database_tables);
    return 0;
}

static void size(struct buf *b, int64_t bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t i = 0;
    while (n >= 10000 && i + 1 < COUNT_OF(unit)) {
        n /= 1000;
        i++;
    }
    buf_printf(b, "%.0f %s", n, unit[i]);
}

static void server_facts(const struct web_view *v, struct buf *b)
{
    web__html(b, "<dl>\n<dt>Server</dt><dd>PostgreSQL %s, %s, up ", web__str(v, CALL_SERVER, 0, 0),
              web__str(v, CALL_SERVER, 0, 10));
    web__age(b, web__f64(v, CALL_SERVER, 0, 2));
    buf_puts(b, web__i64(v, CALL_SERVER, 0, 9) ? ", a read-only standby" : "");
    buf_puts(b, "</dd>\n<dt>Size</dt><dd>");
    size(b, web__i64(v, CALL_SERVER, 0, 1));
    web__html(b, "</dd>\n<dt>Sessions</dt><dd>%d of at most %d</dd>\n",
              web__i64(v, CALL_SERVER, 0, 3), web__i64(v, CALL_SERVER, 0, 4));
    web__html(b, "<dt>Schema</dt><dd>version %d</dd>\n<dt>Oldest transaction</dt><dd>",
              web__i64(v, CALL_SERVER, 0, 6));
    web__age(b, web__f64(v, CALL_SERVER, 0, 7));
    buf_puts(b, "</dd>\n<dt>Notifications queued</dt><dd>");
    buf_printf(b, "%.2f %% of the room", 100 * web__f64(v, CALL_SERVER, 0, 5));
    buf_puts(b, "</dd>\n<dt>Age of the oldest row version</dt><dd>");
    web__count(b, web__i64(v, CALL_SERVER, 0, 8));
    buf_puts(b, " transactions; vacuum forces itself at 200 million</dd>\n</dl>\n");
}

void web__database_draw(struct web_view *v, struct buf *b)
{
    server_facts(v, b);
    web__table(b, "Open transactions, the oldest first",
               "#Pid|User|Program|State|#Age|#Row versions held|Waits for|Query");
    for (int i = 0; i < db_rows(v->u, CALL_OLD); i++) {
        web__row(b);
        web__number_cell(b);
        web__html(b, "%d", web__i64(v, CALL_OLD, i, 0));
        for (int col = 1; col <= 3; col++) {
            web__text_cell(v, b, CALL_OLD, i, col);
        }
        web__age_cell(b, web__f64(v, CALL_OLD, i, 4));
        web__count_cell(v, b, CALL_OLD, i, 5);
        web__text_cell(v, b, CALL_OLD, i, 6);
        web__cell(b);
        web__html(b, "<code>%s</code>", web__str(v, CALL_OLD, i, 7));
    }
    web__end_table(b);
    web__table(b, "Tables", "Table|#Rows|#Dead rows|#Size|#Of that indexes|#Vacuumed|#Analysed");
    for (int i = 0; i < db_rows(v->u, CALL_TABLES); i++) {
        web__row(b);
        web__text_cell(v, b, CALL_TABLES, i, 0);
        web__count_cell(v, b, CALL_TABLES, i, 1);
        web__count_cell(v, b, CALL_TABLES, i, 2);
        for (int col = 3; col <= 4; col++) {
            web__number_cell(b);
            size(b, web__i64(v, CALL_TABLES, i, col));
        }
        web__age_cell(b, web__f64(v, CALL_TABLES, i, 5));
        web__age_cell(b, web__f64(v, CALL_TABLES, i, 6));
    }
    web__end_table(b);
}

/* ---- audit ----------------------------------------------------------------------------------- */

int web__audit_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    int64_t before = 0;
    if (v->arg[0] && span_to_i64(span_of(v->arg[0]), 1, INT64_MAX, &before) != 0) {
        return err_set(err, ERR_USAGE, ERR_PERMANENT, "before must be the number of a row");
    }
    db_add(u, &SQL_web_audit);
    if (v->arg[0]) {
        db_p_i64(u, before);
    } else {
        db_p_null(u);
    }
    return 0;
}

void web__audit_draw(struct web_view *v, struct buf *b)
{
    enum { SHOWN = 100 };
    char iso[40];
    int n = db_rows(v->u, 1);
    web__table(b, "Who did what (times in UTC)", "When|Who|What|About|#Jobs|");
    for (int i = 0; i < n; i++) {
        web__row(b);
        web__cell(b);
        time_format_iso(db_get_time_us(v->u, 1, i, 1), iso);
        iso[10] = ' ';
        iso[19] = '\0';
        web__html(b, "<span class=\"short\">%s</span>", iso);
        web__text_cell(v, b, 1, i, 2);
        web__text_cell(v, b, 1, i, 3);
        web__cell(b);
        web__html(b, "<code>%s</code>", web__str(v, 1, i, 4));
        web__count_cell(v, b, 1, i, 5);
        web__cell(b);
        buf_puts(b, web__i64(v, 1, i, 6) ? "" : "<span class=\"tag warn\">not finished</span>");
    }
    web__end_table(b);
    if (n == SHOWN) {
        web__html(b, "<p><a href=\"/admin/audit?before=%d\">Older</a></p>\n",
                  web__i64(v, 1, n - 1, 0));
    }
}
