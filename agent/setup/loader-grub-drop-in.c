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

#define FOLDER "etc/default/grub.d"
#define SUFFIX "-" VFIOPT_NAME ".cfg"

/* By its name and its header. Return: 0, 1, or a negative error code. */
static int is_ours(const SetupFacts *facts, const char *name) {
        _cleanup_(freep) char *path = text_format(FOLDER "/%s", name);
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        if (!path)
                return -ENOMEM;
        if (!text_ends_with(name, SUFFIX) || tree_is_link(facts->root_fd, path))
                return 0;
        r = tree_read(facts->root_fd, path, &file);
        return r < 0 ? r : r == 0 && text_starts_with(file.data, SETUP_HEADER, NULL);
}

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
        for (size_t i = 0; i < n; ++i) {
                if (!text_ends_with(names[i], ".cfg"))
                        continue;
                r = is_ours(facts, names[i]);
                if (r < 0)
                        return r;
                if (r == 0)
                        last = names[i];
        }
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

                r = path ? is_ours(facts, names[i]) : -ENOMEM;
                if (r < 0)
                        return r;
                if (r > 0 && strcmp(names[i], chosen) != 0) {
                        r = setup_plan_remove(
                                        plan, facts->root_fd, path, "another file comes behind it");
                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(chosen);
        return 0;
}

/* What says the opposite is looked for, in files that may be code and are not understood. */
static int check_settings(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = loader_check_settings(plan, facts, LOADER_GRUB_SETTINGS, true);
        if (r >= 0)
                r = tree_list(facts->root_fd, FOLDER, &names, &n);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(freep) char *path = text_format(FOLDER "/%s", names[i]);

                if (!path)
                        return -ENOMEM;
                if (text_ends_with(names[i], ".cfg"))
                        r = loader_check_settings(plan, facts, path, true);
        }
        return r < 0 ? r : 0;
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
