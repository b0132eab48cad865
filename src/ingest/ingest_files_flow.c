/* Files to activities: found and read in worker threads, stored a few files at a time. */
#include "ingest/ingest.h"
#include "ingest/work.h"
#include "store/store.h"

enum {
    INGEST_FILES = 32,      /* files in one transaction, at most */
    INGEST_BYTES = 8 << 20, /* and so many bytes of geometry, but at least one file */
    INGEST_CALL_MS = 60000,
    INGEST_WORK_MS = 600000,
    INGEST_RETRIES = 10, /* of one transaction that got in the way of another */
};

struct files_flow {
    struct flow f;
    struct db_pool *pool;
    const struct ingest_opts *opts;
    struct ingest_totals *totals;
    struct ingest_paths paths;
    size_t next;              /* first path not yet read */
    struct ingest_file *file; /* those of this turn */
    size_t nfiles, limit;
    size_t alone_until; /* paths before this go one by one */
    unsigned retries;
    struct err scan_err;
    struct work scan, read;
    struct arena *turn;
    unsigned **call; /* per file and activity: its call in the unit */
    struct db_unit save;
};
#define FILES_STEPS(STEP)                                                                          \
    STEP(files, scan) /* worker */                                                                 \
    STEP(files, count)                                                                             \
    STEP(files, read)  /* worker: the next few */                                                  \
    STEP(files, save)  /* one transaction */                                                       \
    STEP(files, saved) /* -> read, or, after a conflict, -> save */
FLOW_STEPS(files, FILES_STEPS);

static struct files_flow *files_of(struct flow *f)
{
    return container_of(f, struct files_flow, f);
}

static int run_scan(struct work *w, struct err *err)
{
    struct files_flow *m = container_of(w, struct files_flow, scan);
    return ingest__scan(m->opts->path, m->opts->npaths, &m->paths, err);
}

static enum flow_next files_scan(struct flow *f)
{
    struct files_flow *m = files_of(f);
    work_start(&m->scan, f->loop, run_scan);
    return flow_wait(f, &m->scan.op, files_STEP_count, INGEST_WORK_MS);
}

static enum flow_next files_count(struct flow *f)
{
    struct files_flow *m = files_of(f);
    m->totals->files = m->paths.n;
    if (m->opts->on_scan) {
        m->opts->on_scan(m->opts->ctx, m->paths.n);
    }
    return FLOW_NEXT;
}

static void end_turn(struct files_flow *m)
{
    db_unit_done(&m->save);
    for (size_t i = 0; i < m->nfiles; i++) {
        ingest__file_done(&m->file[i]);
    }
    m->nfiles = 0;
    arena_reset(m->turn);
}

/* Touches the turn's files only, which nobody else does meanwhile. */
static int run_read(struct work *w, struct err *err)
{
    struct files_flow *m = container_of(w, struct files_flow, read);
    (void)err;
    size_t bytes = 0;
    for (size_t i = 0; i < m->limit && m->next + i < m->paths.n && bytes < INGEST_BYTES; i++) {
        struct ingest_file *file = &m->file[i];
        *file = (struct ingest_file){.path = m->paths.v[m->next + i],
                                     .athlete_id = m->opts->athlete_id};
        ingest__read(file);
        for (size_t k = 0; k < file->activity.n; k++) {
            bytes += file->activity.v[k].track.n + file->activity.v[k].summary.n;
        }
        m->nfiles = i + 1;
    }
    return 0;
}

static enum flow_next files_read(struct flow *f)
{
    struct files_flow *m = files_of(f);
    end_turn(m);
    if (m->next == m->paths.n) {
        return FLOW_DONE;
    }
    m->limit = m->next < m->alone_until ? 1 : INGEST_FILES;
    m->file = arena_new_array(m->turn, struct ingest_file, m->limit);
    work_start(&m->read, f->loop, run_read);
    return flow_wait(f, &m->read.op, files_STEP_save, INGEST_WORK_MS);
}

static void add_file(struct files_flow *m, size_t i)
{
    const struct ingest_file *file = &m->file[i];
    const char *slash = strrchr(file->path, '/');
    m->call[i] = arena_new_array(m->turn, unsigned, file->activity.n + 1);
    for (size_t k = 0; k < file->activity.n; k++) {
        const struct ingest_activity *a = &file->activity.v[k];
        m->call[i][k] =
            store_add_activity(&m->save, &(struct store_activity){
                                             .id = a->id,
                                             .athlete_id = m->opts->athlete_id,
                                             .name = a->name,
                                             .type = a->type,
                                             .external_id = slash ? slash + 1 : file->path,
                                             .origin = file->origin,
                                             .distance_m = a->distance_m,
                                             .elapsed_s = a->elapsed_s,
                                             .start_us = a->start_us,
                                             .summary = buf_span(&a->summary),
                                             .track = buf_span(&a->track),
                                         });
    }
}

static enum flow_next files_save(struct flow *f)
{
    struct files_flow *m = files_of(f);
    m->call = arena_new_array(m->turn, unsigned *, m->nfiles);
    db_unit_done(&m->save);
    db_unit_init(&m->save, m->pool, m->turn, DB_TX);
    for (size_t i = 0; i < m->nfiles; i++) {
        add_file(m, i);
    }
    if (m->save.n == 0) {
        return flow_goto(f, files_STEP_saved);
    }
    db_submit(&m->save);
    return flow_wait_any(f, &m->save.op, files_STEP_saved, INGEST_CALL_MS);
}

static void report(struct files_flow *m, size_t i, const struct err *err)
{
    const struct ingest_file *file = &m->file[i];
    struct ingest_event e = {.path = file->path};
    for (size_t k = 0; !err && k < file->activity.n; k++) {
        bool fresh = db_get_i64(&m->save, m->call[i][k], 0, 0) != 0;
        *(fresh ? &e.activities : &e.known) += 1;
    }
    e.why = err ? err->msg : file->err.class ? file->err.msg : NULL;
    m->totals->files_done++;
    m->totals->files_refused += e.why != NULL;
    m->totals->activities += e.activities;
    m->totals->known += e.known;
    if (m->opts->on_file) {
        m->opts->on_file(m->opts->ctx, &e);
    }
}

/* A deadlock or a failed serialisation: the same again works. */
static bool is_conflict(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0;
}

static enum flow_next files_saved(struct flow *f)
{
    struct files_flow *m = files_of(f);
    const struct err *err = m->save.n > 0 && m->save.op.failed ? &m->save.op.err : NULL;
    if (err && is_conflict(err) && m->retries++ < INGEST_RETRIES) {
        return flow_goto(f, files_STEP_save);
    }
    if (err && err->class == ERR_RETRY) {
        f->err = *err;
        return flow_fail(f);
    }
    m->retries = 0;
    if (err && m->nfiles > 1) {
        /* Read again, one by one: one of them is refused. */
        m->alone_until = m->next + m->nfiles;
        return flow_goto(f, files_STEP_read);
    }
    for (size_t i = 0; i < m->nfiles; i++) {
        report(m, i, err);
    }
    m->next += m->nfiles;
    return flow_goto(f, files_STEP_read);
}

static void files_end(struct flow *f)
{
    struct files_flow *m = files_of(f);
    end_turn(m);
    ingest__paths_done(&m->paths);
    arena_free(m->turn);
}

static const struct flow_def files_def = {"ingest_files", files_steps, files_STEP_COUNT, files_end};

struct flow *ingest_files_flow(struct db_pool *pool, const struct ingest_opts *opts,
                               struct ingest_totals *totals)
{
    struct files_flow *m = flow_new(db_pool_loop(pool), &files_def, sizeof(*m), 0);
    m->pool = pool;
    m->opts = opts;
    m->totals = totals;
    m->turn = arena_new(0);
    return &m->f;
}
