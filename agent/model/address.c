/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PCI Addresses, and Locations
 *
 * Parsed strictly: the text may come from a unit's instance name or a command
 * line, and the address decides where root writes. Two forms exist. The kernel's
 * own is complete and has fixed widths. A user's may leave out domain and
 * function ("01:00"), as for lspci.
 */

#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "model/address.h"

static int parse_slot(const char *s, Address *address, bool *ret_has_function) {
        uint64_t slot, function = 0;
        int r;

        /* "ss" or "ss.f" */
        if (strlen(s) != 2 && strlen(s) != 4)
                return -EINVAL;
        r = text_n_to_uint(s, 2, 16, 31, &slot);
        if (r < 0)
                return r;
        if (s[2]) {
                if (s[2] != '.')
                        return -EINVAL;
                r = text_n_to_uint(s + 3, 1, 10, 7, &function);
                if (r < 0)
                        return r;
        }

        address->slot = slot;
        address->function = function;
        *ret_has_function = s[2] != 0;
        return 0;
}

/**
 * address_parse_loose() - parse an address as users write it
 * @s:          "[domain:]bus:slot[.function]", hexadecimal; a domain has 4 to 8 digits
 * @ret:        the address; domain and function are 0 if left out
 * @ret_has_function: whether the function was given
 *
 * Return: 0 on success, -EINVAL if it is no address, -ERANGE if a part is too large.
 */
int address_parse_loose(const char *s, Address *ret, bool *ret_has_function) {
        const char *first = strchr(s, ':'), *second = first ? strchr(first + 1, ':') : NULL;
        const char *bus = second ? first + 1 : s, *end = second ?: first;
        uint64_t domain = 0, number;
        Address address = {};
        bool has_function;
        int r;

        if (!end || end - bus != 2)
                return -EINVAL;
        if (second) {
                if (first - s < 4 || first - s > 8)
                        return -EINVAL;
                r = text_n_to_uint(s, first - s, 16, UINT32_MAX, &domain);
                if (r < 0)
                        return r;
        }
        r = text_n_to_uint(bus, 2, 16, 255, &number);
        if (r < 0)
                return r;

        address.domain = domain;
        address.bus = number;
        r = parse_slot(end + 1, &address, &has_function);
        if (r < 0)
                return r;

        *ret = address;
        *ret_has_function = has_function;
        return 0;
}

/**
 * address_parse() - parse an address as the kernel writes it
 * @s:          "domain:bus:slot.function", complete
 * @ret:        the address
 *
 * Return: 0 on success, -EINVAL if it is anything else (so that what was parsed
 *         prints again as it was), -ERANGE if a part is too large.
 */
int address_parse(const char *s, Address *ret) {
        char canonical[ADDRESS_STRING_MAX];
        bool has_function;
        Address address;
        int r;

        r = address_parse_loose(s, &address, &has_function);
        if (r < 0)
                return r;
        if (strcmp(address_format(address, canonical), s))
                return -EINVAL;

        *ret = address;
        return 0;
}

/* The last @n digits of a number. Return: where the next character goes. */
static char *put_hex(char *to, uint32_t value, unsigned int n) {
        while (n-- > 0)
                *to++ = "0123456789abcdef"[value >> 4 * n & 0xfU];
        return to;
}

/*
 * Write the kernel's form into @buffer, and return that. By hand, as every path in sysfs has one: with
 * printf(3) it was two fifths of what a look at many GPUs costs.
 */
const char *address_format(Address address, char buffer[static ADDRESS_STRING_MAX]) {
        unsigned int n_domain = 4;
        char *to = buffer;

        while (n_domain < 8 && address.domain >> 4 * n_domain)
                ++n_domain;
        to = put_hex(to, address.domain, n_domain);
        *to++ = ':';
        to = put_hex(to, address.bus, 2);
        *to++ = ':';
        to = put_hex(to, address.slot & 0x1fU, 2);
        *to++ = '.';
        to = put_hex(to, address.function & 7U, 1);
        *to = '\0';
        return buffer;
}

/* As strcmp(3): by domain, bus, slot, function. */
int address_compare(Address a, Address b) {
        if (a.domain != b.domain)
                return a.domain < b.domain ? -1 : 1;
        if (a.bus != b.bus)
                return a.bus < b.bus ? -1 : 1;
        if (a.slot != b.slot)
                return a.slot < b.slot ? -1 : 1;
        return (a.function > b.function) - (a.function < b.function);
}

bool address_same_slot(Address a, Address b) {
        return a.domain == b.domain && a.bus == b.bus && a.slot == b.slot;
}

/* Another function of the same slot. */
Address address_of_function(Address address, uint8_t function) {
        address.function = function;
        return address;
}

static int parse_word(const char *s, void *ret) {
        return address_parse(s, ret);
}

static void format_word(const void *value, char *buffer, size_t n) {
        char address[ADDRESS_STRING_MAX];

        snprintf(buffer, n, "%s", address_format(*(const Address *) value, address));
}

const CodecWord address_word = { .parse = parse_word, .format = format_word };

/* locations */

/* "0000:00", the first @n bytes of @s */
static int parse_root(const char *s, size_t n, Location *ret) {
        uint64_t domain, bus;
        int r;

        if (n < 7 || n > 11 || s[n - 3] != ':')
                return -EINVAL;
        r = text_n_to_uint(s, n - 3, 16, UINT32_MAX, &domain);
        if (r >= 0)
                r = text_n_to_uint(s + n - 2, 2, 16, 255, &bus);
        if (r < 0)
                return r;

        *ret = (Location){ .domain = domain, .bus = bus };
        return 0;
}

static int add_hop(Location *location, Address address) {
        if (location->n_hops == LOCATION_HOPS_MAX)
                return -ERANGE;
        location->hops[location->n_hops++] = (uint8_t) (address.slot << 3 | address.function);
        return 0;
}

/**
 * location_parse() - parse a location as location_format() writes it
 * @s:          "domain:bus/slot.function/…", complete
 * @ret:        the location
 *
 * Return: 0 on success, -EINVAL if it is anything else, -ERANGE if a part is too large or there are
 *         too many of them.
 */
int location_parse(const char *s, Location *ret) {
        char canonical[LOCATION_STRING_MAX];
        Location location;
        const char *rest = s;
        int r;

        r = parse_root(s, strcspn(s, "/"), &location);
        for (rest += strcspn(s, "/"); r >= 0 && *rest; rest += 5) {
                uint64_t slot, function;

                if (strnlen(rest, 5) < 5 || rest[3] != '.')
                        return -EINVAL;
                r = text_n_to_uint(rest + 1, 2, 16, 31, &slot);
                if (r >= 0)
                        r = text_n_to_uint(rest + 4, 1, 10, 7, &function);
                if (r >= 0)
                        r = add_hop(&location, (Address){ .slot = slot, .function = function });
        }
        if (r < 0)
                return r;
        if (location.n_hops == 0 || strcmp(location_format(&location, canonical), s) != 0)
                return -EINVAL;

        *ret = location;
        return 0;
}

/*
 * One directory below another. The name of a root begins anew: a controller that is a device may have
 * a domain of its own (VMD, KERNEL.md 11.2). Below it are devices alone, the first on the bus of the root.
 */
static int descend(const char *name, Location *location, bool *in_root) {
        Address address;
        const char *root;

        if (text_starts_with(name, "pci", &root) && parse_root(root, strlen(root), location) == 0) {
                *in_root = true;
                return 0;
        }
        if (!*in_root)
                return 0;
        if (address_parse(name, &address) < 0 || address.domain != location->domain ||
                        (address.bus == location->bus) != (location->n_hops == 0))
                return -EINVAL;
        return add_hop(location, address);
}

/**
 * location_of_link() - find the location of a device in the path of its directory
 * @target:     of its link in bus/pci/devices: "../../../devices/pci0000:00/0000:00:01.0/…"
 * @ret:        the location
 *
 * Return: 0 on success, -EINVAL if it is no such path, -ERANGE if it is too deep.
 */
int location_of_link(const char *target, Location *ret) {
        Location location = {};
        bool in_root = false;
        int r = 0;

        while (r >= 0 && *target) {
                const size_t n = strcspn(target, "/");
                char name[NAME_MAX + 1];

                if (n > NAME_MAX)
                        return -EINVAL;
                memcpy(name, target, n);
                name[n] = 0;
                r = descend(name, &location, &in_root);
                target += n + (target[n] == '/');
        }
        if (r < 0)
                return r;
        if (location.n_hops == 0)
                return -EINVAL;

        *ret = location;
        return 0;
}

/* Write the location into @buffer, and return that; "" if it is not known. */
const char *location_format(const Location *location, char buffer[static LOCATION_STRING_MAX]) {
        int n;

        buffer[0] = 0;
        if (location->n_hops == 0)
                return buffer;
        n = snprintf(buffer, LOCATION_STRING_MAX, "%04x:%02x", location->domain, location->bus);
        for (size_t i = 0; i < location->n_hops; ++i)
                n += snprintf(buffer + n, LOCATION_STRING_MAX - (size_t) n, "/%02x.%x",
                                location->hops[i] >> 3, location->hops[i] & 7U);
        return buffer;
}

/* Whether both are known, and the same. */
bool location_equal(const Location *a, const Location *b) {
        return a->n_hops > 0 && a->n_hops == b->n_hops && a->domain == b->domain &&
                        a->bus == b->bus && !memcmp(a->hops, b->hops, a->n_hops);
}

static int parse_location_word(const char *s, void *ret) {
        return location_parse(s, ret);
}

static void format_location_word(const void *value, char *buffer, size_t n) {
        char location[LOCATION_STRING_MAX];

        snprintf(buffer, n, "%s", location_format(value, location));
}

const CodecWord location_word = { .parse = parse_location_word, .format = format_location_word };
