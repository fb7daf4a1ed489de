/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Addresses, locations, ids, versions and numbers, as users and the kernel write them; and any
 * text as it is printed.
 */

#include "fuzz.h"

#include "model/address.h"
#include "model/device.h"
#include "model/nvidia.h"

/* One that is understood is understood again as we write it. */
static void check_address(const char *s) {
        char buffer[ADDRESS_STRING_MAX];
        Address address, again;
        bool has_function;

        if (address_parse(s, &address) == 0) {
                fuzz_check(address_parse(address_format(address, buffer), &again) == 0);
                fuzz_check(address_compare(address, again) == 0);
                fuzz_check(address_parse_loose(s, &again, &has_function) == 0 && has_function);
                fuzz_check(address_compare(address, again) == 0);
        }
        if (address_parse_loose(s, &address, &has_function) == 0) {
                fuzz_check(has_function || address.function == 0);
                fuzz_check(address_parse(address_format(address, buffer), &again) == 0);
                fuzz_check(address_compare(address, again) == 0);
        }
}

static void check_location(const char *s) {
        int (*const parsers[])(const char *, Location *) = { location_parse, location_of_link };
        char buffer[LOCATION_STRING_MAX];
        Location location, again;

        for (size_t i = 0; i < ARRAY_SIZE(parsers); ++i) {
                if (parsers[i](s, &location) != 0 || location.n_hops == 0)
                        continue;
                fuzz_check(location.n_hops <= LOCATION_HOPS_MAX);
                fuzz_check(location_parse(location_format(&location, buffer), &again) == 0);
                fuzz_check(location_equal(&location, &again));
        }
}

static void check_id(const char *s) {
        char buffer[IDENTITY_STRING_MAX];
        uint16_t vendor, device;
        Identity identity = {};

        if (identity_parse_id(s, &identity.vendor, &identity.device) != 0)
                return;
        identity_format_id(identity, buffer);
        fuzz_check(identity_parse_id(buffer, &vendor, &device) == 0);
        fuzz_check(vendor == identity.vendor && device == identity.device);
}

/* A number is digits alone, and no other number has them. */
static void check_number(const char *s) {
        uint64_t number;
        char buffer[32];

        if (text_to_uint(s, 10, UINT64_MAX, &number) == 0) {
                snprintf(buffer, sizeof(buffer), "%ju", (uintmax_t) number);
                fuzz_check(!strcmp(s + strspn(s, "0") - (number == 0), buffer));
        }
        if (text_to_uint(s, 16, UINT16_MAX, &number) == 0)
                fuzz_check(number <= UINT16_MAX && !s[strspn(s, "0123456789abcdefABCDEF")]);
}

static void check_text(const char *s) {
        _cleanup_(freep) char *printable = text_printable(s), *repaired = strdup(s);
        const char *value;
        size_t n;

        fuzz_check(text_is_printable(printable) && strlen(printable) == strlen(s));
        fuzz_check(text_is_printable(s) == !strcmp(printable, s));
        text_repair(repaired);
        fuzz_check(strlen(repaired) == strlen(s));
        for (const char *c = repaired; *c; c += n) {
                n = text_character(c, NULL);
                fuzz_check(n > 0 && n <= 4);
        }
        value = text_find_value(s, "a:", &n);
        fuzz_check(!value || (value > s && n <= strlen(value) && !memchr(value, '\n', n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(freep) char *s = fuzz_string(data, n);

        check_address(s);
        check_location(s);
        check_id(s);
        check_number(s);
        check_text(s);
        (void) nvidia_version_releases_gpus(s);
        return 0;
}
