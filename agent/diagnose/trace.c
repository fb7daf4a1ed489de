/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "diagnose/trace.h"
#include "model/clash.h"
#include "os/conf.h"
#include "os/rule.h"

#define KERNEL_LINE_MAX (64U * 1024)

/* of a slot */
#define FUNCTIONS_MAX 8U

static FunctionSet bit_of(const Device *function) {
        return (FunctionSet) (1U << function->address.function);
}

static int add_line(Traces *traces, const char *line, const char *suffix) {
        _cleanup_(freep) char *whole = text_format("%s%s", line, suffix);

        return whole ? strv_push(&traces->lines, &traces->n_lines, whole) : -ENOMEM;
}

/* One with ids=, if some of the GPU's are among them. */
static int add_ids(Traces *traces, const char *options, const char *suffix, const char *line) {
        FunctionSet found = 0;

        for (size_t i = 0; i < traces->gpu->n_functions; ++i)
                if (clash_has_id(options, traces->gpu->functions[i].identity))
                        found |= bit_of(&traces->gpu->functions[i]);
        traces->functions |= found;
        return found == 0 ? 0 : add_line(traces, text_is_printable(line) ? line : "ids=", suffix);
}

static bool is_vfio_pci(const char *name, size_t n) {
        return n == strlen("vfio-pci") &&
                        (!memcmp(name, "vfio-pci", n) || !memcmp(name, "vfio_pci", n));
}

static int add_kernel_line(Traces *traces, const Roots *roots) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(roots->proc_fd, "cmdline", KERNEL_LINE_MAX, &line, NULL);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = line, *word; r >= 0 && (word = strsep(&rest, " \n"));) {
                const size_t n = strcspn(word, ".");

                if (is_vfio_pci(word, n) && text_starts_with(word + n, ".ids=", NULL))
                        r = add_ids(traces, word + n + 1, " on the kernel's command line", word);
        }
        return r;
}

/* "options vfio-pci ids=…" of modprobe.d */
static int take_options(void *userdata, const char *path, unsigned int number, char *line) {
        _cleanup_(freep) char *where = conf_where(path, number, line);
        char *word, *module, *rest;

        if (!where)
                return -ENOMEM;
        word = strtok_r(line, " \t", &rest);
        module = word && !strcmp(word, "options") ? strtok_r(NULL, " \t", &rest) : NULL;
        if (!module || !is_vfio_pci(module, strlen(module)))
                return 0;
        rest += strspn(rest, " \t");
        return add_ids(userdata, rest, "", where);
}

/* What driverctl sets at each boot, without --nosave; its older versions have no bus in the name. */
static int add_driverctl(Traces *traces, const Roots *roots, const Device *function) {
        static const char *const buses[] = { "pci-", "" };
        char address[ADDRESS_STRING_MAX];

        address_format(function->address, address);
        for (size_t i = 0; i < ARRAY_SIZE(buses); ++i) {
                _cleanup_(freep) char *path = NULL, *driver = NULL, *line = NULL;
                int r;

                path = text_format("etc/driverctl.d/%s%s", buses[i], address);
                if (!path)
                        return -ENOMEM;
                r = file_read_within(roots->root_fd, path, 64, &driver, NULL);
                if (r == -ENOMEM)
                        return r;
                if (r)
                        continue;
                driver[strcspn(driver, " \t\n")] = '\0';
                if (!driver_is_vfio(roots->sysfs, driver))
                        continue;
                traces->functions |= bit_of(function);
                line = text_format("/%s: %s", path, driver);
                if (!line)
                        return -ENOMEM;
                return add_line(traces, line, "");
        }
        return 0;
}

/* Rules of udev, one for each function, or NULL. The files are read once for all of them. */
static int find_rules(const Roots *roots, const Gpu *gpu, char *rules[static FUNCTIONS_MAX]) {
        struct {
                char address[ADDRESS_STRING_MAX], device[8], class[12];
        } names[FUNCTIONS_MAX];
        RuleDevice about[FUNCTIONS_MAX];
        size_t n = 0;

        for (; n < gpu->n_functions && n < FUNCTIONS_MAX; ++n) {
                const Device *function = &gpu->functions[n];

                address_format(function->address, names[n].address);
                snprintf(names[n].device, sizeof(names[n].device), "0x%04x",
                                function->identity.device);
                snprintf(names[n].class, sizeof(names[n].class), "0x%06x",
                                function->class & 0xffffffU);
                about[n] = (RuleDevice){ names[n].address, names[n].device, names[n].class };
        }
        return rule_find_overrides(roots->root_fd, about, n, rules);
}

static int add_rule(Traces *traces, const Device *function, const char *rule) {
        if (!rule)
                return 0;
        traces->functions |= bit_of(function);
        /* Of several functions it is often one. */
        for (size_t i = 0; i < traces->n_lines; ++i)
                if (!strcmp(traces->lines[i], rule))
                        return 0;
        return add_line(traces, rule, "");
}

static int find_lines(Traces *traces, const Roots *roots) {
        const Gpu *gpu = traces->gpu;
        char *rules[FUNCTIONS_MAX] = {};
        int r;

        r = add_kernel_line(traces, roots);
        if (r >= 0)
                r = conf_read_modprobe(roots->root_fd, take_options, traces);
        if (r >= 0)
                r = find_rules(roots, gpu, rules);
        for (size_t i = 0; r >= 0 && i < gpu->n_functions && i < FUNCTIONS_MAX; ++i) {
                r = add_driverctl(traces, roots, &gpu->functions[i]);
                if (r >= 0)
                        r = add_rule(traces, &gpu->functions[i], rules[i]);
        }
        for (size_t i = 0; i < FUNCTIONS_MAX; ++i)
                free(rules[i]);
        return r;
}

void traces_deinit(Traces *traces) {
        strv_free(traces->lines);
        *traces = (Traces){};
}

/**
 * traces_init() - find the lines by which vfio has functions of a GPU from the boot on
 * @traces:     to initialise; traces_deinit() it
 * @gpu:        outlives @traces
 *
 * They are of other programs, or of a person, and take it whatever is asked of us: ids= of vfio-pci, what
 * driverctl has saved, rules of udev.
 *
 * Return: 0 on success, negative error code on failure.
 */
int traces_init(Traces *traces, const Roots *roots, const Gpu *gpu) {
        int r;

        *traces = (Traces){ .gpu = gpu };
        r = find_lines(traces, roots);
        if (r < 0)
                traces_deinit(traces);
        return r;
}

/**
 * trace_find_switch() - has the firmware of a laptop its card off?
 * @ret:        the attribute in sysfs that says so, static; or NULL
 *
 * Return: 0 on success, negative error code on failure.
 */
int trace_find_switch(Sysfs *sysfs, const char **ret) {
        static const char *const switches[] = {
                "devices/platform/asus-nb-wmi/dgpu_disable",
                "class/firmware-attributes/asus-armoury/attributes/dgpu_disable/current_value",
        };

        *ret = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(switches) && !*ret; ++i) {
                _cleanup_(freep) char *value = NULL;
                int r;

                r = sysfs_read(sysfs, switches[i], &value);
                if (r == -ENOMEM)
                        return r;
                if (r == 0 && !strcmp(value, "1"))
                        *ret = switches[i];
        }
        return 0;
}
