/* What tells people that something changed, as configured. */
#include "app/app.h"

struct alert_conf app_alert_conf(const struct config *c)
{
    struct alert_conf conf = {
        .instance = config_str(c, "http.public_url"),
        .queue = TRAILS_QUEUE,
        .quiet_after_ms = config_i64(c, "alert.quiet_after"),
    };
    for (int to = 0; to < ALERT_TOS; to++) {
        char key[64];
        snprintf(key, sizeof(key), "alert.%s_url", alert_name((enum alert_to)to));
        conf.url[to] = config_str(c, key);
    }
    return conf;
}

int app_open_alerts(struct app *app, struct err *err)
{
    const struct alert_conf conf = app_alert_conf(app->config);
    for (int to = 0; to < ALERT_TOS; to++) {
        if (conf.url[to] && *conf.url[to] && app_open_fetch(app, err) != 0) {
            return -1;
        }
    }
    app->alert = alert_open(app->loop, app->pool, app->fetch, &conf);
    return 0;
}
