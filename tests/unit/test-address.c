/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test PCI Addresses, and Locations
 */

#include "lib/test.h"

#include <string.h>

#include "model/address.h"

static const Address untouched = { 0x4711, 0x47, 0x11, 7 };

static bool same(Address a, Address b) {
        return address_compare(a, b) == 0;
}

static void the_kernels_form_is_complete(void **state _unused_) {
        static const struct {
                const char *s;
                int r;
                Address address;
        } cases[] = {
                { "0000:00:00.0", 0, { 0, 0, 0, 0 } },
                { "0000:01:00.0", 0, { 0, 1, 0, 0 } },
                { "ffff:ff:1f.7", 0, { 0xffff, 0xff, 0x1f, 7 } },
                { "10000:e1:00.0", 0, { 0x10000, 0xe1, 0, 0 } }, /* VMD */
                { "ffffffff:ff:1f.7", 0, { 0xffffffff, 0xff, 0x1f, 7 } },
                { "", -EINVAL, {} },
                { "01:00.0", -EINVAL, {} },
                { "01:00", -EINVAL, {} },
                { "0000:01:00", -EINVAL, {} },
                { "000:01:00.0", -EINVAL, {} },
                { "00000:01:00.0", -EINVAL, {} }, /* prints otherwise */
                { "100000000:01:00.0", -EINVAL, {} },
                { "0000:1:00.0", -EINVAL, {} },
                { "0000:001:00.0", -EINVAL, {} },
                { "0000:01:0.0", -EINVAL, {} },
                { "0000:01:000.0", -EINVAL, {} },
                { "0000:01:20.0", -ERANGE, {} },
                { "0000:01:00.8", -ERANGE, {} },
                { "0000:01:00.a", -EINVAL, {} },
                { "0000:01:00.00", -EINVAL, {} },
                { "0000:01:00.", -EINVAL, {} },
                { "0000:01:00:0", -EINVAL, {} },
                { "0000.01.00.0", -EINVAL, {} },
                { "0000:01:00.0 ", -EINVAL, {} },
                { " 0000:01:00.0", -EINVAL, {} },
                { "0000:01:00.0\n", -EINVAL, {} },
                { "0000:0A:00.0", -EINVAL, {} }, /* the kernel writes small letters */
                { "0x00:01:00.0", -EINVAL, {} },
                { "-000:01:00.0", -EINVAL, {} },
                { "+000:01:00.0", -EINVAL, {} },
                { "../..:01:00.0", -EINVAL, {} },
                { "0000:01:00.0/..", -EINVAL, {} },
                { "0000/01:00.0", -EINVAL, {} },
                { "0000:01:00.0:0", -EINVAL, {} },
                { ":::", -EINVAL, {} },
                { "0000:01:00.0.0", -EINVAL, {} },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Address address = untouched;

                assert_int_equal(address_parse(cases[i].s, &address), cases[i].r);
                assert_true(same(address, cases[i].r ? untouched : cases[i].address));
        }
}

static void users_may_leave_out_domain_and_function(void **state _unused_) {
        static const struct {
                const char *s;
                int r;
                Address address;
                bool has_function;
        } cases[] = {
                { "01:00", 0, { 0, 1, 0, 0 }, false },
                { "01:00.0", 0, { 0, 1, 0, 0 }, true },
                { "0000:01:00", 0, { 0, 1, 0, 0 }, false },
                { "0001:01:1f.3", 0, { 1, 1, 0x1f, 3 }, true },
                { "0000:0A:00.0", 0, { 0, 10, 0, 0 }, true },
                { "00010000:e1:00.0", 0, { 0x10000, 0xe1, 0, 0 }, true },
                { "", -EINVAL, {}, false },
                { "01", -EINVAL, {}, false },
                { "1:0", -EINVAL, {}, false },
                { "01:00.", -EINVAL, {}, false },
                { "01:00-0", -EINVAL, {}, false },
                { ":01:00.0", -EINVAL, {}, false },
                { "000:01:00.0", -EINVAL, {}, false },
                { "000000000:01:00.0", -EINVAL, {}, false },
                { "01:00.8", -ERANGE, {}, false },
                { "01:20.0", -ERANGE, {}, false },
                { "01:00.0\n", -EINVAL, {}, false },
                { "g1:00.0", -EINVAL, {}, false },
                { "10de:2204", -EINVAL, {}, false },
                { "0000:01:00.0:", -EINVAL, {}, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                bool has_function = true, expected = cases[i].r ? true : cases[i].has_function;
                Address address = untouched;

                assert_int_equal(address_parse_loose(cases[i].s, &address, &has_function),
                                cases[i].r);
                assert_true(same(address, cases[i].r ? untouched : cases[i].address));
                assert_int_equal(has_function, expected);
        }
}

static void every_address_comes_back_as_it_was(void **state _unused_) {
        static const uint32_t domains[] = { 0, 1, 0xffff, 0x10000, 0xffffffff };

        for (size_t i = 0; i < ARRAY_SIZE(domains); ++i)
                for (unsigned int k = 0; k < 0x10000; k += 7) {
                        Address address = { domains[i], k >> 8, k >> 3 & 0x1f, k & 7 }, back;
                        char s[ADDRESS_STRING_MAX];

                        assert_ptr_equal(address_format(address, s), s);
                        assert_true(strlen(s) < sizeof(s));
                        assert_int_equal(address_parse(s, &back), 0);
                        assert_true(same(address, back));
                }
}

static void addresses_are_in_the_order_of_their_parts(void **state _unused_) {
        static const Address sorted[] = { { 0, 0, 0, 0 }, { 0, 0, 0, 7 }, { 0, 0, 1, 0 },
                { 0, 1, 0, 0 }, { 0, 1, 0, 1 }, { 0, 255, 31, 7 }, { 1, 0, 0, 0 },
                { 0xffffffff, 0, 0, 0 } };

        for (size_t i = 0; i < ARRAY_SIZE(sorted); ++i)
                for (size_t k = 0; k < ARRAY_SIZE(sorted); ++k) {
                        int r = address_compare(sorted[i], sorted[k]);

                        assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
                }
}

static void a_slot_is_all_but_the_function(void **state _unused_) {
        Address a = { 1, 2, 3, 4 };

        assert_true(address_same_slot(a, address_of_function(a, 0)));
        assert_true(address_same_slot(a, a));
        assert_false(address_same_slot(a, (Address){ 1, 2, 4, 4 }));
        assert_false(address_same_slot(a, (Address){ 1, 3, 3, 4 }));
        assert_false(address_same_slot(a, (Address){ 2, 2, 3, 4 }));
        assert_int_equal(address_of_function(a, 7).function, 7);
}

static void a_location_is_the_way_from_the_root(void **state _unused_) {
        static const struct {
                const char *target, *location; /* NULL: none */
        } cases[] = {
                { "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", "0000:00/01.0/00.0" },
                { "../../../devices/pci0000:00/0000:00:1f.3", "0000:00/1f.3" },
                { "../../../devices/pci0000:40/0000:40:01.1/0000:41:00.0/0000:42:10.0/0000:43:00.7",
                                "0000:40/01.1/00.0/10.0/00.7" },
                { "../../../devices/platform/40000000.pcie/pci0001:00/0001:00:00.0/0001:01:00.0",
                                "0001:00/00.0/00.0" },
                /* VMD */
                { ("../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/"
                   "10000:e1:00.0"),
                                "10000:e0/06.0/00.0" },
                { "../../../devices/pci0000:00", NULL },
                { "../../../devices/0000:01:00.0", NULL },
                { "", NULL },
                /* no bridge between two buses, or one that leads to its own */
                { "../../../devices/pci0000:00/0000:01:00.0", NULL },
                { "../../../devices/pci0000:00/0000:00:01.0/0000:00:02.0", NULL },
                { "../../../devices/pci0000:00/0001:00:01.0", NULL },
                { "../../../devices/pci0000:00/0000:00:01.0/usb1", NULL },
                { "../../../devices/pci0000:00/0000:00:01.8", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                char text[LOCATION_STRING_MAX];
                Location location, back;

                if (!cases[i].location) {
                        assert_int_equal(location_of_link(cases[i].target, &location), -EINVAL);
                        continue;
                }
                assert_int_equal(location_of_link(cases[i].target, &location), 0);
                assert_string_equal(location_format(&location, text), cases[i].location);
                assert_int_equal(location_parse(text, &back), 0);
                assert_true(location_equal(&location, &back));
                back.hops[back.n_hops - 1] ^= 1;
                assert_false(location_equal(&location, &back));
                back = location;
                back.bus ^= 1;
                assert_false(location_equal(&location, &back));
                back = location;
                --back.n_hops;
                assert_false(location_equal(&location, &back));
        }
        assert_false(location_equal(&(Location){}, &(Location){}));
}

static void a_location_is_read_as_it_is_written(void **state _unused_) {
        static const char *const wrong[] = { "", "0000:00", "0000:00/", "0000:00/01.0/",
                "0000:00/01", "0000:00/1.0", "0000:00/01.00", "0000:00/20.0", "0000:00/01.8",
                "000:00/01.0", "00000:00/01.0", "0000:0/01.0", "0000:00:01.0", "0000:00//01.0",
                "0000:00/01.0 ", "0000:00/01:0", "0000:00/0G.0", "100000000:00/01.0", "01:00.0" };
        char text[LOCATION_STRING_MAX + 8] = "ffffffff:ff";
        char back[LOCATION_STRING_MAX];
        Location location = { .domain = 0x4711 };

        for (size_t i = 0; i < ARRAY_SIZE(wrong); ++i) {
                assert_true(location_parse(wrong[i], &location) < 0);
                assert_int_equal(location.domain, 0x4711);
        }
        for (size_t i = 0; i < LOCATION_HOPS_MAX; ++i)
                strcat(text, "/1f.7");
        assert_int_equal(location_parse(text, &location), 0);
        assert_string_equal(location_format(&location, back), text);
        strcat(text, "/1f.7");
        assert_int_equal(location_parse(text, &location), -ERANGE);
        assert_string_equal(location_format(&(Location){}, back), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_kernels_form_is_complete),
                cmocka_unit_test(users_may_leave_out_domain_and_function),
                cmocka_unit_test(every_address_comes_back_as_it_was),
                cmocka_unit_test(addresses_are_in_the_order_of_their_parts),
                cmocka_unit_test(a_slot_is_all_but_the_function),
                cmocka_unit_test(a_location_is_the_way_from_the_root),
                cmocka_unit_test(a_location_is_read_as_it_is_written),
        };

        return cmocka_run_group_tests_name("model/address", tests, NULL, NULL);
}
