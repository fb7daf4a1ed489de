/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PCI Addresses
 *
 * Parsed strictly: the text may come from a unit's instance name or a command
 * line, and the address decides where root writes. Two forms exist. The kernel's
 * own is complete and has fixed widths. A user's may leave out domain and
 * function ("01:00"), as for lspci.
 */

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

/* Write the kernel's form into @buffer, and return that. */
const char *address_format(Address address, char buffer[static ADDRESS_STRING_MAX]) {
        snprintf(buffer, ADDRESS_STRING_MAX, "%04x:%02x:%02x.%x", address.domain, address.bus,
                        address.slot & 0x1fU, address.function & 7U);
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
