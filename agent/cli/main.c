/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl
 *
 * A table of verbs. What all of them need (options, the number of arguments, the
 * roots, the exit code) is done here once; a verb only does its own.
 */

#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/help.h"
#include "cli/report.h"

static const Verb *const verbs[] = { &verb_status, &verb_switch, &verb_monitor, &verb_forget };

/* What was typed, sorted. */
typedef struct CommandLine {
        const Verb *verb;
        const char *prefix;
        const char *trigger;
        unsigned int options;
        char **words; /* the verb, if there is one, and its arguments */
        size_t n_words;
} CommandLine;

bool cli_has(const Cli *cli, unsigned int option) {
        return cli->options & option;
}

/* Open our own directories in /run and /etc, where they are; or make them. */
int cli_open_own(Cli *cli, bool make) {
        int r;

        r = roots_open_run(cli->roots, make);
        if (r >= 0)
                r = roots_open_etc(cli->roots, make);
        return r < 0 ? r : 0;
}

static const Verb *find_verb(const char *name) {
        const char *names[ARRAY_SIZE(verbs)], *meant;
        char quote[QUOTE_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(verbs); ++i) {
                if (!strcmp(verbs[i]->name, name))
                        return verbs[i];
                names[i] = verbs[i]->name;
        }

        meant = report_suggest(name, names, ARRAY_SIZE(names));
        report_error("unknown verb %s; %s%s%s", report_quote(name, quote),
                        meant ? "did you mean " : "see ", meant ?: "vfioptctl --help",
                        meant ? "?" : "");
        return NULL;
}

/* How getopt_long(3) knows our options: each by its index, from 256 on. */
#define OPTION_BASE 256

static void list_options(struct option options[static OPTIONS_N + 1]) {
        for (size_t i = 0; i < OPTIONS_N; ++i)
                options[i] = (struct option){
                        .name = help_options[i].name,
                        .has_arg = help_options[i].argument ? required_argument : no_argument,
                        .val = OPTION_BASE + (int) i,
                };
        options[OPTIONS_N] = (struct option){};
}

static int refuse_option(int c, const char *word) {
        char quote[QUOTE_MAX];

        if (c == ':')
                report_error("option %s needs an argument", report_quote(word, quote));
        else if (optopt >= OPTION_BASE)
                report_error("option --%s takes no argument",
                                help_options[optopt - OPTION_BASE].name);
        else
                report_error("unknown option %s; see vfioptctl --help", report_quote(word, quote));
        return VFIOPT_EXIT_USAGE;
}

static void take_option(CommandLine *line, const OptionInfo *info) {
        line->options |= info->option;
        if (info->option == OPTION_ROOT)
                line->prefix = optarg;
        if (info->option == OPTION_TRIGGER)
                line->trigger = optarg;
}

/* Options may stand anywhere before "--". Return: 0, or an exit code. */
static int sort_words(CommandLine *line, int argc, char **argv) {
        struct option options[OPTIONS_N + 1];
        int c;

        list_options(options);
        opterr = 0;
        /* "-": words are options of code 1, whatever $POSIXLY_CORRECT says. */
        while ((c = getopt_long(argc, argv, "-:h", options, NULL)) >= 0) {
                if (c >= OPTION_BASE)
                        take_option(line, &help_options[c - OPTION_BASE]);
                else if (c == 1)
                        line->words[line->n_words++] = optarg;
                else if (c == 'h')
                        line->options |= OPTION_HELP;
                else
                        return refuse_option(c, argv[optind - 1]);
        }
        while (optind < argc)
                line->words[line->n_words++] = argv[optind++];
        return 0;
}

/* Does it go together? Return: 0, or an exit code. */
static int check(const CommandLine *line) {
        const Verb *verb = line->verb;
        size_t n = line->n_words ? line->n_words - 1 : 0;
        char quote[QUOTE_MAX];

        for (size_t i = 0; i < OPTIONS_N; ++i)
                if (help_options[i].option & line->options & ~(verb->options | OPTIONS_FOR_ALL)) {
                        report_error("option --%s does not go with %s", help_options[i].name,
                                        verb->name);
                        return VFIOPT_EXIT_USAGE;
                }
        if (n < verb->n_min) {
                report_error("%s is missing arguments: %s", verb->name, verb->args);
                return VFIOPT_EXIT_USAGE;
        }
        if (n > verb->n_max) {
                report_error("%s does not take the argument %s", verb->name,
                                report_quote(line->words[1 + verb->n_max], quote));
                return VFIOPT_EXIT_USAGE;
        }
        return 0;
}

static int run(const CommandLine *line) {
        Roots roots = ROOTS_NULL;
        Cli cli = {
                .roots = &roots,
                .options = line->options,
                .args = line->words + (line->n_words ? 1 : 0),
                .n_args = line->n_words ? line->n_words - 1 : 0,
        };
        char quote[QUOTE_MAX];
        int r;

        if (line->trigger &&
                        (trigger_from_string(line->trigger, &cli.trigger) < 0 ||
                                        cli.trigger == TRIGGER_RECOVERY)) {
                report_error("unknown trigger %s; it is command, agent or boot",
                                report_quote(line->trigger, quote));
                return VFIOPT_EXIT_USAGE;
        }

        r = roots_init(&roots, line->prefix);
        if (r < 0) {
                report_error("cannot open %s/sys, %s/proc and %s/dev: %s", line->prefix,
                                line->prefix, line->prefix, strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        r = line->verb->run(&cli);
        roots_deinit(&roots);
        if (r < 0) {
                report_error("%s failed: %s", line->verb->name, strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        return r;
}

static int dispatch(CommandLine *line, int argc, char **argv) {
        int r;

        r = sort_words(line, argc, argv);
        if (r)
                return r;
        if (line->options & OPTION_HELP) {
                help_print(verbs, ARRAY_SIZE(verbs));
                return VFIOPT_EXIT_DONE;
        }
        if (line->options & OPTION_VERSION) {
                printf("vfioptctl %s\n", VFIOPT_VERSION);
                return VFIOPT_EXIT_DONE;
        }

        line->verb = line->n_words ? find_verb(line->words[0]) : &verb_status;
        if (!line->verb)
                return VFIOPT_EXIT_USAGE;
        r = check(line);
        return r ? r : run(line);
}

int main(int argc, char **argv) {
        CommandLine line = { .prefix = "" };
        int r;

        line.words = calloc((size_t) argc + 1, sizeof(*line.words));
        if (!line.words) {
                report_error("%s", strerror(ENOMEM));
                return VFIOPT_EXIT_ERROR;
        }
        /* What we leave in /run and /etc is for everybody to read, and for the agent above all. */
        (void) umask(022);
        r = dispatch(&line, argc, argv);
        free(line.words);

        if (fflush(stdout) < 0 || ferror(stdout)) {
                report_error("cannot write: %s", strerror(errno));
                return r ?: VFIOPT_EXIT_ERROR;
        }
        return r;
}
