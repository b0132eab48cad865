/* What pages show of the rows of their statements. */
#include "web/internal.h"

double web__f64(const struct web_view *v, unsigned call, int row, int col)
{
    return db_get_f64(v->u, call, row, col);
}

int64_t web__i64(const struct web_view *v, unsigned call, int row, int col)
{
    return db_get_i64(v->u, call, row, col);
}

const char *web__str(const struct web_view *v, unsigned call, int row, int col)
{
    return db_get_text(v->u, call, row, col, v->arena);
}

void web__count_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col)
{
    web__number_cell(b);
    web__count(b, web__i64(v, call, row, col));
}

void web__age_cell(struct buf *b, double seconds)
{
    web__number_cell(b);
    web__age(b, seconds);
}

void web__text_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col)
{
    web__cell(b);
    web__span(b, db_get_span(v->u, call, row, col));
}

void web__error_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col)
{
    web__cell(b);
    if (!db_is_null(v->u, call, row, col)) {
        web__html(b, "<span class=\"error\">%s</span>", web__str(v, call, row, col));
    }
}

void web__job_link(struct buf *b, int64_t id)
{
    web__html(b, "<a href=\"/admin/jobs/%d\">%d</a>", id, id);
}
