/* What a message looks like at each destination:
 *   Discord  discord.com/developers/docs/resources/webhook, "Execute Webhook"
 *   Slack    docs.slack.dev/messaging/formatting-message-text
 *   Teams    learn.microsoft.com, "Create incoming webhooks with Workflows" (an adaptive card)
 *   ntfy     docs.ntfy.sh/publish (the rest of it stands in header fields)
 * Text quotes names and errors, which others make up: it is text, and markup of none of them. */
#include "alert/internal.h"

enum {
    DISCORD_MAX = 2000,      /* UTF-16 units at most, whatever of them it counts */
    DISCORD_NO_PREVIEWS = 4, /* flag SUPPRESS_EMBEDS */
    SLACK_MAX = 4000,        /* as is recommended; it takes ten times that */
    NTFY_MAX = 4096,         /* bytes; a longer one becomes a file */
    TEAMS_LINES_MAX = 40,
};

/* ---- text that is markup nowhere ------------------------------------------------------------- */

/* Text up to a limit of units of UTF-16, character by character with what escapes it. */
struct text {
    struct buf out;
    size_t left;
    bool full;
};

static struct text text_of(size_t max)
{
    return (struct text){.left = max - 3}; /* for the dots */
}

static void put(struct text *t, const char *s, size_t n, size_t units)
{
    t->full = t->full || units > t->left;
    if (!t->full) {
        buf_put(&t->out, s, n);
        t->left -= units;
    }
}

static const char *discord_escape(char c)
{
    static const char special[] = "\\*_~`|<>[]#@";
    static const char pairs[] = "\\\\\0\\*\0\\_\0\\~\0\\`\0\\|\0\\<\0\\>\0\\[\0\\]\0\\#\0\\@";
    const char *at = strchr(special, c);
    return at ? pairs + (at - special) * 3 : NULL;
}

static const char *slack_escape(char c)
{
    return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : NULL;
}

static void put_escaped(struct text *t, const char *s, const char *(*escape)(char c))
{
    while (*s) {
        const char *as = escape(*s);
        size_t n = 1;
        while (((unsigned char)s[n] & 0xc0) == 0x80) {
            n++;
        }
        if (as) {
            put(t, as, strlen(as), strlen(as));
        } else {
            put(t, s, n, n == 4 ? 2 : 1);
        }
        s += n;
    }
}

static void put_mark(struct text *t, const char *mark)
{
    put(t, mark, strlen(mark), strlen(mark));
}

static void end_text(struct text *t, struct json_out *j, const char *key)
{
    buf_puts(&t->out, t->full ? "..." : "");
    jo_span(j, key, buf_span(&t->out));
    buf_done(&t->out);
}

/* ---- the destinations ------------------------------------------------------------------------ */

static void discord(const struct alert_message *m, struct json_out *j)
{
    struct text t = text_of(DISCORD_MAX);
    put_mark(&t, m->bad ? "\xf0\x9f\x94\xb4 **" : "\xf0\x9f\x9f\xa2 **"); /* a red, a green dot */
    put_escaped(&t, m->title, discord_escape);
    put_mark(&t, "**\n");
    put_escaped(&t, m->body, discord_escape);
    end_text(&t, j, "content");
    jo_begin_object(j, "allowed_mentions");
    jo_begin_array(j, "parse");
    jo_end_array(j);
    jo_end_object(j);
    jo_i64(j, "flags", DISCORD_NO_PREVIEWS);
}

static void slack(const struct alert_message *m, struct json_out *j)
{
    struct text t = text_of(SLACK_MAX);
    put_mark(&t, m->bad ? ":red_circle: *" : ":large_green_circle: *");
    put_escaped(&t, m->title, slack_escape);
    put_mark(&t, "*\n");
    put_escaped(&t, m->body, slack_escape);
    end_text(&t, j, "text");
    jo_bool(j, "unfurl_links", false);
}

/* A rich text, since text in a TextBlock is Markdown. color NULL: as usual. */
static void teams_line(struct json_out *j, struct span text, const char *color)
{
    jo_begin_object(j, NULL);
    jo_str(j, "type", "RichTextBlock");
    jo_begin_array(j, "inlines");
    jo_begin_object(j, NULL);
    jo_str(j, "type", "TextRun");
    jo_span(j, "text", text);
    if (color) {
        jo_str(j, "weight", "Bolder");
        jo_str(j, "color", color);
    }
    jo_end_object(j);
    jo_end_array(j);
    jo_end_object(j);
}

static void teams(const struct alert_message *m, struct json_out *j)
{
    jo_str(j, "type", "message");
    jo_begin_array(j, "attachments");
    jo_begin_object(j, NULL);
    jo_str(j, "contentType", "application/vnd.microsoft.card.adaptive");
    jo_null(j, "contentUrl");
    jo_begin_object(j, "content");
    jo_str(j, "$schema", "http://adaptivecards.io/schemas/adaptive-card.json");
    jo_str(j, "type", "AdaptiveCard");
    jo_str(j, "version", "1.4");
    jo_begin_array(j, "body");
    teams_line(j, span_of(m->title), m->bad ? "Attention" : "Good");
    const char *p = m->body;
    for (int lines = 0; *p && lines < TEAMS_LINES_MAX; lines++) {
        size_t n = strcspn(p, "\n");
        if (n > 0) {
            teams_line(j, (struct span){p, n}, NULL);
        }
        p += n + (p[n] == '\n');
    }
    jo_end_array(j);
    jo_end_object(j);
    jo_end_object(j);
    jo_end_array(j);
}

/* Ours: what is in it stays, more may come. */
static void webhook(const struct alert_message *m, const char *instance, struct json_out *j)
{
    char at[40];
    jo_i64(j, "id", m->id);
    jo_str(j, "instance", instance);
    jo_str(j, "key", m->key);
    jo_bool(j, "bad", m->bad);
    jo_str(j, "title", m->title);
    jo_str(j, "body", m->body);
    jo_str(j, "at", time_format_iso(m->at_us, at));
}

const char *alert__body(enum alert_to to, const struct alert_message *m, const char *instance,
                        struct arena *a, struct buf *out)
{
    struct json_out j = {.buf = out};
    if (to == ALERT_NTFY) {
        buf_puts(out, alert__cut(a, *m->body ? m->body : m->title, NTFY_MAX));
        return "text/plain; charset=utf-8";
    }
    jo_begin_object(&j, NULL);
    if (to == ALERT_DISCORD) {
        discord(m, &j);
    } else if (to == ALERT_SLACK) {
        slack(m, &j);
    } else if (to == ALERT_TEAMS) {
        teams(m, &j);
    } else {
        webhook(m, instance, &j);
    }
    jo_end_object(&j);
    return "application/json";
}
