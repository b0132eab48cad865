/* What people/ does in worker threads: items in, results in the same items. */
#pragma once

#include "base/base.h"

/* A page of activities becomes text: GeoJSON features, one a line, each with a comma before it but
 * the first of the document. */
struct people_activity {
    struct span properties; /* a JSON object with something in it */
    struct span track;      /* EWKB; p NULL: none. The best there is, with times as M if recorded */
    struct span summary;    /* EWKB of the summary where that is not the best; p NULL: none */
    bool recorded;
};
struct people_page {
    struct people_activity *activity;
    size_t n;
    bool first;     /* of the document */
    struct buf out; /* result: people__page_done */
};
/* A geometry that cannot be read is null in the text; fails only for want of memory. */
int people__write_page(struct people_page *p, struct err *err) MUST_CHECK;
void people__page_done(struct people_page *p);
