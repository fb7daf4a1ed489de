/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sections and Keys of the Configuration
 *
 * An empty value takes back what the same section said before, in whichever file. A
 * value that is not understood takes back nothing: the line is as if it were not
 * there. But who says anything at all of whether a GPU is managed most likely wants
 * it left alone, so Managed= that is not understood is Managed=no.
 */

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "record/config-parts.h"

#define MANAGED "Managed"

static const char *const managed_names[_CONFIG_MANAGED_MAX] = {
        [CONFIG_MANAGED_AUTO] = "auto",
        [CONFIG_MANAGED_YES] = "yes",
        [CONFIG_MANAGED_NO] = "no",
};

static const char *const boot_names[_CONFIG_BOOT_MAX] = {
        [CONFIG_BOOT_REMEMBERED] = "remembered",
        [CONFIG_BOOT_HOST] = "host",
        [CONFIG_BOOT_PASSTHROUGH] = "passthrough",
        [CONFIG_BOOT_UNSET] = "unset",
};

/* What BootMode= and Managed= say, in their own words. */
const char *config_managed_to_string(ConfigManaged managed) {
        return managed < _CONFIG_MANAGED_MAX ? managed_names[managed] : "unknown";
}

const char *config_boot_to_string(ConfigBoot boot) {
        return boot < _CONFIG_BOOT_MAX ? boot_names[boot] : "unknown";
}

static int selector_parse(const char *selector, ConfigGpu *ret) {
        ConfigGpu gpu = { .managed = CONFIG_MANAGED_NOT_SAID, .boot = CONFIG_BOOT_NOT_SAID };
        bool has_function;

        gpu.by_id = identity_parse_id(selector, &gpu.vendor, &gpu.device) == 0;
        if (!gpu.by_id && address_parse_loose(selector, &gpu.address, &has_function) < 0)
                return -EINVAL;

        /* All functions of a slot are one GPU, so each of them means the whole. */
        gpu.address = address_of_function(gpu.address, 0);
        *ret = gpu;
        return 0;
}

static int find_or_add_gpu(Config *config, const ConfigGpu *wanted, size_t *ret) {
        ConfigGpu *more;

        for (size_t i = 0; i < config->n_gpus; ++i) {
                const ConfigGpu *gpu = &config->gpus[i];

                if (gpu->by_id == wanted->by_id && gpu->vendor == wanted->vendor &&
                                gpu->device == wanted->device &&
                                !address_compare(gpu->address, wanted->address)) {
                        *ret = i;
                        return 0;
                }
        }

        more = realloc(config->gpus, (config->n_gpus + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        config->gpus = more;
        more[config->n_gpus] = *wanted;
        *ret = config->n_gpus++;
        return 0;
}

/**
 * config_open_section() - what do the next lines belong to?
 * @config:     where the GPU is added, if it is a section of one
 * @place:      where the section begins
 * @name:       what is between the brackets
 * @ret:        the section
 *
 * Return: 0 on success, also if there is something to complain about; negative error
 *         code on failure.
 */
int config_open_section(Config *config, ConfigPlace place, const char *name, ConfigSection *ret) {
        char quoted[CONFIG_QUOTE_MAX];
        const char *selector;
        ConfigGpu gpu;

        *ret = (ConfigSection){ .kind = CONFIG_SECTION_IGNORED };

        if (!strcmp(name, "vfiopt")) {
                ret->kind = CONFIG_SECTION_GENERAL;
                return 0;
        }
        if (strcmp(name, "GPU") && !text_starts_with(name, "GPU ", NULL))
                return config_warning(config, place,
                                "unknown section [%s]; there are [vfiopt] and [GPU SELECTOR]",
                                config_quote(name, quoted));

        selector = name[3] ? name + 4 : "";
        if (selector_parse(selector, &gpu) < 0)
                return config_error(config, place,
                                "[GPU %s] names no GPU; what does is an address (01:00 or "
                                "0000:01:00.0) or an id (10de:2204)",
                                config_quote(selector, quoted));

        ret->kind = CONFIG_SECTION_GPU;
        return find_or_add_gpu(config, &gpu, &ret->gpu);
}

/* As systemd does. */
static int parse_boolean(const char *s, bool *ret) {
        static const char *const names[][2] = {
                { "0", "1" },
                { "no", "yes" },
                { "n", "y" },
                { "false", "true" },
                { "f", "t" },
                { "off", "on" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                for (size_t k = 0; k < 2; ++k)
                        if (!strcasecmp(s, names[i][k])) {
                                *ret = k == 1;
                                return 0;
                        }
        return -EINVAL;
}

static int set_default_mode(Config *config, const ConfigSection *section _unused_, const char *s) {
        if (!*s) {
                config->wish = MODE_UNSET;
                return 0;
        }
        return mode_parse_wish(s, &config->wish);
}

static int set_managed(Config *config, const ConfigSection *section, const char *s) {
        ConfigManaged *managed = &config->gpus[section->gpu].managed;
        bool yes;
        int r;

        if (!*s) {
                *managed = CONFIG_MANAGED_NOT_SAID;
                return 0;
        }
        if (!strcasecmp(s, managed_names[CONFIG_MANAGED_AUTO])) {
                *managed = CONFIG_MANAGED_AUTO;
                return 0;
        }

        r = parse_boolean(s, &yes);
        *managed = r == 0 && yes ? CONFIG_MANAGED_YES : CONFIG_MANAGED_NO;
        return r;
}

static int set_boot_mode(Config *config, const ConfigSection *section, const char *s) {
        ConfigBoot *boot = &config->gpus[section->gpu].boot;

        if (!*s) {
                *boot = CONFIG_BOOT_NOT_SAID;
                return 0;
        }
        for (ConfigBoot i = 0; i < _CONFIG_BOOT_MAX; ++i)
                if (!strcmp(s, boot_names[i])) {
                        *boot = i;
                        return 0;
                }
        return -EINVAL;
}

static const struct {
        ConfigSectionKind section;
        const char *name;
        const char *refusal; /* what its set() makes of a value that is not understood */
        const char *allowed;
        int (*set)(Config *config, const ConfigSection *section, const char *value);
} keys[] = {
        { CONFIG_SECTION_GENERAL, "DefaultMode", "", "unset, host or passthrough",
                        set_default_mode },
        { CONFIG_SECTION_GPU, MANAGED, ", and taken for no", "yes, no or auto", set_managed },
        { CONFIG_SECTION_GPU, "BootMode", "", "remembered, host, passthrough or unset",
                        set_boot_mode },
};

/**
 * config_doubt_line() - what may a line have been that is wrong in its form?
 * @config:     to change
 * @section:    the section that it is in
 * @line:       its text, without blanks before it
 *
 * Return: whether it was to be Managed=, and was taken for no.
 */
bool config_doubt_line(Config *config, const ConfigSection *section, const char *line) {
        const char *rest;

        if (section->kind != CONFIG_SECTION_GPU || !text_starts_with(line, MANAGED, &rest) ||
                        isalnum((unsigned char) *rest))
                return false;

        config->gpus[section->gpu].managed = CONFIG_MANAGED_NO;
        return true;
}

/**
 * config_set_key() - one line of a section
 * @config:     to change
 * @place:      where the line is
 * @section:    the section that it is in
 * @key:        what is before the equals sign
 * @value:      what is behind it
 *
 * Return: 0 on success, also if there is something to complain about; negative error
 *         code on failure.
 */
int config_set_key(Config *config,
                ConfigPlace place,
                const ConfigSection *section,
                const char *key,
                const char *value) {
        char quoted_key[CONFIG_QUOTE_MAX], quoted_value[CONFIG_QUOTE_MAX];

        config_quote(key, quoted_key);
        if (section->kind == CONFIG_SECTION_IGNORED)
                return 0;
        if (section->kind == CONFIG_SECTION_NONE)
                return config_error(config, place,
                                "%s= is in no section; put [vfiopt] or [GPU SELECTOR] before it",
                                quoted_key);

        for (size_t i = 0; i < ARRAY_SIZE(keys); ++i) {
                if (keys[i].section != section->kind || strcmp(keys[i].name, key))
                        continue;
                if (keys[i].set(config, section, value) == 0)
                        return 0;
                return config_error(config, place, "%s=%s is not understood%s; it can be %s",
                                quoted_key, config_quote(value, quoted_value), keys[i].refusal,
                                keys[i].allowed);
        }

        return config_warning(config, place, "unknown key %s= in %s", quoted_key,
                        section->kind == CONFIG_SECTION_GPU
                                        ? "[GPU SELECTOR]; there are Managed= and BootMode="
                                        : "[vfiopt]; there is DefaultMode=");
}
