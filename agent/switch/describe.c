/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans in Words
 *
 * For --dry-run, and for naming the step that failed.
 */

#include "base/text.h"
#include "switch/plan.h"

static const char *const step_names[_STEP_MAX] = {
        [STEP_LOAD] = "load",
        [STEP_HOLD_GROUP] = "hold-group",
        [STEP_OVERRIDE] = "override",
        [STEP_CHECK] = "check",
        [STEP_UNBIND] = "unbind",
        [STEP_BIND] = "bind",
        [STEP_PROBE] = "probe",
        [STEP_VERIFY] = "verify",
        [STEP_SETTLE] = "settle",
        [STEP_POWER] = "power",
        [STEP_D3COLD] = "d3cold",
        [STEP_RELEASE_GROUP] = "release-group",
};

const char *step_kind_to_string(StepKind kind) {
        return kind < _STEP_MAX ? step_names[kind] : "unknown";
}

/**
 * step_describe() - a step as a short phrase
 * @step:       step
 * @ret:        like "unbind 0000:01:00.1 from snd_hda_intel"; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int step_describe(const Step *step, char **ret) {
        char address[ADDRESS_STRING_MAX];
        char *s = NULL;

        address_format(step->function, address);
        switch (step->kind) {
        case STEP_LOAD:
                s = text_format("load module %s", step->value);
                break;
        case STEP_HOLD_GROUP:
                s = text_format("hold IOMMU group %d, so that no guest can take it", step->number);
                break;
        case STEP_OVERRIDE:
                s = step->value ? text_format("reserve %s for %s", address, step->value)
                                : text_format("clear the reservation of %s", address);
                break;
        case STEP_CHECK:
                s = text_format("check once more that nobody uses %s", address);
                break;
        case STEP_UNBIND:
                s = text_format("unbind %s from %s", address, step->value);
                break;
        case STEP_BIND:
                s = text_format("bind %s to %s", address, step->value);
                break;
        case STEP_PROBE:
                s = text_format("let a driver find %s", address);
                break;
        case STEP_VERIFY:
                s = step->value ? text_format("verify that %s is on %s", address, step->value)
                                : text_format("verify that %s has left vfio", address);
                break;
        case STEP_SETTLE:
                s = text_format("wait until %s is through with %s", step->value, address);
                break;
        case STEP_POWER:
                s = text_format("set runtime power management of %s to %s", address, step->value);
                break;
        case STEP_D3COLD:
                s = text_format("set d3cold_allowed of %s to %s", address, step->value);
                break;
        case STEP_RELEASE_GROUP:
                s = text_format("let the IOMMU group go");
                break;
        case _STEP_MAX:
                return -EINVAL;
        }
        if (!s)
                return -ENOMEM;

        *ret = s;
        return 0;
}
