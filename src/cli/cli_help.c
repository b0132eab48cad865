/* What commands there are, for whoever names none. */
#include "cli/internal.h"

/* All commands, or those of a group ("route"). */
static void list_commands(const char *group, FILE *out)
{
    size_t n = group ? strlen(group) : 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *cmd = &cli_commands[i];
        if (!group || (strncmp(cmd->name, group, n) == 0 && cmd->name[n] == ' ')) {
            char line[64];
            snprintf(line, sizeof(line), "%s %s", cmd->name, cmd->operands);
            fprintf(out, "  %-26s %s\n", line, cmd->summary);
        }
    }
}

static void print_usage(FILE *out)
{
    fputs("waymark " WAYMARK_VERSION
          ": how much of every long-distance trail you have covered\n\nCommands:\n",
          out);
    list_commands(NULL, out);
    fputs("\n`waymark COMMAND --help` tells its options. Exit status: 0 done, 1 failed, 2 usage, "
          "75 try again,\n78 configuration.\n",
          out);
}

static bool is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strncmp(cli_commands[i].name, word, n) == 0 && cli_commands[i].name[n] == ' ') {
            return true;
        }
    }
    return false;
}

int cli__no_command(int argc, char **argv)
{
    const char *last = argc > 1 ? argv[argc - 1] : "";
    bool help = strcmp(last, "--help") == 0 || strcmp(last, "-h") == 0 || strcmp(last, "help") == 0;
    if (argc > 1 && is_group(argv[1])) {
        fprintf(help ? stdout : stderr, "waymark %s: one of these\n", argv[1]);
        list_commands(argv[1], help ? stdout : stderr);
    } else if (argc == 1 || help) {
        print_usage(help ? stdout : stderr);
    } else {
        fprintf(stderr, "waymark: there is no command \"%s\": see waymark help\n",
                text_tame(argv[1]));
    }
    return help ? 0 : 2;
}
