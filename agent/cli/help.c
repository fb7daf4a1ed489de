/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Help
 *
 * One screen. Everything else is in the man page.
 */

#include "cli/help.h"

const OptionInfo help_options[OPTIONS_N] = {
        { "allow-display", NULL, "give up a display that is in use, too", OPTION_ALLOW_DISPLAY },
        { "direct", NULL, "switch in this process instead of a job", OPTION_DIRECT },
        { "dry-run", NULL, "print what would be done, and do nothing", OPTION_DRY_RUN },
        { "help", NULL, "print this", OPTION_HELP },
        { "json", NULL, "print JSON", OPTION_JSON },
        { "no-pager", NULL, "has no effect: there never is a pager", OPTION_NO_PAGER },
        { "root", "DIR", "look at a copy of a machine below DIR", OPTION_ROOT },
        { "trigger", "WHO", "with --direct: command, agent or boot", OPTION_TRIGGER },
        { "verbose", NULL, "tell of every step", OPTION_VERBOSE },
        { "version", NULL, "print the version", OPTION_VERSION },
};

void help_print(const Verb *const *verbs, size_t n) {
        char left[32];

        printf("vfioptctl [OPTION...] [VERB] [ARGUMENT...]\n"
               "\n"
               "Gives NVIDIA GPUs to virtual machines and takes them back.\n"
               "\n"
               "Verbs:\n");
        for (size_t i = 0; i < n; ++i) {
                snprintf(left, sizeof(left), "%s%s%s", verbs[i]->name, verbs[i]->args[0] ? " " : "",
                                verbs[i]->args);
                printf("  %-22s %s\n", left, verbs[i]->summary);
        }
        printf("\n"
               "Options:\n");
        for (size_t i = 0; i < OPTIONS_N; ++i) {
                snprintf(left, sizeof(left), "--%s%s%s", help_options[i].name,
                                help_options[i].argument ? "=" : "",
                                help_options[i].argument ?: "");
                printf("  %-22s %s\n", left, help_options[i].summary);
        }
        printf("\n"
               "MODE is host, passthrough, toggle, or auto: where each GPU was last, or as\n"
               "vfiopt.conf(5) says. GPU is an address (0000:01:00.0, or just 01:00) or an id\n"
               "(10de:2204). Without one, all managed GPUs are meant; monitor tells of all.\n"
               "\n"
               "Exit status: 0 done, 1 error, 2 usage, 3 refused: in use, 4 refused: a\n"
               "precondition does not hold, 5 failed and rolled back, 6 stuck: reboot.\n"
               "\n"
               "See the man page vfioptctl(1).\n");
}
