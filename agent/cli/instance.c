/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "cli/cli.h"
#include "cli/instance.h"

const char *const instance_modes[INSTANCE_MODES] = {
        "host",
        "passthrough",
        INSTANCE_TOGGLE,
        INSTANCE_AUTO,
};

/* In the order in which they are written. */
static const struct {
        const char *name;
        unsigned int option;
} options[] = {
        { "allow-display", OPTION_ALLOW_DISPLAY },
};

void instance_deinit(Instance *instance) {
        free(instance->gpus);
        free(instance->words);
        *instance = (Instance) INSTANCE_NULL;
}

static int parse_mode(Instance *instance, const char *word) {
        for (size_t i = 0; i < INSTANCE_MODES; ++i)
                if (!strcmp(word, instance_modes[i])) {
                        instance->mode = instance_modes[i];
                        return 0;
                }
        instance->culprit = word;
        return INSTANCE_E_MODE;
}

static int parse_option(Instance *instance, const char *word) {
        instance->culprit = word;
        for (size_t i = 0; i < ARRAY_SIZE(options); ++i) {
                if (strcmp(word, options[i].name) != 0)
                        continue;
                if (instance->options & options[i].option)
                        return INSTANCE_E_REPEATED;
                instance->options |= options[i].option;
                instance->culprit = NULL;
                return 0;
        }
        return INSTANCE_E_OPTION;
}

static int split_gpus(Instance *instance, char *list) {
        size_t n = 1;
        char *word;

        for (const char *c = list; *c; ++c)
                n += *c == '_';
        instance->gpus = calloc(n, sizeof(*instance->gpus));
        if (!instance->gpus)
                return -ENOMEM;
        while ((word = strsep(&list, "_")))
                instance->gpus[instance->n_gpus++] = word;
        return 0;
}

/**
 * instance_parse() - take an instance apart
 * @instance:   to initialise; instance_deinit() it, whatever is returned
 * @s:          the instance, which anybody may have chosen
 *
 * Options may stand in any order, each once.
 *
 * Return: 0 on success, INSTANCE_E_* and .culprit if it is none, negative error code on failure.
 */
int instance_parse(Instance *instance, const char *s) {
        char *list, *rest, *word;
        int r;

        *instance = (Instance){ .words = strdup(s) };
        if (!instance->words)
                return -ENOMEM;

        list = instance->words;
        rest = strsep(&list, ":");
        r = parse_mode(instance, strsep(&rest, "_"));
        while (r == 0 && (word = strsep(&rest, "_")))
                r = parse_option(instance, word);
        if (r || !list)
                return r;
        return split_gpus(instance, list);
}

/* "passthrough_allow-display". Of @chosen, the options that no instance has are left out. */
int instance_append_mode(Text *name, const char *mode, unsigned int chosen) {
        int r;

        r = text_append(name, "%s", mode);
        for (size_t i = 0; i < ARRAY_SIZE(options) && r >= 0; ++i)
                if (chosen & options[i].option)
                        r = text_append(name, "_%s", options[i].name);
        return r;
}

/* ":0000:01:00.0", or "_0000:01:00.0" if it is not the first */
int instance_append_gpu(Text *name, Address gpu, bool first) {
        char address[ADDRESS_STRING_MAX];

        return text_append(name, "%c%s", first ? ':' : '_', address_format(gpu, address));
}
