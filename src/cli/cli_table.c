#include "cli/internal.h"

void cli_table_init(struct cli_table *t, struct arena *a, const char *const *head, size_t ncols)
{
    *t = (struct cli_table){.arena = a, .head = head, .ncols = ncols};
}

const char **cli_table_row(struct cli_table *t)
{
    const char **cells = arena_new_array(t->arena, const char *, t->ncols);
    *vec_push(&t->row) = cells;
    return cells;
}

/* Display characters, near enough: code points. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return n;
}

static void print_cell(FILE *out, const char *s, int width, bool right, bool last)
{
    int pad = width - width_of(s);
    fprintf(out, "%*s%s%*s", right ? pad : 0, "", s, right || last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

void cli_table_print(struct cli_table *t, FILE *out)
{
    int *width = arena_new_array(t->arena, int, t->ncols);
    for (size_t c = 0; c < t->ncols; c++) {
        width[c] = width_of(t->head[c] + (t->head[c][0] == '>'));
        for (size_t r = 0; r < t->row.n; r++) {
            t->row.v[r][c] = arena_tame(t->arena, t->row.v[r][c]);
            int w = width_of(t->row.v[r][c]);
            width[c] = w > width[c] ? w : width[c];
        }
    }
    for (size_t c = 0; c < t->ncols; c++) {
        bool right = t->head[c][0] == '>';
        print_cell(out, t->head[c] + right, width[c], right, c + 1 == t->ncols);
    }
    for (size_t r = 0; r < t->row.n; r++) {
        for (size_t c = 0; c < t->ncols; c++) {
            print_cell(out, t->row.v[r][c], width[c], t->head[c][0] == '>', c + 1 == t->ncols);
        }
    }
    vec_done(&t->row);
}
