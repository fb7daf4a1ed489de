/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The modalias of a function, from which come the drivers for a guest and for the host.
 */

#include "fuzz.h"

#include "model/host-driver.h"

#define GPU "0000:01:00.0"

static FakeTree *machine(void) {
        FakeTree *tree;

        if (fuzz_machine(&tree))
                fake_gpu_add(tree, GPU, .group = 12);
        return tree;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(host_drivers_deinit) HostDrivers drivers = HOST_DRIVERS_NULL;
        _cleanup_(device_deinit) Device device = DEVICE_NULL;
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_(strv_freep) char **missing = NULL;
        _cleanup_(freep) char *driver = NULL;
        FakeTree *tree = machine();
        int r;

        fake_write_bytes(tree->root, "sys/bus/pci/devices/" GPU "/modalias", data, n);
        fuzz_check(modules_new(&modules) == 0);
        if (device_init(&device, tree->roots.sysfs, (Address){ .bus = 1 }) != 0)
                return 0;

        r = vfio_driver_find(tree->roots.sysfs, modules, device.modalias, &driver, &missing);
        fuzz_check((r == 0) == text_starts_with(device.modalias, "pci:", NULL));
        fuzz_check(r != 0 || !driver || !strcmp(driver, "vfio-pci"));
        fuzz_check(host_drivers_find(&tree->roots, modules, &device, NULL, NULL, &drivers) == 0);
        for (size_t i = 0; i < drivers.n; ++i)
                fuzz_check(!driver_is_vfio(tree->roots.sysfs, drivers.items[i].driver));
        return 0;
}
