#include <errno.h>
#include <stdarg.h>

#include "base/internal.h"

/* Takes a formatted text into err->msg: one line, whole UTF-8 characters. */
static void take_message(struct err *err, char *text, size_t wanted)
{
    size_t n = wanted < sizeof(err->msg) ? wanted : base__utf8_cut(text, sizeof(err->msg) - 1);
    memcpy(err->msg, text, n);
    err->msg[n] = '\0';
    text_tame(err->msg);
}

int err_set_(struct err *err, enum err_domain domain, enum err_class class, int code,
             const char *file, int line, const char *fmt, ...)
{
    if (!err) {
        return -1;
    }
    /* Formatted aside first: an argument may be the old message. */
    char text[sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *err = (struct err){.domain = domain,
                        .class = class,
                        .code = code,
                        .file = base__short_file(file),
                        .line = line};
    take_message(err, text, n > 0 ? (size_t)n : 0);
    return -1;
}

/* Permanent unless waiting or freeing something can help: a missing file is not going to appear, a
 * full disk may get room again. */
static enum err_class class_of_errno(int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case EINTR:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case EBUSY:
    case ETXTBSY:
    case EIO:
    case EPIPE:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ENETDOWN:
    case ENETUNREACH:
    case ENETRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EINPROGRESS:
    case EALREADY:
    case ECANCELED:
    case ESTALE:
        return ERR_RETRY;
    case EBADF:
    case EFAULT:
    case ENOTSOCK:
        return ERR_BUG;
    default:
        return ERR_PERMANENT;
    }
}

int err_sys_(struct err *err, int errnum, const char *file, int line, const char *fmt, ...)
{
    if (!err) {
        return -1;
    }
    char text[sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    char reason[128];
    const char *why = strerror_r(errnum, reason, sizeof(reason));
    return err_set_(err, ERR_SYS, class_of_errno(errnum), errnum, file, line, "%s: %s", text, why);
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err) {
        return -1;
    }
    char text[2 * sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(err->msg), fmt, ap);
    va_end(ap);
    size_t prefix = n < 0 ? 0 : (size_t)n;
    if (prefix >= sizeof(err->msg)) {
        prefix = base__utf8_cut(text, sizeof(err->msg) - 1);
    }
    size_t rest = strlen(err->msg);
    memcpy(text + prefix, err->msg, rest);
    take_message(err, text, prefix + rest);
    return -1;
}

const char *err_class_name(enum err_class c)
{
    switch (c) {
    case ERR_RETRY:
        return "retry";
    case ERR_PERMANENT:
        return "permanent";
    case ERR_BUG:
        return "bug";
    }
    return "none";
}

int err_exit_status(const struct err *err)
{
    if (err->class == ERR_RETRY) {
        return 75;
    }
    if (err->domain == ERR_CONF) {
        return 78;
    }
    return err->domain == ERR_USAGE ? 2 : 1;
}
