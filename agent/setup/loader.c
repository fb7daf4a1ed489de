/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which Boot Loader
 *
 * Told by what is there to be booted, not by what is installed: a machine may have the tools of
 * several. Those that have a way of their own come first. Where two are left, the command
 * line of this boot decides, or a person.
 */

#include <string.h>

#include "base/text.h"
#include "os/tool.h"
#include "setup/loader.h"

/* A way that is not built here. */
typedef struct ByHand {
        const char *name;
        const char *evidence; /* a file or a directory of the machine */
        const char *suffix;   /* of a file in that directory, which is the evidence; or NULL */
        bool with_entries;    /* it counts only beside entries of systemd-boot */
        const char *remedy;   /* "%s" stands for the words, each of them as .word has it */
        const char *file;     /* where it is missing, .without is the remedy; or NULL */
        const char *without;
        const char *word;
} ByHand;

/* A file that holds the whole line is never made of these words alone: the machine would not find its root. */
#define WHOLE_LINE \
        "one whole line, with root=... and all else that /proc/cmdline has, and behind that\n"

#define UKI(_evidence)                                                                      \
        {                                                                                   \
                .name = "unified kernel images", .evidence = (_evidence), .suffix = ".efi", \
                .remedy = "add to the line of /etc/kernel/cmdline:\n"                       \
                          "  %s\n"                                                          \
                          "and make the images anew",                                       \
                .file = "etc/kernel/cmdline",                                               \
                .without = "make /etc/kernel/cmdline: " WHOLE_LINE "  %s\n"                 \
                           "and make the images anew",                                      \
        }

static const ByHand by_hand[] = {
        {
                        .name = "NixOS",
                        .evidence = "etc/NIXOS",
                        .remedy = "in configuration.nix, then nixos-rebuild boot:\n"
                                  "  boot.kernelParams = [ %s ];\n"
                                  "  boot.initrd.kernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ];",
                        .word = "\"%s\"",
        },
        {
                        .name = "rpm-ostree",
                        .evidence = "run/ostree-booted",
                        .remedy = "rpm-ostree kargs %s",
                        .word = "--append-if-missing=%s",
        },
        {
                        .name = "rpm-ostree",
                        .evidence = "ostree/repo",
                        .remedy = "rpm-ostree kargs %s",
                        .word = "--append-if-missing=%s",
        },
        {
                        .name = "proxmox-boot-tool",
                        .evidence = "etc/kernel/proxmox-boot-uuids",
                        .remedy = "add to the first line of /etc/kernel/cmdline, and in /etc/default/grub to "
                                  "GRUB_CMDLINE_LINUX_DEFAULT:\n"
                                  "  %s\n"
                                  "then: proxmox-boot-tool refresh",
                        .file = "etc/kernel/cmdline",
                        .without = "add in /etc/default/grub to GRUB_CMDLINE_LINUX_DEFAULT:\n"
                                   "  %s\n"
                                   "then: proxmox-boot-tool refresh",
        },
        {
                        .name = "Limine",
                        .evidence = "etc/default/limine",
                        .remedy = "add to KERNEL_CMDLINE[default] in /etc/default/limine, which is the whole line, with "
                                  "root=... in it:\n"
                                  "  %s\n"
                                  "then: limine-update",
        },
        {
                        .name = "Limine",
                        .evidence = "boot/limine.conf",
                        .remedy = "add to each cmdline: in /boot/limine.conf:\n"
                                  "  %s",
        },
        {
                        .name = "kernelstub",
                        .evidence = "etc/kernelstub/configuration",
                        .with_entries = true,
                        .remedy = "kernelstub -a '%s'",
        },
        {
                        .name = "sdboot-manage",
                        .evidence = "etc/sdboot-manage.conf",
                        .with_entries = true,
                        .remedy = "add to LINUX_OPTIONS in /etc/sdboot-manage.conf:\n"
                                  "  %s\n"
                                  "then: sdboot-manage gen",
        },
        {
                        .name = "sdbootutil",
                        .evidence = "usr/bin/sdbootutil",
                        .with_entries = true,
                        .remedy = "add to the line of /etc/kernel/cmdline:\n"
                                  "  %s\n"
                                  "then: sdbootutil update-all-entries",
                        .file = "etc/kernel/cmdline",
                        .without = "make /etc/kernel/cmdline: " WHOLE_LINE "  %s\n"
                                   "then: sdbootutil update-all-entries",
        },
        UKI("boot/EFI/Linux"),
        UKI("efi/EFI/Linux"),
        UKI("boot/efi/EFI/Linux"),
        {
                        .name = "rEFInd",
                        .evidence = "boot/refind_linux.conf",
                        .remedy = "add to each line of /boot/refind_linux.conf:\n  %s",
        },
};

/* Entries of systemd-boot's kind that no GRUB of the usual kind reads. */
static bool has_entries(const SetupFacts *facts) {
        return text_equal(facts->loader_type, "grub2-bls") ||
                        text_equal(facts->loader_type, "systemd-boot") ||
                        tree_has(facts->root_fd, "boot/loader/loader.conf") ||
                        tree_has(facts->root_fd, "efi/loader/loader.conf") ||
                        tree_has(facts->root_fd, "boot/efi/loader/loader.conf");
}

static int append_replaced(Text *out, const char *format, const char *what) {
        const char *place = strstr(format, "%s");

        return place ? text_append(out, "%.*s%s%s", (int) (place - format), format, what, place + 2)
                     : text_append(out, "%s", format);
}

static int refuse(SetupPlan *plan,
                const SetupFacts *facts,
                const char *problem,
                const char *remedy,
                const char *word) {
        _cleanup_(text_deinit) Text words = TEXT_NULL, out = TEXT_NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_words; ++i) {
                r = text_append(&words, "%s", i > 0 ? " " : "");
                if (r >= 0)
                        r = append_replaced(&words, word ?: "%s", facts->words[i]);
        }
        if (r >= 0)
                r = append_replaced(&out, remedy, text(&words));
        return r < 0 ? r : setup_plan_refuse(plan, NULL, problem, text(&out));
}

static int refuse_by_hand(SetupPlan *plan, const SetupFacts *facts, const ByHand *way) {
        _cleanup_(freep) char *problem = text_format(
                        "the kernel's command line is kept by %s here, which is to be done by hand",
                        way->name);

        const char *remedy = way->file && !tree_has(facts->root_fd, way->file) ? way->without
                                                                               : way->remedy;

        return problem ? refuse(plan, facts, problem, remedy, way->word) : -ENOMEM;
}

/* Return: 0, 1 where the way is in use, or a negative error code. */
static int is_in_use(const SetupFacts *facts, const ByHand *way) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        if (way->with_entries && !has_entries(facts))
                return 0;
        if (!way->suffix)
                return tree_has(facts->root_fd, way->evidence);
        r = tree_list(facts->root_fd, way->evidence, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; i < n; ++i)
                if (text_ends_with(names[i], way->suffix))
                        return 1;
        return 0;
}

/* Whether a file has a piece of text; false if there is no such file. Return: 0, or negative. */
static int contains(int root_fd, const char *path, const char *needle, bool *ret) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        r = tree_read(root_fd, path, &file);
        if (r < 0)
                return r;
        *ret = r == 0 && memmem(file.data, file.n, needle, strlen(needle));
        return 0;
}

/* Entries may lie there that no menu reads: only the menu tells. */
static int choose_grub(const SetupFacts *facts, const Loader **ret) {
        bool is_grub2 = tree_has(facts->root_fd, "boot/grub2/grub.cfg"), has = false;
        _cleanup_(freep) char *tool = NULL;
        int r;

        r = contains(facts->root_fd, is_grub2 ? "boot/grub2/grub.cfg" : "boot/grub/grub.cfg",
                        "blscfg", &has);
        if (r < 0)
                return r;
        if (has && tree_has(facts->root_fd, "boot/loader/entries")) {
                *ret = &loader_bls;
                return 0;
        }
        r = tool_find(facts->root_fd, is_grub2 ? "grub2-mkconfig" : "grub-mkconfig", &tool);
        if (r < 0)
                return r;
        if (r == 0) {
                r = contains(facts->root_fd, tool + 1, "default/grub.d", &has);
                if (r < 0)
                        return r;
        }
        *ret = has ? &loader_grub_drop_in : &loader_grub_edit;
        return 0;
}

/* Return: 0, or a negative error code; @ret stays NULL where a person has to decide. */
static int choose(const SetupFacts *facts, const Loader **ret, const char **ret_problem) {
        bool has_grub = tree_has(facts->root_fd, "boot/grub/grub.cfg") ||
                        tree_has(facts->root_fd, "boot/grub2/grub.cfg");
        bool has_systemd = has_entries(facts);

        if (text_equal(facts->loader_type, "grub2-bls")) {
                *ret_problem = "GRUB reads boot entries here, and what makes them is not known";
                return 0;
        }
        if (text_equal(facts->loader_type, "systemd-boot"))
                has_grub = false;
        *ret_problem = "no boot loader is found that is known here";
        if (has_grub && has_systemd) {
                *ret_problem = "there are two boot loaders, GRUB and systemd-boot, and nothing tells which one boots this machine";
                if (!facts->booted)
                        return 0;
                has_systemd = strstr(facts->booted, "initrd=") &&
                                !strstr(facts->booted, "BOOT_IMAGE=");
                has_grub = !has_systemd && strstr(facts->booted, "BOOT_IMAGE=");
        }
        if (has_grub)
                return choose_grub(facts, ret);
        if (has_systemd)
                *ret = &loader_kernel_install;
        return 0;
}

/* Plan the words of the kernel's command line. Return: 0, or a negative error code. */
int loader_plan(SetupPlan *plan, const SetupFacts *facts) {
        const Loader *loader = NULL;
        const char *problem;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(by_hand); ++i) {
                r = is_in_use(facts, &by_hand[i]);
                if (r != 0)
                        return r < 0 ? r : refuse_by_hand(plan, facts, &by_hand[i]);
        }
        r = choose(facts, &loader, &problem);
        if (r < 0)
                return r;
        if (!loader)
                return refuse(plan, facts, problem,
                                "add these words to the kernel's command line, by the way of the boot loader:\n  %s",
                                NULL);
        plan->loader = strdup(loader->name);
        for (size_t i = 0; plan->loader && r >= 0 && i < facts->n_words; ++i)
                r = strv_push(&plan->words, &plan->n_words, facts->words[i]);
        if (r < 0 || !plan->loader)
                return r < 0 ? r : -ENOMEM;
        return loader->plan(plan, facts);
}

/**
 * setup_plan_make() - what there is to be done on a machine
 * @plan:       setup_plan_deinit() it, whatever is returned
 *
 * Return: 0, or a negative error code. A plan that cannot be carried out has refusals.
 */
int setup_plan_make(SetupPlan *plan, const SetupFacts *facts) {
        int r = 0;

        *plan = (SetupPlan) SETUP_PLAN_NULL;
        for (size_t i = 0; r >= 0 && i < facts->n_warnings; ++i)
                r = strv_push(&plan->warnings, &plan->n_warnings, facts->warnings[i]);
        if (r >= 0)
                r = modprobe_plan(plan, facts);
        if (r >= 0)
                r = images_plan(plan, facts);
        return r < 0 ? r : loader_plan(plan, facts);
}
