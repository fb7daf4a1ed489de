/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Fake Machine
 *
 * Fixed arrays, because memory that is shared with children that exist already
 * cannot grow. What runs out of them is a test that should be smaller.
 */

#include <string.h>
#include <sys/mman.h>

#include "lib/fake-file.h"
#include "lib/machine.h"

Machine *machine_new(void) {
        Machine *machine;

        machine = mmap(NULL, sizeof(*machine), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        if (machine == MAP_FAILED)
                fake_fail("map", "the machine");
        return machine;
}

Machine *machine_free(Machine *machine) {
        if (machine)
                munmap(machine, sizeof(*machine));
        return NULL;
}

/* The device at an address, or NULL if there is none (any more). */
MachineDevice *machine_find_device(Machine *machine, const char *address) {
        for (unsigned int i = 0; i < machine->n_devices; ++i)
                if (!machine->devices[i].is_gone && !strcmp(machine->devices[i].address, address))
                        return &machine->devices[i];
        return NULL;
}

/* The registered driver of a name, or NULL. */
MachineDriver *machine_find_driver(Machine *machine, const char *name) {
        for (unsigned int i = 0; i < machine->n_drivers; ++i)
                if (!strcmp(machine->drivers[i].name, name))
                        return &machine->drivers[i];
        return NULL;
}

/* The module of a name, loaded or not; NULL if there is none. */
MachineModule *machine_find_module(Machine *machine, const char *name) {
        for (unsigned int i = 0; i < machine->n_modules; ++i)
                if (!strcmp(machine->modules[i].name, name))
                        return &machine->modules[i];
        return NULL;
}
