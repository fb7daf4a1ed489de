/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Small files of the kernel, of NVIDIA's driver and of other programs: what they say of a process,
 * a GPU, a module.
 */

#include "fuzz.h"

#include "model/device.h"
#include "model/nvidia.h"
#include "os/initramfs.h"
#include "os/obstacle.h"
#include "os/process.h"
#include "os/rule.h"

#define GPU  "0000:01:00.0"
#define PID  5000812
#define PROC "proc/5000812/"

static const Address address = { .bus = 1 };

/* In the order of the parts. */
static const char *const files[] = {
        PROC "comm",
        PROC "status",
        PROC "stat",
        PROC "cgroup",
        PROC "loginuid",
        "proc/driver/nvidia/gpus/" GPU "/information",
        "proc/driver/nvidia/params",
        "proc/cmdline",
        "sys/bus/pci/devices/" GPU "/driver_override",
        "sys/bus/pci/devices/" GPU "/class",
        "sys/bus/pci/devices/" GPU "/boot_vga",
        "etc/modprobe.d/fuzz.conf",
        "etc/modules-load.d/fuzz.conf",
        "etc/dracut.conf",
        "etc/udev/rules.d/fuzz.rules",
};

static FakeTree *machine(void) {
        FakeTree *tree;

        if (fuzz_machine(&tree))
                fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        return tree;
}

/* Nothing of a name means something to a shell, between quotes at least. */
static void check_name(const char *s) {
        fuzz_check(!s || (text_is_printable(s) && !strpbrk(s, " \"'`$&|;<>()*?[]{}!#~=%")));
        fuzz_check(!s || s[0] != '-');
}

static void check_process(int proc_fd) {
        Process process;
        uid_t uid;

        if (process_init(&process, proc_fd, PID) == 0) {
                check_name(process.owner.name);
                check_name(process.owner.id);
                check_name(process.owner.unit);
                check_name(process.owner.session);
                fuzz_check(process.owner.kind < _OWNER_MAX);
                process_deinit(&process);
        }
        (void) process_is_kernel_thread(proc_fd, PID);
        fuzz_check(process_wait_for_end(proc_fd, PID, 0) != PROCESS_E_GONE);
        if (process_login_uid(proc_fd, PID, &uid) == 0)
                fuzz_check(uid != (uid_t) -1);
}

static void check_nvidia(const Roots *roots) {
        _cleanup_(freep) char *uuid = NULL;
        bool told;
        int minor;

        if (nvidia_read_gpu(roots->proc_fd, address, &minor, &uuid) == 0) {
                fuzz_check(minor >= -1 && minor <= NVIDIA_MINOR_GPU_MAX);
                if (uuid)
                        fuzz_check(nvidia_is_retained(roots->proc_fd, uuid, &told) == 0 && !told);
        }
        fuzz_check(nvidia_starts_on_probe(roots->proc_fd, &told) == 0);
        fuzz_check(nvidia_shows_start(roots, address, &told) == 0);
}

static void check_device(Sysfs *sysfs) {
        _cleanup_(device_deinit) Device device = DEVICE_NULL;
        _cleanup_(freep) char *override = NULL;

        if (device_init(&device, sysfs, address) == 0)
                fuzz_check(device.class <= 0xffffff && device.boot_vga >= -1 &&
                                device.boot_vga <= 1);
        if (device_read_override(sysfs, address, &override) == 0 && override)
                fuzz_check(override[0]);
}

/* What other programs are told is quoted where a person has to change it. */
static void check_others(const Roots *roots) {
        _cleanup_(initramfs_deinit) Initramfs initramfs = INITRAMFS_NULL;
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_(obstacle_deinit) Obstacle obstacle = {};
        _cleanup_(freep) char *rule = NULL, *override = NULL, *script = NULL;
        const RuleDevice device = { .address = GPU, .device = "0x2204" };

        fuzz_check(modules_new(&modules) == 0);
        fuzz_check(initramfs_find(roots, "nvidia", &initramfs) == 0);
        fuzz_check(rule_find_remover(roots->root_fd, &device, &rule) == 0);
        fuzz_check(rule_find_overrides(roots->root_fd, &device, 1, &override) == 0);
        fuzz_check(obstacle_find(roots, modules, "nvidia", &obstacle) == 0);
        fuzz_check(obstacle_find_script(roots, modules, "vfio_pci", &script) == 0);
        fuzz_check(!initramfs.where || text_is_printable(initramfs.where));
        fuzz_check((!rule || text_is_printable(rule)) &&
                        (!override || text_is_printable(override)));
        fuzz_check(!obstacle.where || text_is_printable(obstacle.where));
        fuzz_check(!script || text_is_printable(script));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        FuzzInput input = { data, n };
        FakeTree *tree = machine();

        for (size_t i = 0; i < ARRAY_SIZE(files); ++i)
                (void) fuzz_write(tree, files[i], &input);
        check_process(tree->roots.proc_fd);
        check_nvidia(&tree->roots);
        check_device(tree->roots.sysfs);
        check_others(&tree->roots);
        return 0;
}
