/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GRUB by Edit
 *
 * Where grub-mkconfig knows no drop-ins. The words go to the setting for ordinary entries, so that recovery
 * entries stay as they are.
 */

#include "setup/loader.h"

static int plan_edit(SetupPlan *plan, const SetupFacts *facts) {
        int r;

        r = loader_grub_menu(plan, facts);
        return r < 0 ? r : loader_edit_grub(plan, facts, "GRUB_CMDLINE_LINUX_DEFAULT");
}

const Loader loader_grub_edit = { .name = "GRUB (/etc/default/grub)", .plan = plan_edit };
