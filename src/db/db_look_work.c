/* What a start of the embedded cluster would meet, without starting it. In a worker. */
#include "db/cluster.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* The nearest folder on the way that exists: there the rest will be made. */
static char *nearest(const char *dir)
{
    struct stat st;
    char *path = mem_strdup(dir);
    while (stat(path, &st) != 0) {
        char *slash = strrchr(path, '/');
        if (slash == NULL || slash == path) {
            path[1] = '\0';
            break;
        }
        *slash = '\0';
    }
    return path;
}

/* The server's user must get through every folder that is there; what is ours at the end of the way
 * is opened for it at the start. */
static void look_at_way(struct db_cluster *c, struct db_cluster_facts *ret)
{
    struct stat st;
    char *dir = c->dir, *way = mem_strdup(ret->place);
    char *slash = strrchr(way, '/');
    if (strcmp(way, dir) == 0 && stat(way, &st) == 0 && st.st_uid == geteuid() && slash != way)
        *slash = '\0';
    c->dir = way;
    if (way[1] != '\0' && db__cluster_check_parents(c, &ret->no_way) < 0)
        CHECK(ret->no_way.class != 0);
    c->dir = dir;
    mem_free(way);
}

static bool exists(const char *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    bool there = access(path.p, F_OK) == 0;
    buf_done(&path);
    return there;
}

/* Where Debian's packages keep it, and where `make install` does. */
static void look_for_postgis(const struct db_cluster *c, struct db_cluster_facts *ret)
{
    static const char *const below[] = {"../share/extension/postgis.control",
                                        "../share/postgresql/extension/postgis.control"};
    int major = db__cluster_bin_major(c->bin);
    bool found = false;
    ret->postgis = DB_POSTGIS_UNKNOWN;
    if (major > 0) {
        char share[64];
        snprintf(share, sizeof(share), "/usr/share/postgresql/%d/extension", major);
        found = exists(share, "postgis.control");
        ret->postgis = DB_POSTGIS_MISSING;
    }
    for (size_t i = 0; i < COUNT_OF(below); i++)
        found |= exists(c->bin, below[i]);
    if (found)
        ret->postgis = DB_POSTGIS_FOUND;
}

static void look_at_programs(struct db_cluster *c, const char *given, struct db_cluster_facts *ret)
{
    if (db__cluster_find_programs(c, given, &ret->no_programs) < 0)
        return;
    ret->bin = mem_strdup(c->bin);
    ret->major = db__cluster_bin_major(c->bin);
    look_for_postgis(c, ret);
    ret->has_data = db__cluster_inspect(c, &ret->bad_data) > 0;
}

void db_cluster_look(const struct db_cluster_conf *conf, struct db_cluster_facts *ret)
{
    struct db_cluster c = {.lock_fd = -1};
    *ret = (struct db_cluster_facts){0};
    if (db__cluster_name(&c, conf, &ret->no_name) == 0) {
        ret->dir = mem_strdup(c.dir);
        ret->url = mem_strdup(c.url);
        ret->place = nearest(c.dir);
        ret->writable = access(ret->place, W_OK | X_OK) == 0;
        ret->has_socket = exists(c.run, ".s.PGSQL.5432");
        if (db__cluster_choose_user(&c, &ret->no_user) == 0) {
            snprintf(ret->user, sizeof(ret->user), "%s", c.user != NULL ? c.user : "");
            look_at_way(&c, ret);
        }
        ret->has_data = db__cluster_data_major(&c) > 0;
        look_at_programs(&c, conf->bin_dir, ret);
    }
    mem_free(c.dir);
    mem_free(c.data);
    mem_free(c.run);
    mem_free(c.log);
    mem_free(c.bin);
    mem_free(c.user);
    mem_free(c.url);
}

void db_cluster_facts_done(struct db_cluster_facts *f)
{
    mem_free(f->dir);
    mem_free(f->url);
    mem_free(f->place);
    mem_free(f->bin);
    *f = (struct db_cluster_facts){0};
}
