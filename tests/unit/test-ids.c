/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Names of PCI Devices
 *
 * Which names the list of this machine has is not ours to say; NVIDIA's own is
 * in every one, if there is one at all.
 */

#include "lib/test.h"

#include "os/ids.h"

static int ids_setup(void **state) {
        Ids *ids = NULL;
        int r;

        r = ids_new(&ids);
        *state = ids;
        return r;
}

static int ids_teardown(void **state) {
        *state = ids_free(*state);
        return 0;
}

#define ids_test(fn) cmocka_unit_test_setup_teardown(fn, ids_setup, ids_teardown)

static void a_known_vendor_has_a_name(void **state) {
        _cleanup_(freep) char *name = NULL;

        assert_int_equal(ids_device_name(*state, 0x10de, 0x2204, &name), 0);
        if (!strstr(name, "NVIDIA")) {
                assert_non_null(strstr(name, "10de"));
                print_message("no list of names on this machine\n");
                skip();
        }
}

static void what_is_not_in_the_list_has_its_ids_in_its_name(void **state) {
        _cleanup_(freep) char *name = NULL;

        assert_int_equal(ids_device_name(*state, 0xfff0, 0xfff1, &name), 0);
        assert_non_null(strstr(name, "fff0"));
        assert_non_null(strstr(name, "fff1"));
}

static void many_names_can_be_looked_up(void **state) {
        for (unsigned int device = 0x2200; device < 0x2300; ++device) {
                _cleanup_(freep) char *name = NULL;

                assert_int_equal(ids_device_name(*state, 0x10de, device, &name), 0);
                assert_true(name[0] != 0);
        }
}

static void freeing_nothing_is_fine(void **state _unused_) {
        assert_null(ids_free(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ids_test(a_known_vendor_has_a_name),
                ids_test(what_is_not_in_the_list_has_its_ids_in_its_name),
                ids_test(many_names_can_be_looked_up),
                cmocka_unit_test(freeing_nothing_is_fine),
        };

        return cmocka_run_group_tests_name("os/ids", tests, NULL, NULL);
}
