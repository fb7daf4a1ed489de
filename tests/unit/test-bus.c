/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Bus Check
 *
 * The log is a pipe that keeps its packets apart, and so gives one record for each
 * read, as the real one does.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "os/child.h"
#include "probe/bus.h"

#define GPU   "0000:01:00.0"
#define OTHER "0000:02:00.0"

#define LONG_USEC  (60 * USEC_PER_SEC)
#define SHORT_USEC (20 * USEC_PER_MSEC)

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        Findings findings;
} Fixture;

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        Address address = { .bus = 1 };

        fixture->tree = fake_tree_new();
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&fixture->gpu, fake_sysfs(fixture->tree), address), 0);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        findings_deinit(&fixture->findings);
        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

static void assert_on_bus(Fixture *fixture) {
        assert_int_equal(bus_check(fake_sysfs(fixture->tree), &fixture->gpu, LONG_USEC,
                                         &fixture->findings),
                        0);
        assert_int_equal(fixture->findings.n, 0);
}

static void assert_off_bus(Fixture *fixture, uint64_t limit_usec, int error) {
        assert_int_equal(bus_check(fake_sysfs(fixture->tree), &fixture->gpu, limit_usec,
                                         &fixture->findings),
                        0);
        assert_int_equal(fixture->findings.n, 1);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_OFF_BUS);
        assert_int_equal(fixture->findings.items[0].function.bus, 1);
        assert_int_equal(fixture->findings.items[0].function.function, 0);
        assert_int_equal(fixture->findings.items[0].error, error);
        assert_false(findings_are_busy(&fixture->findings));
        findings_deinit(&fixture->findings);
}

/* does it answer? */

static void a_gpu_that_is_awake_is_asked_at_once(void **state) {
        Fixture *fixture = *state;

        fake_device_write(fixture->tree, GPU, "power/runtime_status", "active");
        assert_on_bus(fixture);
        fake_device_drop(fixture->tree, GPU);
        /* No time is given, and none is needed. */
        assert_off_bus(fixture, 0, 0);
}

static void a_gpu_that_sleeps_is_asked_in_a_child(void **state) {
        static const char *const cases[] = { "suspended", "suspending", "unsupported", "error" };
        Fixture *fixture = *state;

        assert_on_bus(fixture);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(fixture->tree, GPU, "power/runtime_status", cases[i]);
                assert_on_bus(fixture);
        }
        fake_device_drop(fixture->tree, GPU);
        assert_off_bus(fixture, LONG_USEC, 0);
}

static void a_gpu_that_does_not_wake_up_in_time_is_off(void **state) {
        Fixture *fixture = *state;
        char path[FAKE_PATH_MAX];
        int fd;

        /* Who opens this for reading waits for somebody to write. */
        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" GPU "/config");
        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" GPU "/config", fixture->tree->root);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_off_bus(fixture, SHORT_USEC, ETIMEDOUT);

        /* Let the child go. */
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        close(fd);
}

static void a_gpu_that_has_gone_is_off(void **state) {
        Fixture *fixture = *state;

        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" GPU "/config");
        assert_off_bus(fixture, LONG_USEC, ENODEV);
        fake_device_write(fixture->tree, GPU, "power/runtime_status", "active");
        assert_off_bus(fixture, LONG_USEC, ENODEV);
}

static void a_configuration_space_that_is_cut_off_is_no_answer(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "sys/bus/pci/devices/" GPU "/config", "%s", "x");
        assert_off_bus(fixture, LONG_USEC, EIO);
        fake_device_write(fixture->tree, GPU, "power/runtime_status", "active");
        assert_off_bus(fixture, LONG_USEC, EIO);
}

/* the log */

#define BOUND(address)            \
        "6,1,1,-;nvidia " address \
        ": vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=io+mem\n"
#define XID(address, number) "4,2,2,-;NVRM: Xid (PCI:" address "): " number ", pid=812, name=x\n"
#define FELL(address)        "4,3,3,-;NVRM: GPU " address ": GPU has fallen off the bus.\n SUBSYSTEM=pci\n"
#define FOUND(address)       "6,4,4,-;pci " address ": [10de:2204] type 00 class 0x030000 PCIe Endpoint\n"

static void check_log(Fixture *fixture, const char *const *records, size_t n) {
        char path[FAKE_PATH_MAX], target[64];
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_DIRECT), 0);
        for (size_t i = 0; i < n && records[i]; ++i)
                assert_int_equal(write(fds[1], records[i], strlen(records[i])), strlen(records[i]));
        snprintf(path, sizeof(path), "%s/dev/kmsg", fixture->tree->root);
        snprintf(target, sizeof(target), "/proc/self/fd/%d", fds[0]);
        (void) unlink(path);
        assert_int_equal(symlink(target, path), 0);

        assert_int_equal(bus_check_log(fixture->tree->roots.dev_fd, &fixture->gpu,
                                         &fixture->findings),
                        0);
        close(fds[0]);
        close(fds[1]);
}

static void the_log_says_whether_it_fell_off_since_it_was_bound(void **state) {
        static const struct {
                const char *records[4];
                bool expected;
        } cases[] = {
                { { NULL }, false },
                { { BOUND(GPU) }, false },
                { { XID("0000:01:00", "79") }, true },
                { { FELL(GPU) }, true },
                { { BOUND(GPU), XID("0000:01:00", "79") }, true },
                { { XID("0000:01:00", "79"), BOUND(GPU) }, false },
                { { FELL(GPU), FOUND(GPU) }, false },
                { { FELL(GPU), BOUND(OTHER), FOUND(OTHER) }, true },
                { { FELL(GPU), BOUND(GPU), FELL(GPU) }, true },
                { { FELL(OTHER), XID("0000:02:00", "79") }, false },
                { { XID("0000:01:00", "13") }, false },
                { { XID("0000:01:00", "791") }, false },
                { { "6,5,5,-;usb 1-1: something has fallen off the bus\n" }, false },
                { { "6,5,5,-;nvidia " GPU ": enabling device (0000 -> 0003)\n" }, false },
                /* what is behind the first line is not the message */
                { { "6,5,5,-;harmless\n NVRM: Xid (PCI:0000:01:00): 79, x\n" }, false },
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                check_log(fixture, cases[i].records, ARRAY_SIZE(cases[i].records));
                if (fixture->findings.n != cases[i].expected)
                        fail_msg("case %zu: %zu findings", i, fixture->findings.n);
                if (cases[i].expected) {
                        assert_int_equal(fixture->findings.items[0].kind, FINDING_FELL_OFF);
                        assert_int_equal(fixture->findings.items[0].function.bus, 1);
                }
                findings_deinit(&fixture->findings);
        }
}

static void a_log_that_breaks_off_says_what_it_said(void **state) {
        static const char *const records[] = { FELL(GPU), "garbage", BOUND(GPU) };
        Fixture *fixture = *state;

        check_log(fixture, records, ARRAY_SIZE(records));
        assert_int_equal(fixture->findings.n, 1);
}

static void a_log_that_is_not_there_says_nothing(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(bus_check_log(fixture->tree->roots.dev_fd, &fixture->gpu,
                                         &fixture->findings),
                        0);
        assert_int_equal(fixture->findings.n, 0);
}

int main(void) {
#define bus_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                bus_test(a_gpu_that_is_awake_is_asked_at_once),
                bus_test(a_gpu_that_sleeps_is_asked_in_a_child),
                bus_test(a_gpu_that_does_not_wake_up_in_time_is_off),
                bus_test(a_gpu_that_has_gone_is_off),
                bus_test(a_configuration_space_that_is_cut_off_is_no_answer),
                bus_test(the_log_says_whether_it_fell_off_since_it_was_bound),
                bus_test(a_log_that_breaks_off_says_what_it_said),
                bus_test(a_log_that_is_not_there_says_nothing),
        };

        return cmocka_run_group_tests_name("probe/bus", tests, NULL, NULL);
}
