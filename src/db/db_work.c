/* The one libpq call that is made off the loop: PQcancel opens a connection of its own and waits
 * for it to close. It works on the copy that PQgetCancel made, which nobody else holds meanwhile.
 */
#include "db/internal.h"

int db__cancel_run(struct work *w, struct err *err)
{
    struct db__cancel *x = container_of(w, struct db__cancel, work);
    char reason[256] = "", line[256];
    if (PQcancel(x->request, reason, (int)sizeof(reason)))
        return 0;
    return err_set(err, ERR_PG, ERR_RETRY, "cancel request: %s",
                   db__one_line(reason, line, sizeof(line)));
}
