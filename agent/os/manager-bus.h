/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Manager's Bus
 *
 * What the files of this façade share; nobody else includes it.
 */

#include <systemd/sd-bus.h>

#include "os/manager.h"

#define NAME      "org.freedesktop.systemd1"
#define PATH      "/org/freedesktop/systemd1"
#define INTERFACE NAME ".Manager"

struct Manager {
        sd_bus *bus;
        ManagerFn fn;
        ManagerBackFn back;
        void *userdata;
};

static inline void message_unrefp(sd_bus_message **message) {
        sd_bus_message_unref(*message);
}
