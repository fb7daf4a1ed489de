/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Udev
 *
 * As far as this goes without devices of our own: it opens without any privilege, and
 * where nothing happens there is nothing to read.
 */

#include "lib/test.h"

#include "os/udev.h"

static void no_event(void *userdata _unused_, const char *action, const char *name) {
        fail_msg("there is no device with this tag, but %s of %s", action, name);
}

static void a_quiet_machine_has_nothing_to_tell(void **state _unused_) {
        _cleanup_(udev_monitor_closep) UdevMonitor *monitor = NULL;

        assert_int_equal(udev_monitor_open("pci", "vfiopt-test-no-such-tag", &monitor), 0);
        assert_true(udev_monitor_fd(monitor) >= 0);
        assert_int_equal(udev_monitor_read(monitor, no_event, NULL), 0);
}

static void none_can_be_closed(void **state _unused_) {
        assert_null(udev_monitor_close(NULL));
        assert_null(udev_queue_close(NULL));
}

/* It may be busy with somebody else's devices. */
static void the_queue_can_be_asked(void **state _unused_) {
        _cleanup_(udev_queue_closep) UdevQueue *queue = NULL;

        assert_int_equal(udev_queue_open(&queue), 0);
        if (udev_queue_is_idle(queue))
                return;
        assert_true(udev_queue_fd(queue) >= 0);
        udev_queue_clear(queue);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_quiet_machine_has_nothing_to_tell),
                cmocka_unit_test(none_can_be_closed),
                cmocka_unit_test(the_queue_can_be_asked),
        };

        return cmocka_run_group_tests_name("os/udev", tests, NULL, NULL);
}
