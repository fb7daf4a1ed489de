/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Display
 *
 * Read from the connectors in sysfs, which are cached values: reading them neither
 * probes a monitor nor wakes the GPU (drivers/gpu/drm/drm_sysfs.c), where opening
 * the card would do both. A text console lights a connector too.
 *
 * Without modeset NVIDIA's driver has no connectors; then /dev/nvidia-modeset is
 * all that there is to see.
 */

#include <string.h>

#include "base/text.h"
#include "os/sysfs.h"
#include "probe/display.h"

enum {
        FOUND_ENABLED = 1 << 0,
        FOUND_DPMS = 1 << 1,
};

typedef struct Context {
        Sysfs *sysfs;
        Address function;
        Findings *findings;
} Context;

/* Return: 0 on success (also if the attribute has gone), negative error code on failure. */
static int attribute_is(
                Sysfs *sysfs, const char *path, const char *name, const char *wanted, bool *ret) {
        _cleanup_(freep) char *attribute = NULL, *value = NULL;
        int r;

        attribute = text_format("%s/%s", path, name);
        if (!attribute)
                return -ENOMEM;
        r = sysfs_read(sysfs, attribute, &value);
        if (r < 0 && r != -ENODEV)
                return r;

        *ret = r == 0 && !strcmp(value, wanted);
        return 0;
}

static int check_connector(void *userdata, const char *path, const char *name, unsigned int found) {
        Context *context = userdata;
        bool enabled, on;
        Finding *finding;
        int r;

        /* Power management has an "enabled" too, elsewhere. */
        if (found != (FOUND_ENABLED | FOUND_DPMS))
                return 0;

        r = attribute_is(context->sysfs, path, "enabled", "enabled", &enabled);
        if (r >= 0)
                r = attribute_is(context->sysfs, path, "dpms", "On", &on);
        if (r < 0 || !enabled || !on)
                return r;

        r = findings_push(context->findings, FINDING_DISPLAY_ACTIVE, context->function, &finding);
        if (r < 0)
                return r;
        finding->detail = strdup(name);
        return finding->detail ? 0 : -ENOMEM;
}

/**
 * display_check() - is a GPU somebody's display?
 * @sysfs:      where from
 * @gpu:        GPU
 * @findings:   where to add FINDING_BOOT_DISPLAY, and FINDING_DISPLAY_ACTIVE for
 *              each connector that is lit
 *
 * Return: 0 on success, negative error code on failure.
 */
int display_check(Sysfs *sysfs, const Gpu *gpu, Findings *findings) {
        static const char *const wanted[] = { "enabled", "dpms" };
        const Device *display = &gpu->functions[0];
        Context context = { .sysfs = sysfs, .function = display->address, .findings = findings };
        char path[DEVICE_PATH_MAX];
        int r;

        if (display->boot_vga == 1) {
                r = findings_push(findings, FINDING_BOOT_DISPLAY, display->address, NULL);
                if (r < 0)
                        return r;
        }
        return sysfs_walk(sysfs, device_path(display->address, "drm", path), wanted,
                        ARRAY_SIZE(wanted), check_connector, &context);
}
