/* Going through a list that only pages and bounds can be asked of, and that changes meanwhile.
 *
 * A page is an atomic look at the newest of what started before the cursor. All that started after
 * the earliest on it has been seen: the next cursor is one second behind that, so that others of
 * that second are not left out, whether bounds are exclusive or not. Nothing that comes or goes
 * above can shift what is below.
 *
 * Only when a whole page started in one second is page 2, 3, ... asked for; there things can shift
 * and be missed, so the pages of that cursor are gone through until they bring nothing new.
 *
 * The end is an empty page. A short one is not: pages are filtered after they are cut. After a
 * short page 1 the end is likely, so page 2 is asked for before the cursor is moved. */
#include "ingest/internal.h"

static bool go_to(struct ingest_scan *s, int64_t before_s)
{
    *s = (struct ingest_scan){.before_s = before_s, .page = 1, .low_s = INT64_MAX};
    return true;
}

static bool go_on(struct ingest_scan *s)
{
    s->page++;
    return true;
}

static bool is_block(const struct ingest_scan *s)
{
    return s->low_s == INT64_MAX || s->low_s + 1 >= s->before_s;
}

bool ingest__scan_next(struct ingest_scan *s, const struct ingest_listed *page)
{
    bool block = is_block(s);
    if (page->n == 0) {
        return s->page > 1 && block && s->fresh ? go_to(s, s->before_s) : false;
    }
    s->fresh = s->fresh || page->fresh > 0;
    if (s->page == 1) {
        s->low_s = page->min_s;
        bool full = page->n >= INGEST_PER_PAGE;
        return full && !is_block(s) ? go_to(s, s->low_s + 1) : go_on(s);
    }
    if (!block) {
        return go_to(s, s->low_s + 1); /* page 1 was short, and not the end */
    }
    if (page->min_s == INT64_MAX || page->min_s + 1 >= s->before_s) {
        return go_on(s);
    }
    return go_to(s, s->fresh ? s->before_s : page->min_s + 1);
}
