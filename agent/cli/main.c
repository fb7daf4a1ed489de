/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl
 *
 * A table of verbs and one of options. Everything that all verbs need is done here once:
 * options, the number of arguments, --help, the roots, the exit code.
 */

#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/message.h"

static const Verb *const verbs[] = { &verb_status, &verb_switch, &verb_monitor, &verb_diagnose,
        &verb_setup, &verb_rollback, &verb_forget };

typedef struct OptionInfo {
        const char *name;
        const char *argument; /* NULL: takes none */
        const char *summary;  /* NULL: for units only, and not in --help */
        unsigned int option;
} OptionInfo;

static const OptionInfo option_table[] = {
        { "allow-display", NULL, "give up a display that is in use, too", OPTION_ALLOW_DISPLAY },
        { "direct", NULL, "switch in this process: for a rescue shell", OPTION_DIRECT },
        { "dry-run", NULL, "print what would be done, and do nothing", OPTION_DRY_RUN },
        { "help", NULL, "print this", OPTION_HELP },
        { "json", NULL, "print JSON", OPTION_JSON },
        { "list", NULL, "list backups", OPTION_LIST },
        { "mode", "MODE", "where GPUs are to be at boot: host or passthrough", OPTION_MODE },
        { "root", "DIR", "look at a copy of a machine below DIR", OPTION_ROOT },
        { "trigger", "WHO", NULL, OPTION_TRIGGER },
        { "verbose", NULL, "print every step", OPTION_VERBOSE },
        { "version", NULL, "print the version", OPTION_VERSION },
        { "yes", NULL, "agree to all of the plan", OPTION_YES },
};

#define OPTIONS_N ARRAY_SIZE(option_table)

/* The words of the command line, sorted. */
typedef struct CommandLine {
        const Verb *verb;
        const char *prefix;
        const char *trigger;
        const char *mode;
        unsigned int options;
        bool printed; /* the document of --json */
        char **words; /* the verb, if there is one, and its arguments */
        size_t n_words;
} CommandLine;

bool cli_has(const Cli *cli, unsigned int option) {
        return cli->options & option;
}

/* Open /run/vfiopt and /etc/vfiopt, where they exist; or make them. */
int cli_open_own(Cli *cli, bool make) {
        int r;

        r = roots_open_run(cli->roots, make);
        if (r < 0)
                return r;
        r = roots_open_etc(cli->roots, make);
        return r < 0 ? r : 0;
}

/* Two columns: a name with its argument, and what it does. */
static void print_help_line(const char *prefix,
                const char *name,
                const char *separator,
                const char *argument,
                const char *summary) {
        int width = printf("  %s%s%s%s", prefix, name, separator, argument);

        printf("%*s%s\n", width < 25 ? 25 - width : 1, "", summary);
}

/* One screen. Everything else is in the man page. */
static void print_help(void) {
        printf("vfioptctl [OPTION...] [VERB] [ARGUMENT...]\n"
               "\n"
               "Gives NVIDIA GPUs to virtual machines and takes them back.\n"
               "\n"
               "Verbs:\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); ++i)
                print_help_line("", verbs[i]->name, verbs[i]->args[0] ? " " : "", verbs[i]->args,
                                verbs[i]->summary);
        printf("\n"
               "Options:\n");
        for (size_t i = 0; i < OPTIONS_N; ++i) {
                const OptionInfo *info = &option_table[i];

                if (info->summary)
                        print_help_line("--", info->name, info->argument ? "=" : "",
                                        info->argument ?: "", info->summary);
        }
        printf("\n"
               "MODE is host, passthrough, toggle, or auto: where each GPU was last, or as\n"
               "vfiopt.conf(5) says. GPU is an address (0000:01:00.0, or just 01:00) or an id\n"
               "(10de:2204). Default: all managed GPUs (status, monitor: all GPUs). ADDRESS is\n"
               "the address of a GPU that is there or was. BACKUP is one of rollback --list.\n"
               "\n"
               "Exit status: 0 done, 1 error, 2 usage, 3 refused: in use, 4 refused: a\n"
               "precondition does not hold, 5 failed and rolled back, 6 stuck: reboot, 7 in\n"
               "host, but without a driver.\n"
               "\n"
               "See the man page vfioptctl(1).\n");
}

static const Verb *find_verb(const char *name) {
        const char *names[ARRAY_SIZE(verbs)], *meant;
        char quote[QUOTE_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(verbs); ++i) {
                if (!strcmp(verbs[i]->name, name))
                        return verbs[i];
                names[i] = verbs[i]->name;
        }

        meant = message_suggest(name, names, ARRAY_SIZE(names));
        message_error("unknown verb %s; %s%s%s", message_quote(name, quote),
                        meant ? "did you mean " : "see ", meant ?: "vfioptctl --help",
                        meant ? "?" : "");
        return NULL;
}

/* How getopt_long(3) knows our options: each by its index, from 256 on. */
#define OPTION_BASE 256

static int refuse_option(int c, const char *word) {
        const char *names[OPTIONS_N], *name, *meant = NULL;
        char quote[QUOTE_MAX];

        for (size_t i = 0; i < OPTIONS_N; ++i)
                names[i] = option_table[i].name;
        if (text_starts_with(word, "--", &name))
                meant = message_suggest(name, names, OPTIONS_N);
        if (c == ':')
                message_error("option %s needs an argument", message_quote(word, quote));
        else if (optopt >= OPTION_BASE)
                message_error("option --%s takes no argument",
                                option_table[optopt - OPTION_BASE].name);
        else
                message_error("unknown option %s; %s%s%s", message_quote(word, quote),
                                meant ? "did you mean --" : "see ", meant ?: "vfioptctl --help",
                                meant ? "?" : "");
        return VFIOPT_EXIT_USAGE;
}

/* Options may stand anywhere before "--". Return: 0, or an exit code. */
static int sort_words(CommandLine *line, int argc, char **argv) {
        struct option options[OPTIONS_N + 1] = {};
        int c, r = 0;

        for (size_t i = 0; i < OPTIONS_N; ++i)
                options[i] = (struct option){
                        .name = option_table[i].name,
                        .has_arg = option_table[i].argument ? required_argument : no_argument,
                        .val = OPTION_BASE + (int) i,
                };
        opterr = 0;
        /* "-": words are options of code 1, whatever $POSIXLY_CORRECT says. */
        while ((c = getopt_long(argc, argv, "-:h", options, NULL)) >= 0) {
                unsigned int option = c >= OPTION_BASE ? option_table[c - OPTION_BASE].option : 0;

                if (c == 1)
                        line->words[line->n_words++] = optarg;
                else if (c == 'h')
                        option = OPTION_HELP;
                else if (!option)
                        r = r ?: refuse_option(c, argv[optind - 1]);
                line->options |= option;
                if (option == OPTION_ROOT)
                        line->prefix = optarg;
                if (option == OPTION_TRIGGER)
                        line->trigger = optarg;
                if (option == OPTION_MODE)
                        line->mode = optarg;
        }
        while (optind < argc)
                line->words[line->n_words++] = argv[optind++];
        return r;
}

/* Do the verb, its options and the number of arguments go together? Return: 0, or an exit code. */
static int check(const CommandLine *line) {
        const Verb *verb = line->verb;
        size_t n = line->n_words ? line->n_words - 1 : 0;

        for (size_t i = 0; i < OPTIONS_N; ++i)
                if (option_table[i].option & line->options & ~(verb->options | OPTIONS_FOR_ALL)) {
                        message_error("option --%s does not go with %s", option_table[i].name,
                                        verb->name);
                        return VFIOPT_EXIT_USAGE;
                }
        if (n < verb->n_min) {
                message_error("%s is missing arguments: %s", verb->name, verb->args);
                return VFIOPT_EXIT_USAGE;
        }
        return 0;
}

static int run(CommandLine *line) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        Cli cli = {
                .prefix = line->prefix,
                .roots = &roots,
                .options = line->options,
                .mode = line->mode,
                .args = line->words + (line->n_words ? 1 : 0),
                .n_args = line->n_words ? line->n_words - 1 : 0,
        };
        char quote[QUOTE_MAX];
        int r;

        /* As with a variable of a script that is not set: this machine is not meant then. */
        if ((line->options & OPTION_ROOT) && !line->prefix[0]) {
                message_error("option --root needs a directory");
                return VFIOPT_EXIT_USAGE;
        }
        if (line->trigger &&
                        (trigger_from_string(line->trigger, &cli.trigger) < 0 ||
                                        cli.trigger == TRIGGER_RECOVERY)) {
                message_error("unknown trigger %s; triggers are command, agent and boot",
                                message_quote(line->trigger, quote));
                return VFIOPT_EXIT_USAGE;
        }

        r = line->verb->takes_image && line->prefix[0] ? roots_init_image(&roots, line->prefix)
                                                       : roots_init(&roots, line->prefix);
        if (r < 0) {
                if (line->verb->takes_image)
                        message_error("cannot open %s: %s", line->prefix, strerror(-r));
                else
                        message_error("cannot open %s/sys, %s/proc and %s/dev: %s", line->prefix,
                                        line->prefix, line->prefix, strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        r = line->verb->run(&cli);
        line->printed = cli.printed;
        if (r < 0) {
                message_error("%s failed: %s", line->verb->name, strerror(-r));
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
                print_help();
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

/*
 * JSON is a document whatever comes of it, without a GPU where none was looked at. The output of
 * monitor is lines, of which there may be none.
 */
static int print_no_gpus(const CommandLine *line) {
        const bool previews = line->options & OPTION_DRY_RUN || line->verb == &verb_setup;
        const bool switches = line->n_words > 0 && !strcmp(line->words[0], verb_switch.name);
        const bool diagnoses = line->n_words > 0 && !strcmp(line->words[0], verb_diagnose.name);

        if (!(line->options & OPTION_JSON) || line->printed || line->verb == &verb_monitor)
                return 0;
        if (diagnoses)
                return message_json("checks", json_new_array(), NULL, NULL);
        if (previews || switches)
                return message_json(previews ? "plans" : "gpus", json_new_array(), NULL, NULL);
        return message_json("gpus", json_new_array(), "absent", json_new_array());
}

int main(int argc, char **argv) {
        _cleanup_(freep) char **words = calloc((size_t) argc + 1, sizeof(*words));
        CommandLine line = { .prefix = "", .words = words };
        int r;

        if (!words) {
                message_error("%s", strerror(ENOMEM));
                return VFIOPT_EXIT_ERROR;
        }
        /* The agent, which is not root, reads our files in /run and /etc. */
        (void) umask(022);
        r = dispatch(&line, argc, argv);
        if (r != VFIOPT_EXIT_DONE && print_no_gpus(&line) < 0)
                message_error("%s", strerror(ENOMEM));

        if (fflush(stdout) < 0 || ferror(stdout)) {
                message_error("cannot write: %s", strerror(errno));
                return r ?: VFIOPT_EXIT_ERROR;
        }
        return r;
}
