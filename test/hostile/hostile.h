/* hostile: what strangers do to the two listeners of the real program, all of it on the loopback
 * interface. Attackers are threads with sockets; what they find wrong they write down once, for
 * the test to fail with: cmocka knows one thread only. Plain blocking C. */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "it/it.h"
#include "it/load.h"

enum { HOSTILE_PUBLIC, HOSTILE_ADMIN, HOSTILE_LISTENERS };
enum { HOSTILE_ANSWER_MAX = 65536 };

struct hostile_input {
    char *p;
    size_t n;
};

/* Where attackers come from. A trusted proxy may speak for anybody, and has no limit of its own. */
#define HOSTILE_CROWD "127.0.0.2"
#define HOSTILE_PROXY "127.0.0.3"
#define HOSTILE_SLOW  "127.0.0.4"
#define HOSTILE_LIVE  "127.0.0.5"

struct storm {
    struct sockaddr_in at[HOSTILE_LISTENERS];
    char cookie[120]; /* of one who is logged in: "waymark_admin=..." */
    struct hostile_input *corpus;
    unsigned ncorpus;
    uint64_t seed;
    atomic_bool over;
    atomic_ulong connections, refused, requests, answers[6], streams, cut_slow;
    pthread_mutex_t lock;
    char problem[2048]; /* the first that anybody found; empty: none */
};

/* One of the threads. */
struct attacker {
    struct storm *s;
    uint64_t seed;
};
unsigned hostile_chance(struct attacker *a, unsigned below);
/* Written down for the test, which fails with it at its end. */
void hostile_problem(struct storm *s, const char *fmt, ...) IT_PRINTF(2, 3);

/* ---- net.c: -1, 0 or false when the other side is gone, which is no problem of ours -----------
 */

/* Where that `serve` listens. This and the next are for the thread of the test. */
void hostile_find(struct storm *s, struct it_proc *p);
/* Who knows the secret gets a cookie. */
void hostile_log_in(struct storm *s, const char *secret);
int hostile_connect(struct storm *s, int listener, const char *from);
bool hostile_send(int fd, const void *p, size_t n);
bool hostile_say(int fd, const char *fmt, ...) IT_PRINTF(2, 3);
/* What comes until the other side closes, the buffer is full, or this long; with a NUL. */
size_t hostile_read(int fd, char *out, size_t size, int64_t limit_ms);
/* The same, until the first answer is there whole (a head without length ends with the
 * connection). */
size_t hostile_read_answer(int fd, char *out, size_t size, int64_t limit_ms);
/* 0: no answer */
int hostile_status(const char *answer);
void hostile_close(int fd);
/* With a reset, in the middle of whatever goes on. */
void hostile_reset(int fd);
bool hostile_is_cut(int fd); /* the other side has closed */

/* ---- attackers: threads that go on until the storm is over ------------------------------------
 */

void *hostile_many_sorts(void *attacker); /* attacks.c: one short attack after the other */
void *hostile_slow(void *attacker);       /* crowd.c */
void *hostile_flood(void *attacker);
void *hostile_watchers(void *attacker);

/* ---- measure.c: those who are not hostile -----------------------------------------------------
 */

struct hostile_watch {
    struct storm *s;
    int64_t worst_ms[3];   /* of /healthz, /readyz, /metrics */
    int64_t worst_late_ms; /* of this thread's own sleep: how starved the machine was */
    unsigned rounds;
};
void *hostile_well_behaved(void *watch);
int64_t hostile_rss_kb(pid_t pid);
unsigned hostile_files(pid_t pid);
