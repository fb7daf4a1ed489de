/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "os/conf.h"
#include "os/remover.h"

static const char *const folders[] = {
        "etc/udev/rules.d",
        "run/udev/rules.d",
        "usr/local/lib/udev/rules.d",
        "usr/lib/udev/rules.d",
        "lib/udev/rules.d",
};

typedef struct Search {
        const char *address; /* without its function: "0000:01:00." */
        bool of_vendor;      /* a line of the file that is read is about NVIDIA's devices */
        char *found;
} Search;

/* Whether it writes to "remove", by an assignment or by a shell. */
static bool removes(const char *line) {
        static const char *const patterns[] = { "*ATTR{*remove}=\"1\"*", "*ATTR{*remove}:=\"1\"*",
                "*RUN*echo*1*>*/remove*", "*RUN*echo*1*tee*/remove*" };

        for (size_t i = 0; i < ARRAY_SIZE(patterns); ++i)
                if (fnmatch(patterns[i], line, 0) == 0)
                        return true;
        return false;
}

/* Whether it is about another function than the display's: a rule for each class is usual. */
static bool is_of_sibling(const char *line) {
        return (strstr(line, "ATTR{class}==\"0x0c") || strstr(line, "ATTR{class}==\"0x04")) &&
                        !strstr(line, "0x03");
}

static bool is_of_vendor(const char *line) {
        return strcasestr(line, "0x10de") || strcasestr(line, "10de:");
}

/* Of a vendor that it names itself, and that is not NVIDIA. */
static bool is_of_other_vendor(const char *line) {
        const char *vendor = strcasestr(line, "{vendor}==\"");

        return vendor && !strcasestr(vendor, "0x10de");
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
        if (search->found || !removes(line) || is_of_sibling(line) || is_of_other_vendor(line) ||
                        (!search->of_vendor && !(search->address && strstr(line, search->address))))
                return 0;
        search->found = conf_where(path, number, line);
        return search->found ? 0 : -ENOMEM;
}

/**
 * remover_find() - find the rule that takes a card off the bus
 * @address:    of the card, with domain and function; NULL: of any card of NVIDIA's
 * @ret_where:  file, line and text; or NULL where none is known. free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int remover_find(int root_fd, const char *address, char **ret_where) {
        char slot[32];
        Search search = { .address = address ? slot : NULL };
        int r;

        if (address)
                snprintf(slot, sizeof(slot), "%.*s.", (int) strcspn(address, "."), address);
        r = conf_read_folders(root_fd, folders, ARRAY_SIZE(folders), ".rules", take_line, &search);
        if (r < 0) {
                free(search.found);
                return r;
        }
        *ret_where = search.found;
        return 0;
}
