/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kernel-install
 *
 * systemd-boot with entries that kernel-install(8) makes from /etc/kernel/cmdline. Without that file it
 * takes what the running kernel was started with: then nothing that is taken back would stay away, and the
 * file has to be made by a person first. It copies the initramfs to where the loader reads it, so that it is run
 * again where images were made anew.
 */

#include <string.h>

#include "base/text.h"
#include "setup/loader.h"

#define SETTINGS "etc/kernel/cmdline"

static const char *const folders[] = { "boot/loader/entries", "efi/loader/entries",
        "boot/efi/loader/entries" };

/* Where distributions have the image of a kernel. */
static int plan_kernel(SetupPlan *plan, const SetupFacts *facts, const char *kernel) {
        _cleanup_(freep) char *modern = text_format("/lib/modules/%s/vmlinuz", kernel);
        _cleanup_(freep) char *debian = text_format("/boot/vmlinuz-%s", kernel);
        const char *image;

        if (!modern || !debian)
                return -ENOMEM;
        image = tree_has(facts->root_fd, modern + 1)           ? modern
                        : tree_has(facts->root_fd, debian + 1) ? debian
                                                               : NULL;
        const char *const argv[] = { "kernel-install", "add", kernel, image, NULL };

        if (!image)
                return setup_plan_warn(plan,
                                "no image of the kernel %s is known: its boot entry stays as it is",
                                kernel);
        return setup_plan_command(plan, true, "the boot entry of this kernel, and its files", argv);
}

/* The name of an entry has the release of its kernel in it, whole, maybe with a count of tries behind it. */
static bool is_of_kernel(const char *name, const char *kernel) {
        size_t n = strlen(kernel);

        for (const char *s = name; (s = strstr(s, kernel)); ++s)
                if ((s == name || s[-1] == '-') && (s[n] == '+' || text_equal(s + n, ".conf")))
                        return true;
        return false;
}

static bool has_kernel(const SetupFacts *facts, const char *name) {
        for (size_t i = 0; i < facts->n_kernels; ++i)
                if (is_of_kernel(name, facts->kernels[i]))
                        return true;
        return false;
}

/* A kernel without an entry is not booted, and gets none. Return: 0, or a negative error code. */
static int plan_kernels(
                SetupPlan *plan, const SetupFacts *facts, const char *folder, bool *is_planned) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, folder, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; r >= 0 && i < facts->n_kernels; ++i)
                for (size_t k = 0; r >= 0 && k < n; ++k) {
                        if (is_planned[i] || !is_of_kernel(names[k], facts->kernels[i]))
                                continue;
                        is_planned[i] = true;
                        r = plan_kernel(plan, facts, facts->kernels[i]);
                }
        return r;
}

static int plan_folder(
                SetupPlan *plan, const SetupFacts *facts, const char *folder, size_t *ret_n) {
        static const char *const keys[] = { "options", NULL };
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, folder, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        r = strv_push(&plan->entry_dirs, &plan->n_entry_dirs, folder);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(freep) char *path = text_format("%s/%s", folder, names[i]);

                if (!path)
                        return -ENOMEM;
                if (!text_ends_with(names[i], ".conf"))
                        continue;
                r = loader_output(plan, facts, path);
                if (r < 0 || !has_kernel(facts, names[i]))
                        continue;
                ++*ret_n;
                r = loader_check(plan, facts, path, keys, true);
        }
        return r;
}

static int plan_kernel_install(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(freep) bool *is_planned = calloc(facts->n_kernels ?: 1, sizeof(*is_planned));
        _cleanup_(freep) char *words = NULL, *remedy = NULL;
        bool is_edited;
        size_t n = 0;
        int r = 0;

        if (!is_planned)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); ++i)
                r = plan_kernels(plan, facts, folders[i], is_planned);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); ++i)
                r = plan_folder(plan, facts, folders[i], &n);
        if (r >= 0)
                r = loader_words(facts, &words);
        if (r < 0)
                return r;
        if (n == 0) {
                remedy = text_format(
                                "add these words to the options of each entry that is booted:\n  %s",
                                words);
                return remedy ? setup_plan_refuse(plan, NULL,
                                                "no boot entry is one of kernel-install's", remedy)
                              : -ENOMEM;
        }
        if (tree_has(facts->root_fd, SETTINGS))
                return loader_edit_line(plan, facts, SETTINGS, "", &is_edited);
        remedy = text_format(
                        "make that file: one line with the options of your boot entry, and behind them\n  %s\n"
                        "then run vfioptctl setup again",
                        words);
        return remedy ? setup_plan_refuse(plan, "/" SETTINGS,
                                        "there is no such file, so entries are made with what this boot was "
                                        "started with",
                                        remedy)
                      : -ENOMEM;
}

const Loader loader_kernel_install = { .name = "systemd-boot (kernel-install)",
        .plan = plan_kernel_install };
