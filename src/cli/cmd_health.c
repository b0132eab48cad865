/* waymark health: whether the running service is well, for container health checks. */
#include "cli/doctor.h"

enum { HEALTH_MS = 3000 };

static int ask(struct cli *c, const struct doctor_port *p)
{
    struct cli_reply reply;
    const char *path = cli_option(c, "ready") ? "/readyz" : "/healthz";
    if (p->kind == DOCTOR_PORT_BAD) {
        c->err = p->bad;
        return -1;
    }
    if (cli__ask(&p->at, p->text, path, HEALTH_MS, &reply, &c->err) < 0)
        return -1;
    if (reply.status != 200) {
        reply.body[strcspn(reply.body, "\r\n")] = '\0';
        return err_set_code(&c->err, ERR_HTTP, ERR_PERMANENT, reply.status,
                            "%s%s answers %d%s%.200s", p->text, path, reply.status,
                            reply.body[0] ? ": " : "", reply.body);
    }
    if (c->json)
        puts("{\"well\":true}");
    else if (!c->quiet)
        puts("well");
    return 0;
}

int cli_health(struct cli *c)
{
    struct doctor_ports ports = {0};
    doctor__read_ports(config_str(c->config, "admin.listen"), &ports);
    for (size_t i = 0; i < ports.n; i++) {
        if (ports.port[i].kind != DOCTOR_PORT_SYSTEMD)
            return ask(c, &ports.port[i]);
    }
    return err_set(&c->err, ERR_DATA, ERR_PERMANENT,
                   "[admin] listen names no address that could be asked: give one");
}
