/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GRUB by Drop-in
 *
 * Debian's and Ubuntu's grub-mkconfig source /etc/default/grub.d/ after /etc/default/grub, in the order of
 * the names. A file of ours that comes last adds the words which are not there yet, whatever code
 * the others are; none of them is edited.
 */

#include <string.h>

#include "base/text.h"
#include "setup/loader.h"
#include "setup/names.h"
#include "setup/words.h"

#define FOLDER "etc/default/grub.d"
#define SUFFIX "-" VFIOPT_NAME ".cfg"

/* The name sorts behind all others, by bytes and by letters; one that is ours already stays, if it does. */
static int choose_name(const SetupFacts *facts, char **ret, SetupPlan *plan) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) char *chosen = NULL;
        const char *last = "";
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, FOLDER, &names, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; ++i)
                if (text_ends_with(names[i], ".cfg") && !text_ends_with(names[i], SUFFIX))
                        last = names[i];
        chosen = text_format("zz%s", SUFFIX);
        while (chosen && strcmp(chosen, last) <= 0 && strlen(chosen) < 64) {
                char *longer = text_format("z%s", chosen);

                free(chosen);
                chosen = longer;
        }
        if (!chosen)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *path = text_format(FOLDER "/%s", names[i]);

                if (!path)
                        return -ENOMEM;
                if (text_ends_with(names[i], SUFFIX) && strcmp(names[i], chosen) != 0) {
                        r = setup_plan_remove(
                                        plan, facts->root_fd, path, "another file comes behind it");
                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(chosen);
        return 0;
}

static int check_setting(
                SetupPlan *plan, const SetupFacts *facts, const char *line, unsigned int number) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_words; ++i) {
                _cleanup_(freep) char *other = NULL, *printable = NULL, *where = NULL,
                                      *problem = NULL;

                if (word_judge(line, strlen(line), facts->words[i], &other) != WORD_CONTRADICTED)
                        continue;
                printable = other ? text_printable(other) : NULL;
                where = text_format("/" LOADER_GRUB_SETTINGS ":%u", number);
                problem = printable ? text_format("%s contradicts %s", printable, facts->words[i])
                                    : NULL;
                if (!where || !problem)
                        return -ENOMEM;
                r = setup_plan_refuse(plan, where, problem,
                                "take it out there, then run vfioptctl setup again");
        }
        return r;
}

/* What says the opposite is looked for, in a file that may be code and is not understood. */
static int check_settings(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        unsigned int number = 1;
        int r;

        r = tree_read(facts->root_fd, LOADER_GRUB_SETTINGS, &file);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = file.data, *line; r >= 0 && (line = strsep(&rest, "\n")); ++number) {
                line += strspn(line, " \t");
                if (!text_starts_with(line, "GRUB_CMDLINE_LINUX", NULL))
                        continue;
                for (char *s = line; (s = strpbrk(s, "\"'"));)
                        *s = ' ';
                r = check_setting(plan, facts, line, number);
        }
        return r;
}

/* It must not end in a command that fails: grub-mkconfig would. */
static int plan_drop_in(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(freep) char *words = NULL, *name = NULL, *path = NULL, *content = NULL;
        int r;

        r = loader_grub_menu(plan, facts);
        if (r >= 0)
                r = check_settings(plan, facts);
        if (r >= 0)
                r = loader_words(facts, &words);
        if (r >= 0)
                r = choose_name(facts, &name, plan);
        if (r < 0)
                return r;
        path = text_format(FOLDER "/%s", name);
        content = text_format(SETUP_HEADER
                        "for _vfiopt in %s; do\n"
                        "\tcase \" ${GRUB_CMDLINE_LINUX-} ${GRUB_CMDLINE_LINUX_DEFAULT-} \" in\n"
                        "\t*\" ${_vfiopt} \"*) ;;\n"
                        "\t*) GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT:+"
                        "${GRUB_CMDLINE_LINUX_DEFAULT} }${_vfiopt}\" ;;\n"
                        "\tesac\n"
                        "done\n"
                        "unset _vfiopt\n",
                        words);
        if (!path || !content)
                return -ENOMEM;
        return setup_plan_own(
                        plan, facts->root_fd, path, 0644, content, "the kernel's command line");
}

const Loader loader_grub_drop_in = { .name = "GRUB (/etc/default/grub.d)", .plan = plan_drop_in };
