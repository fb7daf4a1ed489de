/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Displays
 *
 * Which of the display devices of this machine somebody looks at. All of it is read from cached
 * values in sysfs and from the names in /proc/iomem; no device node is opened, and nothing is
 * woken up.
 */

#include "model/device.h"
#include "os/roots.h"

/* A display device of any vendor. */
typedef struct Display {
        Address address;
        bool is_vga;          /* of the one class that boot_vga is about */
        bool is_3d;           /* of the class of those without outputs */
        bool has_connectors;  /* of its own driver */
        bool is_used;         /* one of them has been turned on by somebody, or by the console */
        bool is_lit;          /* and shows a picture: its monitor has not been sent to sleep */
        bool has_panel;       /* one is built in, as in a laptop, be its lid closed */
        bool is_unknown;      /* something of it cannot be read */
        bool has_driver;      /* of whatever kind */
        bool is_idle;         /* its driver is NVIDIA's, and known not to have started it */
        bool is_on_vfio;      /* a guest may have it, and the host shows nothing there */
        bool is_remote;       /* a chip for a server's remote console, with connectors always lit */
        bool has_fb;          /* a framebuffer device of its own driver is there */
        bool has_firmware_fb; /* the firmware's framebuffer is in its memory */
        bool is_boot_display; /* says the kernel's boot_display */
        bool is_boot_vga;     /* says boot_vga, which is about VGA devices alone */
} Display;

typedef struct Displays {
        Display *items;
        size_t n;
        bool is_unknown; /* something of one of them, or of framebuffers, cannot be read */
        bool has_stray; /* there is a text mode or a firmware's framebuffer, and it is not known where */
} Displays;

typedef enum DisplayRole {
        DISPLAY_SPARE, /* another one is looked at, or none */
        DISPLAY_BOOTS, /* the firmware's or the kernel's picture is on it, as far as can be told */
        DISPLAY_LAST,  /* no other one shows anything, or could, whatever the firmware has chosen */
} DisplayRole;

/* Called for each lit connector, like "card1-DP-1". Anything but 0 ends the look, and is its result. */
typedef int (*DisplayLitFn)(void *userdata, const char *connector);

int displays_init(Displays *displays, const Roots *roots) _warn_unused_result_;
void displays_deinit(Displays *displays);
const Display *displays_find(const Displays *displays, Address address);
size_t displays_count_others(const Displays *displays, Address address);
bool displays_show_elsewhere(const Displays *displays, Address address);
DisplayRole displays_role(const Displays *displays, Address address);
bool displays_boot_on(const Displays *displays, Address address);
int display_each_lit(Sysfs *sysfs, Address address, DisplayLitFn fn, void *userdata)
                _warn_unused_result_;
