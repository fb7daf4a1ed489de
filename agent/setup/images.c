/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images
 *
 * An initramfs that has a driver of the GPU loads it before the real root is there; so vfio-pci has to be in there, too,
 * and the file of modprobe.d. Each generator gets a file of ours, and its images are looked into
 * afterwards: they end with success where they have done nothing (facts of each below).
 */

#include <string.h>

#include "base/text.h"
#include "os/conf.h"
#include "os/tool.h"
#include "setup/facts.h"
#include "setup/names.h"

/* Whether an image has vfio-pci as a module; @kernel: NULL where it is not known. */
static bool needs_module(const SetupFacts *facts, const char *kernel) {
        for (size_t i = 0; kernel && i < facts->n_modular; ++i)
                if (!strcmp(facts->modular[i], kernel))
                        return true;
        return !kernel && facts->n_modular > 0 && !facts->vfio_is_built_in;
}

/* The image of a kernel holds them, as @tool lists it. */
static int check_image(SetupPlan *plan,
                const SetupFacts *facts,
                const char *tool,
                const char *image,
                const char *kernel) {
        _cleanup_(freep) char *path = NULL;
        PlanCheck *check;
        size_t n = 0, n_needs = 0;
        int r;

        r = strv_push(&plan->image_files, &plan->n_image_files, image + 1);
        if (r >= 0)
                r = tool_find(facts->root_fd, tool, &path);
        if (r == TOOL_E_MISSING)
                return setup_plan_warn(plan, "%s is not there: nobody looks into %s", tool, image);
        if (r < 0)
                return r;
        check = setup_plan_check(plan);
        if (!check)
                return -ENOMEM;
        check->what = text_format("the image %s", image);
        r = check->what ? strv_push(&check->argv, &n, tool) : -ENOMEM;
        if (r >= 0)
                r = strv_push(&check->argv, &n, image);
        if (r >= 0)
                r = strv_push(&check->needs, &n_needs, SETUP_MODPROBE_NAME);
        if (r >= 0 && needs_module(facts, kernel))
                r = strv_push(&check->needs, &n_needs, "vfio-pci.ko");
        return r;
}

/* settings of the shell */

/* The value of an assignment, cut out in place. */
static char *unquote(char *value) {
        const char *end = value[0] == '"' ? "\"" : value[0] == '\'' ? "'" : " \t#";

        value += end[1] == '\0';
        value[strcspn(value, end)] = '\0';
        return value;
}

/* initramfs-tools */

typedef struct Setting {
        const char *key;
        char *where;
        char *value; /* without its quotes */
} Setting;

static int take_setting(void *userdata, const char *path, unsigned int number, char *line) {
        Setting *setting = userdata;
        char *value;

        line += strspn(line, " \t");
        value = strchr(line, '=');
        if (!value)
                return 0;
        *value++ = '\0';
        if (strcmp(line, setting->key) != 0)
                return 0;
        free(setting->where);
        free(setting->value);
        setting->where = text_format("/%s:%u", path, number);
        setting->value = strdup(unquote(value));
        return setting->where && setting->value ? 0 : -ENOMEM;
}

/* With "no" there, update-initramfs -u says so, does nothing, and ends with success. */
static int refuse_disabled(SetupPlan *plan, const SetupFacts *facts) {
        static const char path[] = "etc/initramfs-tools/update-initramfs.conf";
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        Setting setting = { .key = "update_initramfs" };
        int r;

        r = tree_read(facts->root_fd, path, &file);
        if (r)
                return r < 0 ? r : 0;
        r = conf_read_data(path, file.data, take_setting, &setting);
        if (r >= 0 && text_equal(setting.value, "no"))
                r = setup_plan_refuse(plan, setting.where, "update-initramfs is told to do nothing",
                                "set update_initramfs=yes there, then run vfioptctl setup again");
        free(setting.where);
        free(setting.value);
        return r;
}

static int plan_initramfs_tools(SetupPlan *plan, const SetupFacts *facts) {
        static const char *const argv[] = { "update-initramfs", "-u", "-k", "all", NULL };
        int r;

        r = setup_plan_command(plan, true, "vfio-pci in each initramfs", argv);
        if (r >= 0)
                r = refuse_disabled(plan, facts);
        if (r >= 0)
                r = setup_plan_own(plan, facts->root_fd, SETUP_HOOK_FILE, 0755,
                                "#!/bin/sh\n" SETUP_HEADER "case ${1-} in\n"
                                "prereqs)\n"
                                "\techo\n"
                                "\texit 0\n"
                                "\t;;\n"
                                "esac\n"
                                ". /usr/share/initramfs-tools/hook-functions\n"
                                "force_load vfio_pci\n"
                                "force_load vfio\n"
                                "force_load vfio_iommu_type1\n",
                                "vfio-pci in each initramfs");
        for (size_t i = 0; r >= 0 && i < facts->n_kernels; ++i) {
                _cleanup_(freep) char *image =
                                text_format("/boot/initrd.img-%s", facts->kernels[i]);

                if (!image)
                        return -ENOMEM;
                /* -u makes none that was not there. */
                if (tree_has(facts->root_fd, image + 1))
                        r = check_image(plan, facts, "lsinitramfs", image, facts->kernels[i]);
        }
        return r;
}

/* dracut */

/* The name of an image differs by distribution; it is given, as Debian's dracut chooses another with systemd-boot. */
static int plan_dracut_image(
                SetupPlan *plan, const SetupFacts *facts, const char *kernel, bool *ret_found) {
        static const struct {
                const char *start, *end;
        } names[] = { { "initrd.img-", "" }, { "initramfs-", ".img" }, { "initrd-", "" } };

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i) {
                _cleanup_(freep) char *image =
                                text_format("/boot/%s%s%s", names[i].start, kernel, names[i].end);
                const char *const argv[] = { "dracut", "--force", image, kernel, NULL };
                int r;

                if (!image)
                        return -ENOMEM;
                if (!tree_has(facts->root_fd, image + 1))
                        continue;
                *ret_found = true;
                r = setup_plan_command(plan, true, "vfio-pci in this initramfs", argv);
                return r < 0 ? r : check_image(plan, facts, "lsinitrd", image, kernel);
        }
        return 0;
}

/* It leaves out /etc/modprobe.d unless it is host-only, and ends with success where a module is missing. */
static int plan_dracut(SetupPlan *plan, const SetupFacts *facts) {
        bool is_found = false;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_kernels; ++i)
                r = plan_dracut_image(plan, facts, facts->kernels[i], &is_found);
        if (r >= 0 && !is_found)
                r = setup_plan_warn(plan,
                                "no image of dracut is in /boot: make those anew that the machine boots, by its "
                                "own way");
        if (r < 0)
                return r;
        return setup_plan_own(plan, facts->root_fd, SETUP_DRACUT_FILE, 0644,
                        SETUP_HEADER "force_drivers+=\" vfio_pci vfio vfio_iommu_type1 \"\n"
                                     "install_items+=\" /" SETUP_MODPROBE_FILE " \"\n",
                        "vfio-pci in each initramfs");
}

/* mkinitcpio */

#define MKINIT_DEFAULT "etc/mkinitcpio.conf"
#define MKINIT_MODULES "MODULES=(vfio_pci vfio vfio_iommu_type1 \"${MODULES[@]}\")\n"
#define MKINIT_FILES   "FILES+=(/" SETUP_MODPROBE_FILE ")\n"

typedef struct Preset {
        SetupPlan *plan;
        const SetupFacts *facts;
        char *names; /* with commas between; NULL: not told, so that all count */
} Preset;

/* A line that is no comment has it. Return: 0, or a negative error code. */
static int has_line_with(const SetupFacts *facts, const char *path, const char *needle, bool *ret) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        r = tree_read(facts->root_fd, path, &file);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = file.data, *line; (line = strsep(&rest, "\n"));)
                *ret = *ret || (line[strspn(line, " \t")] != '#' && strstr(line, needle));
        return 0;
}

/* A preset with a configuration of its own does not read ours. Return: 0, or a negative error code. */
static int judge_config(const Preset *preset, const char *where, const char *config) {
        _cleanup_(freep) char *problem = NULL, *remedy = NULL;
        bool has_module = false, has_file = false;
        int r = 0;

        if (config[0] == '/')
                r = has_line_with(preset->facts, config + 1, "vfio_pci", &has_module);
        if (r >= 0 && has_module)
                r = has_line_with(preset->facts, config + 1, "/" SETUP_MODPROBE_FILE, &has_file);
        if (r < 0 || (has_module && has_file))
                return r;
        problem = text_format("this preset reads %s, and not /" SETUP_MKINIT_FILE, config);
        if (!strcmp(config, "/" MKINIT_DEFAULT))
                remedy = text_format(
                                "take that line out, then run vfioptctl setup again: /" MKINIT_DEFAULT
                                " is read without it as well");
        else
                remedy = text_format(
                                "add these lines at the end of %s, and change nothing else there:\n"
                                "  " MKINIT_MODULES "  " MKINIT_FILES
                                "then run vfioptctl setup again; before a rollback, take them out",
                                config);
        return problem && remedy ? setup_plan_refuse(preset->plan, where, problem, remedy)
                                 : -ENOMEM;
}

static int take_names(Preset *preset, char *value) {
        if (!strchr(value, ')'))
                return 0;
        for (char *s = value; (s = strpbrk(s, " \t\"'()"));)
                *s = ',';
        free(preset->names);
        preset->names = NULL;
        return text_copy(value, &preset->names);
}

static int take_preset(void *userdata, const char *path, unsigned int number, char *line) {
        _cleanup_(freep) char *where = text_format("/%s:%u", path, number);
        Preset *preset = userdata;
        char *value, *kind;

        if (!where)
                return -ENOMEM;
        line += strspn(line, " \t");
        value = strchr(line, '=');
        if (line[0] == '#' || !value)
                return 0;
        *value++ = '\0';
        if (!strcmp(line, "PRESETS"))
                return take_names(preset, value);
        kind = strrchr(line, '_');
        if (!kind)
                return 0;
        *kind++ = '\0';
        if (preset->names && strcmp(line, "ALL") != 0 && !text_has_word(preset->names, line))
                return 0;
        value = unquote(value);
        if (!strcmp(kind, "config"))
                return judge_config(preset, where, value);
        if (!strcmp(kind, "image") && value[0] == '/' &&
                        tree_has(preset->facts->root_fd, value + 1))
                return check_image(preset->plan, preset->facts, "lsinitcpio", value, NULL);
        return 0;
}

/* Their configurations, and their images as far as these are there; others in /boot are left over. */
static int look_at_presets(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, "etc/mkinitcpio.d", &names, &n);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
                _cleanup_(freep) char *path = text_format("etc/mkinitcpio.d/%s", names[i]);
                Preset preset = { .plan = plan, .facts = facts };

                if (!path)
                        return -ENOMEM;
                if (!text_ends_with(names[i], ".preset"))
                        continue;
                r = tree_read(facts->root_fd, path, &file);
                if (r == 0)
                        r = conf_read_data(path, file.data, take_preset, &preset);
                free(preset.names);
        }
        return r < 0 ? r : 0;
}

/*
 * Its init loads MODULES in their order, before udev: so ours go before those of the main file. FILES are for a
 * machine whose HOOKS do not have modconf.
 */
static int plan_mkinitcpio(SetupPlan *plan, const SetupFacts *facts) {
        static const char *const argv[] = { "mkinitcpio", "-P", NULL };
        int r;

        r = setup_plan_command(plan, true, "vfio-pci in each initramfs", argv);
        if (r >= 0)
                r = look_at_presets(plan, facts);
        if (r >= 0 && plan->n_image_files == 0)
                r = setup_plan_warn(plan,
                                "no preset of mkinitcpio names an image that is there: nobody looks into any");
        if (r < 0)
                return r;
        return setup_plan_own(plan, facts->root_fd, SETUP_MKINIT_FILE, 0644,
                        SETUP_HEADER MKINIT_MODULES MKINIT_FILES,
                        "vfio-pci in each initramfs, before other drivers");
}

/* which one */

typedef struct Generator {
        const char *name;
        const char *tool; /* the one that only this generator has */
        int (*plan)(SetupPlan *plan, const SetupFacts *facts);
} Generator;

static const Generator generators[] = {
        { "initramfs-tools", "mkinitramfs", plan_initramfs_tools },
        { "dracut", "dracut", plan_dracut },
        { "mkinitcpio", "mkinitcpio", plan_mkinitcpio },
};

/* Return: 0, or a negative error code. */
int images_plan(SetupPlan *plan, const SetupFacts *facts) {
        const Generator *found = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(generators); ++i) {
                _cleanup_(freep) char *path = NULL;
                int r;

                r = tool_find(facts->root_fd, generators[i].tool, &path);
                if (r < 0)
                        return r;
                if (r == TOOL_E_MISSING)
                        continue;
                if (found) {
                        _cleanup_(freep) char *problem =
                                        text_format("there are two generators of an initramfs: %s "
                                                    "and %s",
                                                        found->name, generators[i].name);

                        return problem ? setup_plan_refuse(plan, NULL, problem,
                                                         "uninstall the one that is not in use, then run vfioptctl "
                                                         "setup again")
                                       : -ENOMEM;
                }
                found = &generators[i];
        }
        if (!found)
                return setup_plan_warn(plan,
                                "no generator of an initramfs is known here: where there is one, vfio-pci and /%s "
                                "belong into it",
                                SETUP_MODPROBE_FILE);
        plan->images = strdup(found->name);
        return plan->images ? found->plan(plan, facts) : -ENOMEM;
}
