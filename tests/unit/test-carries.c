/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test What a Device Carries
 *
 * Each way in which the host may need a device, and that it needs what cannot be told.
 */

#include "lib/test.h"

#include "probe/carries.h"

#define DEVICE "0000:03:00.0"
#define FOLDER "sys/bus/pci/devices/" DEVICE "/"
#define SDA    "ata1/host0/target0:0:0/0:0:0:0/block/sda/"

static void add(FakeTree *tree, uint32_t class) {
        fake_device_add(tree, DEVICE, .vendor = 0x8086, .class = class, .group = 12);
}

/* A folder below the device. */
static void add_file(FakeTree *tree, const char *name, const char *value) {
        fake_device_write(tree, DEVICE, name, value);
}

/* A disk with two partitions, nothing of it mounted. */
static void add_disk(FakeTree *tree) {
        add(tree, 0x010601);
        add_file(tree, SDA "dev", "8:0");
        add_file(tree, SDA "size", "1000");
        add_file(tree, SDA "hidden", "0");
        add_file(tree, SDA "sda1/dev", "8:1");
        add_file(tree, SDA "sda1/size", "100");
        add_file(tree, SDA "sda2/dev", "8:2");
        add_file(tree, SDA "sda2/size", "900");
        fake_write(tree->root, "proc/self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n");
        fake_write(tree->root, "proc/swaps", "Filename Type Size Used Priority\n");
}

static void assert_carries(FakeTree *tree, bool needed, const char *what) {
        Carries carries;

        assert_int_equal(carries_init(&carries, &tree->roots, (Address){ .bus = 3 }), 0);
        if (strcmp(carries.what, what) != 0)
                fail_msg("\"%s\", not \"%s\"", carries.what, what);
        assert_int_equal(carries.needed, needed);
        carries_deinit(&carries);
}

static void a_disk_is_needed_for_what_is_mounted(void **state) {
        static const struct {
                const char *mount;
                const char *what;
        } cases[] = {
                { "22 1 8:2 / / rw shared:1 - ext4 /dev/root rw", "the root file system" },
                { "22 1 8:2 /@ / rw,noatime shared:1 master:2 - ext4 /dev/sda2 rw",
                                "the root file system" },
                { "22 1 8:1 / /boot/efi rw - vfat /dev/sda1 rw",
                                "a mounted file system /boot/efi" },
                /* A number of its own, and the name of one of its disks. */
                { "22 1 0:30 /@ / rw - btrfs /dev/sda2 rw", "the root file system" },
                { "22 1 0:30 / /srv rw - bcachefs /dev/sdb:/dev/sda rw",
                                "a mounted file system /srv" },
                { "22 1 0:30 / /tank rw - zfs tank rw", "what the host may need" },
                { "22 1 0:30 / / rw - btrfs /dev/sda22 rw", NULL },
                { "22 1 8:22 / / rw - ext4 /dev/sdb rw", NULL },
                { "22 1", NULL },
                /* Its log is there, or may be. */
                { "22 1 8:17 / /a rw - xfs /dev/sdb1 rw,attr2,logdev=/dev/sda1,noquota",
                                "a mounted file system /a" },
                { "22 1 8:17 / /a rw - xfs /dev/sdb1 rw,rtdev=/dev/sda2",
                                "a mounted file system /a" },
                { "22 1 8:17 / /a rw - ext4 /dev/sdb1 rw,journal_path=/dev/disk/by-id/x",
                                "what the host may need" },
                { "22 1 8:17 / /a rw - xfs /dev/sdb1 rw,logdev=/dev/sda22", NULL },
                { "22 1 8:17 / /a rw - xfs /dev/sdb1 rw,logdev=/dev/mapper/x", NULL },
        };
        FakeTree *tree = *state;
        char what[128];

        add_disk(tree);
        assert_carries(tree, false, "disk controller with a disk sda");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/self/mountinfo",
                                "21 1 0:21 / /proc rw - proc proc rw\n%s\n", cases[i].mount);
                snprintf(what, sizeof(what), "disk controller with %s",
                                cases[i].what ?: "a disk sda");
                assert_carries(tree, cases[i].what, what);
        }
}

static void a_disk_is_needed_for_swap(void **state) {
        FakeTree *tree = *state;

        add_disk(tree);
        fake_write(tree->root, "proc/swaps", "Filename Type\n/dev/sda22 partition 1\n");
        assert_carries(tree, false, "disk controller with a disk sda");
        fake_write(tree->root, "proc/swaps", "Filename Type\n/dev/sda2 partition 1\n");
        assert_carries(tree, true, "disk controller with swap");
}

static void a_disk_is_needed_for_what_is_made_of_it(void **state) {
        FakeTree *tree = *state;

        add_disk(tree);
        fake_make_dir(tree->root, "sys/devices/virtual/block/dm-0");
        fake_write(tree->root, "sys/devices/virtual/block/dm-0/dev", "253:0\n");
        fake_write(tree->root, "sys/devices/virtual/block/dm-0/size", "900\n");
        fake_write(tree->root, "sys/devices/virtual/block/dm-0/dm/name", "luks\n");
        fake_make_dir(tree->root, FOLDER SDA "sda2/holders");
        fake_link(tree->root, "sys/devices/virtual/block/dm-0", FOLDER SDA "sda2/holders/dm-0");
        assert_carries(tree, true, "disk controller with a part of dm-0");

        fake_write(tree->root, "proc/self/mountinfo",
                        "22 1 253:0 / / rw - ext4 /dev/mapper/luks rw\n");
        assert_carries(tree, true, "disk controller with the root file system");
        fake_write(tree->root, "proc/self/mountinfo",
                        "22 1 0:9 / /x rw - btrfs /dev/mapper/luks rw\n");
        assert_carries(tree, true, "disk controller with a mounted file system /x");
}

static void a_disk_of_a_larger_file_system_is_needed(void **state) {
        FakeTree *tree = *state;

        add_disk(tree);
        fake_make_dir(tree->root, "sys/fs/btrfs/features");
        assert_carries(tree, false, "disk controller with a disk sda");
        fake_make_dir(tree->root, "sys/fs/btrfs/0000-1111/devices/sda2");
        assert_carries(tree, true, "disk controller with a mounted file system");
        fake_remove(tree->root, "sys/fs/btrfs/0000-1111");
        fake_make_dir(tree->root, "sys/module/zfs");
        assert_carries(tree, true, "disk controller with what the host may need");
}

static void a_disk_is_needed_for_what_is_mounted_in_a_container(void **state) {
        static const char *const folders[] = { "sys/fs/ext4/sda2", "sys/fs/xfs/sda1",
                "sys/fs/f2fs/sda", "proc/fs/jbd2/sda2-8", "proc/fs/jbd2/sda2" };
        static const char *const others[] = { "sys/fs/ext4/sda22", "sys/fs/ext4/features",
                "proc/fs/jbd2/sda22-8" };
        FakeTree *tree = *state;

        add_disk(tree);
        for (size_t i = 0; i < ARRAY_SIZE(others); ++i) {
                fake_make_dir(tree->root, others[i]);
                assert_carries(tree, false, "disk controller with a disk sda");
        }
        for (size_t i = 0; i < ARRAY_SIZE(folders); ++i) {
                fake_make_dir(tree->root, folders[i]);
                assert_carries(tree, true, "disk controller with a mounted file system");
                fake_remove(tree->root, folders[i]);
        }
}

static void a_path_to_a_disk_is_the_disk(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x010802);
        add_file(tree, "nvme/nvme0/dev", "239:0");
        fake_write(tree->root, "proc/self/mountinfo",
                        "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n");
        assert_carries(tree, false, "disk controller");
        add_file(tree, "nvme/nvme0/nvme0c0n1/hidden", "1");
        add_file(tree, "nvme/nvme0/nvme0c0n1/size", "1000");
        assert_carries(tree, true, "disk controller with what the host may need");

        fake_write(tree->root, "sys/devices/virtual/nvme0n1/hidden", "0\n");
        fake_write(tree->root, "sys/devices/virtual/nvme0n1/nvme0n1p2/dev", "259:2\n");
        fake_write(tree->root, "sys/devices/virtual/nvme0n1/nvme0n1p2/size", "10\n");
        fake_make_dir(tree->root, "sys/class/block");
        fake_link(tree->root, "sys/devices/virtual/nvme0n1", "sys/class/block/nvme0n1");
        assert_carries(tree, true, "disk controller with the root file system");
}

static void a_drive_without_a_medium_carries_nothing(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x010601);
        add_file(tree, "ata1/host0/scsi_host/host0/unique_id", "1");
        assert_carries(tree, false, "disk controller");
        add_file(tree, SDA "dev", "8:0");
        add_file(tree, SDA "size", "0");
        assert_carries(tree, false, "disk controller");
}

static void a_network_that_is_up_is_needed(void **state) {
        static const struct {
                const char *state;
                bool needed;
        } cases[] = { { "up", true }, { "unknown", true }, { "dormant", true }, { "down", false },
                { "notpresent", false } };
        FakeTree *tree = *state;

        add(tree, 0x020000);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                add_file(tree, "net/eno1/operstate", cases[i].state);
                assert_carries(tree, cases[i].needed,
                                cases[i].needed ? "network card with the network eno1"
                                                : "network card");
        }
}

static void a_network_that_is_a_part_of_another_is_needed(void **state) {
        static const char *const uppers[] = { "master", "upper_eno1.10" };
        FakeTree *tree = *state;

        add(tree, 0x020000);
        add_file(tree, "net/eno1/operstate", "down");
        add_file(tree, "net/eno1/queues/rx-0/rps_cpus", "0");
        assert_carries(tree, false, "network card");
        for (size_t i = 0; i < ARRAY_SIZE(uppers); ++i) {
                char path[FAKE_PATH_MAX];

                fake_make_dir(tree->root, fake_path(path, FOLDER "net/eno1/%s", uppers[i]));
                assert_carries(tree, true, "network card with the network eno1");
                fake_remove(tree->root, path);
        }
}

static void a_network_of_rdma_needs_no_interface(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x020000);
        add_file(tree, "net/eno1/operstate", "down");
        add_file(tree, "mlx5_core.rdma.0/infiniband/mlx5_0/node_guid", "0c42:a103:0000:0000");
        assert_carries(tree, true, "network card with the network mlx5_0");
}

static void what_guests_may_have_is_needed(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x020000);
        add_file(tree, "net/eno1/operstate", "down");
        fake_link(tree->root, FOLDER, FOLDER "virtfn0");
        assert_carries(tree, true, "network card with virtual functions");
        add_file(tree, "c0a80000-0000-0000-0000-000000000001/mdev_type", "");
        assert_carries(tree, true, "network card with virtual functions, mediated devices");
}

static void usb_is_needed_for_what_is_plugged_in(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x0c0330);
        add_file(tree, "usb1/devpath", "0");
        assert_carries(tree, false, "USB controller");
        add_file(tree, "usb1/1-1/devpath", "1");
        assert_carries(tree, true, "USB controller with USB devices");
        add_file(tree, "usb1/1-1/1-1:1.0/input/input3/event3/dev", "13:67");
        assert_carries(tree, true, "USB controller with input devices");
        add_file(tree, "usb1/1-2/1-2:1.0/net/wwan0/operstate", "up");
        add_file(tree, "usb1/1-3/1-3:1.0/host6/block/sdb/dev", "8:16");
        add_file(tree, "usb1/1-3/1-3:1.0/host6/block/sdb/size", "10");
        fake_write(tree->root, "proc/self/mountinfo", "22 1 8:16 / / rw - ext4 /dev/sdb rw\n");
        assert_carries(tree, true,
                        "USB controller with the root file system, the network wwan0, input devices");
}

static void sound_is_missed_by_nobody(void **state) {
        FakeTree *tree = *state;

        add(tree, 0x040300);
        add_file(tree, "sound/card0/input7/event7/dev", "13:71");
        add_file(tree, "sound/card0/controlC0/dev", "116:1");
        assert_carries(tree, false, "sound card");
}

static void what_cannot_be_told_is_needed(void **state) {
        static const struct {
                uint32_t class;
                const char *what;
        } cases[] = {
                { 0x010601, "disk controller with what the host may need" },
                { 0x020000, "network card with what the host may need" },
                { 0x0c0330, "USB controller with what the host may need" },
                { 0x030000, "display with what the host may need" },
                { 0x060100, "device with what the host may need" },
                { 0x0c0500, "device with what the host may need" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = *state;

                add(tree, cases[i].class);
                assert_carries(tree, true, cases[i].what);
                fake_device_remove(tree, DEVICE);
        }
}

static void a_disk_may_be_mounted_where_mounts_are_not_told(void **state) {
        FakeTree *tree = *state;

        add_disk(tree);
        fake_remove(tree->root, "proc/self/mountinfo");
        assert_carries(tree, true, "disk controller with what the host may need");
}

static void a_device_that_is_gone_may_have_been_needed(void **state) {
        assert_carries(*state, true, "device with what the host may need");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_disk_is_needed_for_what_is_mounted),
                tree_test(a_disk_is_needed_for_swap),
                tree_test(a_disk_is_needed_for_what_is_made_of_it),
                tree_test(a_disk_of_a_larger_file_system_is_needed),
                tree_test(a_disk_is_needed_for_what_is_mounted_in_a_container),
                tree_test(a_path_to_a_disk_is_the_disk),
                tree_test(a_drive_without_a_medium_carries_nothing),
                tree_test(a_network_that_is_up_is_needed),
                tree_test(a_network_that_is_a_part_of_another_is_needed),
                tree_test(a_network_of_rdma_needs_no_interface),
                tree_test(what_guests_may_have_is_needed),
                tree_test(usb_is_needed_for_what_is_plugged_in),
                tree_test(sound_is_missed_by_nobody),
                tree_test(what_cannot_be_told_is_needed),
                tree_test(a_disk_may_be_mounted_where_mounts_are_not_told),
                tree_test(a_device_that_is_gone_may_have_been_needed),
        };

        return cmocka_run_group_tests_name("probe/carries", tests, NULL, NULL);
}
