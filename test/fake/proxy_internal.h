/* proxy: what its thread and its commands share. */
#pragma once

#include "fake/pg_frames.h"
#include "fake/proxy.h"

#include <pthread.h>

/* QUEUE_MAX: what a side may have on its way before it is no longer read, as with any network. */
enum { CONNS_MAX = 128, SETTINGS_MAX = 8, NAME_MAX_ = 64, QUEUE_MAX = 1 << 20, CHUNK = 16384 };
enum { UP, DOWN };

struct chunk {
    struct chunk *next;
    int64_t due_ms;
    size_t n, sent;
    char data[];
};

/* One direction of a connection: from its own side's socket to the other's. */
struct side {
    int fd;
    bool eof;  /* nothing more comes from fd */
    bool shut; /* the other fd was told so */
    size_t queued;
    struct chunk *head, *tail;
};

struct conn {
    struct conn *next;
    struct side side[2]; /* UP reads the program, DOWN the server */
    char app[NAME_MAX_];
    bool named;          /* the startup packet has come */
    bool mute;           /* a trigger: nothing goes down any more */
    bool half_open;      /* the same, and nothing up; nobody is told of the other's end */
    bool cut_on_answer;  /* a trigger */
    bool cut_when_empty; /* a trigger: when all is sent up */
    bool dead;
    size_t up_bytes;
    char recent[NAME_MAX_]; /* the last bytes that came up, for texts that lie across two reads */
    size_t nrecent;
    struct pg_frames frames; /* of what comes down */
};

struct setting {
    char app[NAME_MAX_]; /* "": all */
    bool refuse, deafen, hold[2], swallow[2];
    int64_t delay_ms[2];
};

struct trigger {
    bool armed;
    char app[NAME_MAX_], text[NAME_MAX_];
    unsigned nth, seen;
    size_t bytes; /* > 0: this many instead of a text */
    enum proxy_action action;
};

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock; /* over all below */
    char socket_path[108];
    int listener, wake[2], port;
    bool stop;
    struct conn *conns;
    struct setting setting[SETTINGS_MAX];
    unsigned nsettings, hits, asked;
    struct trigger trigger;
};

void proxy__die(const char *what) __attribute__((noreturn));
bool proxy__concerns(const char *app, const struct conn *c);
void proxy__kill_conn(struct conn *c);
void proxy__lock(struct proxy *p);
/* The thread looks at everything anew. */
void proxy__unlock(struct proxy *p);
