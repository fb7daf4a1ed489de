/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tests
 *
 * What cmocka.h wants to have been included before it, in its order, and the
 * fixture that most tests start from.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fake-tree.h"

/* A test with an empty fake tree as its state. */
#define tree_test(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

static inline int tree_setup(void **state) {
        *state = fake_tree_new();
        return 0;
}

static inline int tree_teardown(void **state) {
        *state = fake_tree_free(*state);
        return 0;
}

#define assert_driver(tree, address, name)                                             \
        do {                                                                           \
                char driver_[MACHINE_NAME_MAX];                                        \
                assert_string_equal(fake_device_driver(tree, address, driver_), name); \
        } while (0)

#define assert_attribute(tree, address, attribute, expected)                        \
        do {                                                                        \
                char value_[256];                                                   \
                fake_device_read(tree, address, attribute, value_, sizeof(value_)); \
                assert_string_equal(value_, expected);                              \
        } while (0)
