/* What waymark doctor and health look at in worker threads, or before a loop runs: these functions
 * block. Facts only; what they mean is said in doctor_rules_*.c. */
#pragma once

#include <sys/socket.h>

#include "base/base.h"

/* ---- a GET of one of our own listeners (ask_work.c) ------------------------------------------ */

struct cli_reply {
    int status;
    char body[1024]; /* its beginning */
};
/* An address that means every one is asked at the loopback one. Fails, PERMANENT, with one line,
 * when no answer of HTTP/1 came within limit_ms; where is what messages call it. */
int cli__ask(const struct sockaddr_storage *at, const char *where, const char *path,
             int64_t limit_ms, struct cli_reply *ret, struct err *err) MUST_CHECK;

/* ---- disk ------------------------------------------------------------------------------------ */

enum doctor_fs { DOCTOR_FS_DISK, DOCTOR_FS_NETWORK, DOCTOR_FS_MEMORY, DOCTOR_FS_LAYER };
struct doctor_disk {
    const char *dir;  /* given; NULL: there is no such folder to look at */
    char place[1024]; /* dir, or the nearest folder above that exists */
    int errnum;       /* of looking at it */
    bool writable;
    int64_t free_bytes, free_files; /* for such as us; free_files -1: made as needed */
    enum doctor_fs fs;
    char fs_name[16];
};
void doctor__look_at_disk(struct doctor_disk *d);

/* ---- limits ---------------------------------------------------------------------------------- */

struct doctor_limits {
    int64_t files, files_most; /* RLIMIT_NOFILE; INT64_MAX: none */
    int64_t memory_limit;      /* bytes, of the control group or the machine */
    int64_t memory_available;  /* of the machine now */
    int64_t tasks_left;        /* threads and processes of the control group; INT64_MAX: none */
    double cores;              /* that may be used at once */
    bool container;
};
void doctor__look_at_limits(struct doctor_limits *l);

/* ---- ports ----------------------------------------------------------------------------------- */

enum { DOCTOR_PORTS_MAX = 8, DOCTOR_ASK_MS = 2000 };
enum doctor_port_kind { DOCTOR_PORT_TCP, DOCTOR_PORT_UNIX, DOCTOR_PORT_SYSTEMD, DOCTOR_PORT_BAD };
enum doctor_scope {
    DOCTOR_SCOPE_LOOPBACK,
    DOCTOR_SCOPE_PRIVATE,
    DOCTOR_SCOPE_PUBLIC,
    DOCTOR_SCOPE_ANY
};
struct doctor_port {
    char text[128]; /* as given */
    enum doctor_port_kind kind;
    struct err bad; /* kind BAD */
    struct sockaddr_storage at;
    enum doctor_scope scope; /* of TCP */
    /* Found out by looking. */
    int errnum;    /* of binding it, or of what is in the way of a socket's file */
    bool somebody; /* listens there */
    bool answers;  /* /healthz, as Waymark does: only admin addresses are asked */
    char version[32];
};
struct doctor_ports {
    bool admin;
    struct doctor_port port[DOCTOR_PORTS_MAX];
    size_t n;
    size_t left_out;       /* more were given */
    bool public_interface; /* this machine has an address of the open Internet */
};
enum doctor_scope doctor__scope(const struct sockaddr_storage *at);
void doctor__look_at_ports(struct doctor_ports *p);

/* ---- a file ---------------------------------------------------------------------------------- */

struct doctor_file {
    const char *path; /* given; may be NULL */
    int errnum;       /* of looking at it; ENOENT: there is none */
    bool readable;    /* by us */
    unsigned mode;
    long owner;
};
void doctor__look_at_file(struct doctor_file *f);
