/* cli: the command line. Parses, brings the app up, runs one command's flow, takes the app down,
 * prints. */
#pragma once

/* The whole program; returns its exit status. */
int cli_main(int argc, char **argv, char **envp);
