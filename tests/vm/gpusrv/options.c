/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Command Line
 *
 * A function is described as NAME=MODEL[,KEY=VALUE…]; this parses what comes
 * behind the first "=". Keys:
 *
 *     vendor, device    hexadecimal ids
 *     subsystem         VENDOR:DEVICE
 *     class             six hexadecimal digits
 *     chip              architecture and implementation as in PMC_BOOT_0
 *     vram              size of BAR 1 in MiB
 *     flr=no            the function cannot be reset alone
 *     trap=yes          let no access to BAR 0 pass by this server
 *     dead=yes          registers read as all ones from the beginning
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "options.h"

static const Model *const models[] = {
        &model_gpu,
        &model_audio,
        &model_usb,
        &model_ucsi,
        &model_display,
};

static const Model *find_model(const char *name) {
        for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); ++i)
                if (strcmp(models[i]->name, name) == 0)
                        return models[i];
        return NULL;
}

static int parse_number(const char *text, int base, unsigned long max, unsigned long *ret_value) {
        unsigned long value;
        char *end;

        errno = 0;
        value = strtoul(text, &end, base);
        if (errno != 0 || end == text || *end || value > max)
                return -EINVAL;

        *ret_value = value;
        return 0;
}

static int parse_subsystem(char *text, FunctionOptions *o) {
        char *colon = strchr(text, ':');
        unsigned long vendor, device;

        if (!colon)
                return -EINVAL;
        *colon = 0;
        if (parse_number(text, 16, UINT16_MAX, &vendor) < 0 ||
                        parse_number(colon + 1, 16, UINT16_MAX, &device) < 0)
                return -EINVAL;

        o->subvendor = vendor;
        o->subdevice = device;
        return 0;
}

static int parse_id(const char *text, uint16_t *ret_id) {
        unsigned long value;
        int r;

        r = parse_number(text, 16, UINT16_MAX, &value);
        if (r >= 0)
                *ret_id = value;
        return r;
}

static int parse_flag(const char *text, const char *word, bool *ret_flag) {
        *ret_flag = strcmp(text, word) == 0;
        return *ret_flag ? 0 : -EINVAL;
}

static int parse_option(const char *key, char *value, FunctionOptions *o) {
        unsigned long number;

        if (strcmp(key, "vendor") == 0)
                return parse_id(value, &o->vendor);
        if (strcmp(key, "device") == 0)
                return parse_id(value, &o->device);
        if (strcmp(key, "subsystem") == 0)
                return parse_subsystem(value, o);
        if (strcmp(key, "flr") == 0)
                return parse_flag(value, "no", &o->no_flr);
        if (strcmp(key, "trap") == 0)
                return parse_flag(value, "yes", &o->trap);
        if (strcmp(key, "dead") == 0)
                return parse_flag(value, "yes", &o->dead);

        if (strcmp(key, "class") == 0 && parse_number(value, 16, 0xffffff, &number) >= 0)
                o->class = number;
        else if (strcmp(key, "chip") == 0 && parse_number(value, 16, 0x1ff, &number) >= 0)
                o->chip = number;
        else if (strcmp(key, "vram") == 0 && parse_number(value, 10, 64UL << 10, &number) >= 0)
                o->vram = (uint64_t) number << 20;
        else
                return -EINVAL;
        return 0;
}

/**
 * options_parse() - parse the description of a function
 * @text:       MODEL[,KEY=VALUE…]; clobbered
 * @ret_model:  the model
 * @ret_options: the model's defaults with what @text says on top
 *
 * Return: 0 on success, -EINVAL if it makes no sense.
 */
int options_parse(char *text, const Model **ret_model, FunctionOptions *ret_options) {
        FunctionOptions options;
        const Model *model;
        char *rest, *word, *equals;
        int r;

        word = strtok_r(text, ",", &rest);
        model = word ? find_model(word) : NULL;
        if (!model)
                return -EINVAL;

        options = (FunctionOptions){
                .vendor = PCI_VENDOR_NVIDIA,
                .device = model->device,
                .subvendor = 0x1043,
                .subdevice = 0x89e5,
                .class = model->class,
                .chip = 0x172,
                .vram = 256U << 20,
        };

        while ((word = strtok_r(NULL, ",", &rest))) {
                equals = strchr(word, '=');
                if (!equals)
                        return -EINVAL;
                *equals = 0;
                r = parse_option(word, equals + 1, &options);
                if (r < 0)
                        return r;
        }

        *ret_model = model;
        *ret_options = options;
        return 0;
}
