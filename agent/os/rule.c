/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Only the keys are compared that tell one card from another, and of labels only that a file has one
 * vendor in it: enough to name a line, which a person then reads.
 */

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "os/conf.h"
#include "os/rule.h"

static const char *const folders[] = {
        "etc/udev/rules.d",
        "run/udev/rules.d",
        "usr/local/lib/udev/rules.d",
        "usr/lib/udev/rules.d",
        "lib/udev/rules.d",
};

typedef struct Search {
        const RuleDevice *devices;
        size_t n;
        char **found;                /* for each of them, or NULL */
        const char *const *patterns; /* of what the rule is to do */
        size_t n_patterns;
        bool of_vendor; /* a line of the file that is read is about NVIDIA's devices */
} Search;

/* keys */

/* Whether one of "a*|b" up to the end of the quotes is the value. */
static bool is_listed(const char *patterns, const char *value) {
        const char *end = patterns + strcspn(patterns, "\"");
        char pattern[64];
        size_t n;

        for (const char *s = patterns; s <= end; s += n + 1) {
                n = strcspn(s, "|\"");
                snprintf(pattern, sizeof(pattern), "%.*s", (int) n, s);
                if (fnmatch(pattern, value, FNM_CASEFOLD) == 0)
                        return true;
        }
        return false;
}

/* Whether each comparison of a key in a line holds for a value. NULL: not known, so it may. */
static bool key_allows(const char *line, const char *key, const char *value) {
        for (const char *s = line; value && (s = strstr(s, key));) {
                bool equal;

                s += strlen(key);
                s += strspn(s, " \t");
                equal = s[0] == '=';
                if ((!equal && s[0] != '!') || s[1] != '=')
                        continue;
                s += 2 + strspn(s + 2, " \ti");
                if (*s == '"' && is_listed(s + 1, value) != equal)
                        return false;
        }
        return true;
}

/* A path that has the address of another card in it. */
static bool writes_to_other(const char *line, const char *address) {
        const char *path = strstr(line, "/devices/");

        if (!path || !address)
                return false;
        path += strlen("/devices/");
        return isxdigit((unsigned char) *path) &&
                        strncmp(path, address, strcspn(address, ".")) != 0;
}

static bool is_of_vendor(const char *line) {
        return strcasestr(line, "0x10de") || strcasestr(line, "10de:");
}

/* Whether a line may be about the function, of which it has the vendor or the address. */
static bool is_about(const Search *search, const RuleDevice *device, const char *line) {
        const char *address = device->address, *class = device->class;
        char slot[32] = "";

        if (address)
                snprintf(slot, sizeof(slot), "%.*s.", (int) strcspn(address, "."), address);
        return (search->of_vendor || (*slot && strstr(line, slot))) &&
                        key_allows(line, "KERNEL", address) &&
                        key_allows(line, "{vendor}", "0x10de") &&
                        key_allows(line, "{device}", device->device) &&
                        (key_allows(line, "{class}", class ?: "0x030000") ||
                                        (!class && key_allows(line, "{class}", "0x030200"))) &&
                        !writes_to_other(line, address);
}

/* rules */

static bool does_it(const Search *search, const char *line) {
        for (size_t i = 0; i < search->n_patterns; ++i)
                if (fnmatch(search->patterns[i], line, 0) == 0)
                        return true;
        return false;
}

static int take_line(void *userdata, const char *path, unsigned int number, char *line) {
        Search *search = userdata;

        /* It goes by an earlier line, "ATTR{vendor}!="0x10de", GOTO=…", as well. */
        if (number == 1)
                search->of_vendor = false;
        line += strspn(line, " \t");
        if (*line == '#')
                return 0;
        search->of_vendor |= is_of_vendor(line);
        if (!does_it(search, line))
                return 0;
        for (size_t i = 0; i < search->n; ++i) {
                if (search->found[i] || !is_about(search, &search->devices[i], line))
                        continue;
                search->found[i] = conf_where(path, number, line);
                if (!search->found[i])
                        return -ENOMEM;
        }
        return 0;
}

static int find(int root_fd, Search *search) {
        int r;

        for (size_t i = 0; i < search->n; ++i)
                search->found[i] = NULL;
        r = conf_read_folders(root_fd, folders, ARRAY_SIZE(folders), ".rules", take_line, search);
        for (size_t i = 0; i < search->n && r < 0; ++i) {
                free(search->found[i]);
                search->found[i] = NULL;
        }
        return r < 0 ? r : 0;
}

/**
 * rule_find_remover() - find the rule that takes a card off the bus
 * @device:     its display function
 * @ret_where:  file, line and text; or NULL where none is known. free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int rule_find_remover(int root_fd, const RuleDevice *device, char **ret_where) {
        /* By an assignment, or by a shell. */
        static const char *const patterns[] = { "*ATTR{*remove}=\"1\"*", "*ATTR{*remove}:=\"1\"*",
                "*RUN*echo*1*>*/remove*", "*RUN*echo*1*tee*/remove*" };
        Search search = { device, 1, ret_where, patterns, ARRAY_SIZE(patterns), false };

        return find(root_fd, &search);
}

/**
 * rule_find_overrides() - find the rules that give functions to vfio by driver_override
 * @devices:    the functions, for all of which the files are read once
 * @ret_where:  as above, for each of them
 *
 * Return: 0 on success, negative error code on failure.
 */
int rule_find_overrides(int root_fd, const RuleDevice *devices, size_t n, char **ret_where) {
        static const char *const patterns[] = { "*ATTR{driver_override}=\"vfio*",
                "*ATTR{driver_override}:=\"vfio*", "*RUN*vfio*driver_override*" };
        Search search = { devices, n, ret_where, patterns, ARRAY_SIZE(patterns), false };

        return find(root_fd, &search);
}
