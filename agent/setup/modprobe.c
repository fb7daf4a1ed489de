/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * modprobe.d
 *
 * vfio-pci is loaded before each driver that could take the GPU; with ids= it then has it. That works in an
 * initramfs and without any part of vfiopt running. Nothing is blacklisted: where vfio-pci fails, the
 * driver loads all the same.
 */

#include <string.h>

#include "base/text.h"
#include "setup/facts.h"
#include "setup/names.h"
#include "setup/words.h"

#define SOFTDEP_PRE "vfio-pci"

static bool has_vfio(const char *list) {
        _cleanup_(freep) char *other = NULL;

        return list && word_judge(list, strlen(list), SOFTDEP_PRE, &other) == WORD_PRESENT;
}

/* What kmod goes by today stays in force: ours takes the line's place, so it says all that this one says. */
static int append_softdep(SetupPlan *plan, const ModuleFacts *module, Text *out) {
        bool is_there = has_vfio(module->pre);
        int r;

        if (module->install_where)
                return setup_plan_warn(plan,
                                "no softdep for %s: %s has an install line for it, which would not count any "
                                "more; vfio-pci is loaded early all the same",
                                module->name, module->install_where);
        if (module->is_hidden)
                return is_there ? 0
                                : setup_plan_warn(plan,
                                                  "no softdep for %s: that of %s comes first, and is the one that "
                                                  "counts",
                                                  module->name,
                                                  module->softdep_where ?: "the kernel");
        if (module->is_ambiguous)
                return setup_plan_warn(plan,
                                "no softdep for %s: the kernels of this machine have different ones",
                                module->name);
        r = text_append(out, "softdep %s pre:%s%s%s", module->name, module->pre ? " " : "",
                        module->pre ?: "", is_there ? "" : " " SOFTDEP_PRE);
        if (r >= 0 && module->post)
                r = text_append(out, " post: %s", module->post);
        return r < 0 ? r : text_append(out, "\n");
}

static int plan_ids(SetupPlan *plan, const SetupFacts *facts, Text *out) {
        int r = 0;

        if (facts->mode == MODE_PASSTHROUGH && facts->ids && !facts->vfio_is_built_in)
                r = text_append(out, "options vfio-pci ids=%s\n", facts->ids);
        if (r < 0 || !facts->other_ids || text_equal(facts->ids, facts->other_ids))
                return r;
        return setup_plan_warn(plan,
                        "%s has \"ids=%s\" for vfio-pci, which stays in force: take it out unless these are the "
                        "devices for guests",
                        facts->other_ids_where, facts->other_ids);
}

/* Return: 0, or a negative error code. */
int modprobe_plan(SetupPlan *plan, const SetupFacts *facts) {
        _cleanup_(text_deinit) Text out = TEXT_NULL;
        int r;

        if (facts->vfio_is_missing)
                return setup_plan_refuse(plan, NULL,
                                "no kernel of this machine has the module vfio-pci",
                                "install the package of the kernel's extra modules, then run vfioptctl setup again");
        r = text_append(&out, "%s", SETUP_HEADER);
        for (size_t i = 0; r >= 0 && i < PROTECTED_MODULES; ++i)
                r = append_softdep(plan, &facts->modules[i], &out);
        if (r >= 0)
                r = plan_ids(plan, facts, &out);
        if (r >= 0)
                r = setup_plan_own(plan, facts->root_fd, SETUP_MODPROBE_FILE, 0644, text(&out),
                                facts->ids && facts->mode == MODE_PASSTHROUGH
                                                ? "vfio-pci before the drivers, and the GPU for it"
                                                : "vfio-pci before the drivers");
        if (r >= 0)
                r = setup_plan_own(plan, facts->root_fd, SETUP_MODULES_FILE, 0644,
                                SETUP_HEADER "vfio-pci\nvfio_iommu_type1\n",
                                "vfio-pci is loaded early");
        return r;
}
