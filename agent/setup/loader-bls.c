/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GRUB with Boot Loader Specification Entries
 *
 * Fedora and its relatives. The words belong to three places: the entries, which are booted;
 * /etc/default/grub, from which grub2-mkconfig writes all entries anew, as NVIDIA's own packages run
 * it; and /etc/kernel/cmdline, where it exists, for kernels to come. Nothing is to be run: all of
 * them are edited as grubby(8) would, with each byte that is not ours left alone.
 */

#include <string.h>

#include "base/text.h"
#include "setup/loader.h"

#define ENTRIES "boot/loader/entries"

/* The rescue entry stays as it is, to be one. */
static int plan_entries(SetupPlan *plan, const SetupFacts *facts, size_t *ret_n) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, ENTRIES, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        r = 0;
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(freep) char *path = text_format(ENTRIES "/%s", names[i]);
                bool is_edited = false, is_rescue = strstr(names[i], "rescue");

                if (!path)
                        return -ENOMEM;
                if (!text_ends_with(names[i], ".conf"))
                        continue;
                if (!is_rescue)
                        r = loader_edit_line(plan, facts, path, "options", &is_edited);
                *ret_n += !is_rescue;
                if (r >= 0 && !is_edited)
                        r = loader_output(plan, facts, path);
        }
        return r;
}

static int plan_bls(SetupPlan *plan, const SetupFacts *facts) {
        bool is_edited;
        size_t n = 0;
        int r;

        r = strv_push(&plan->entry_dirs, &plan->n_entry_dirs, ENTRIES);
        if (r >= 0)
                r = plan_entries(plan, facts, &n);
        if (r >= 0 && n == 0)
                r = setup_plan_refuse(plan, "/" ENTRIES, "there is no boot entry",
                                "install a kernel, then run vfioptctl setup again");
        if (r >= 0)
                r = loader_edit_grub(plan, facts, "GRUB_CMDLINE_LINUX");
        if (r >= 0 && tree_has(facts->root_fd, "etc/kernel/cmdline"))
                r = loader_edit_line(plan, facts, "etc/kernel/cmdline", "", &is_edited);
        return r;
}

const Loader loader_bls = { .name = "GRUB with entries in /boot/loader", .plan = plan_bls };
