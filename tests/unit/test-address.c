/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test PCI Addresses
 */

#include "lib/test.h"

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_kernels_form_is_complete),
                cmocka_unit_test(users_may_leave_out_domain_and_function),
                cmocka_unit_test(every_address_comes_back_as_it_was),
                cmocka_unit_test(addresses_are_in_the_order_of_their_parts),
                cmocka_unit_test(a_slot_is_all_but_the_function),
        };

        return cmocka_run_group_tests_name("model/address", tests, NULL, NULL);
}
