/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * That the firmware made a card primary (boot_vga) does not mean that anybody looks at it: of two
 * VGA devices it is the one that was found first or set in the firmware's menu, and an integrated
 * GPU of another class can never be it (KERNEL.md 4.5). So it counts last, where nothing better is
 * known. Better are, in this order:
 *
 *  * the firmware's framebuffer: what is written there is on the screen of the card whose memory it
 *    is in. It goes when a driver takes the card over (KERNEL.md 4.2, 4.4)
 *  * connectors that are turned on, here and elsewhere, be their monitors asleep (KERNEL.md 5.1)
 *  * the framebuffer of a driver, as the text console is there (KERNEL.md 4.8)
 *  * boot_display, where the kernel has it (KERNEL.md 4.7)
 *
 * That another one shows what this one would is believed only of a card that is known to be dark. A
 * driver without connectors to ask tells nothing, as NVIDIA's with modeset=0, unless its adapter is
 * known not to be started (KERNEL.md 1.12); and connectors of the chips that servers have on board
 * are lit with nobody there (KERNEL.md 5.5).
 *
 * What cannot be read counts against moving a card: then boot_vga and boot_display alone tell.
 */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/display.h"
#include "model/nvidia.h"

#define PCI_CLASS_DISPLAY 0x03U

/* Chips for remote consoles: ASPEED's, and Matrox's G200 in its many kinds. */
#define VENDOR_ASPEED 0x1a03U
#define VENDOR_MATROX 0x102bU

/* /proc/iomem and /proc/ioports have some hundred lines; how deep ranges are nested. */
#define IOMEM_MAX       (1024 * 1024)
#define IOMEM_DEPTH_MAX 16U

/* What the drivers of the firmware's framebuffer, and the device that they drive, call its memory. */
static const char *const firmware_ranges[] = { "BOOTFB", "efifb", "vesafb", "simplefb", "simpledrm",
        "efi-framebuffer.0", "simple-framebuffer.0", "vesa-framebuffer.0" };

static Display *find(const Displays *displays, Address address) {
        for (size_t i = 0; i < displays->n; ++i)
                if (!address_compare(displays->items[i].address, address))
                        return &displays->items[i];
        return NULL;
}

/* connectors */

typedef struct Connectors {
        Sysfs *sysfs;
        DisplayLitFn fn; /* or NULL */
        void *userdata;
        bool any;
        bool used;
        bool lit;
        bool panel;
        bool boot_display;
} Connectors;

/* The bits of what is wanted of a directory below a device. */
enum {
        HAS_ENABLED = 1 << 0,
        HAS_DPMS = 1 << 1,
        HAS_BOOT_DISPLAY = 1 << 2,
};

/* "card1-eDP-1": what is built in. @name: of the connector, behind the one of the card */
static bool is_panel(const char *name) {
        static const char *const panels[] = { "eDP-", "LVDS-", "DSI-" };
        const char *type = strchr(name, '-');

        for (size_t i = 0; type && i < ARRAY_SIZE(panels); ++i)
                if (text_starts_with(type + 1, panels[i], NULL))
                        return true;
        return false;
}

/* A panel is there behind a closed lid, too; a switch in front of it may have it for another GPU. */
static int look_for_panel(Connectors *connectors, const char *path, const char *name) {
        _cleanup_(freep) char *status = NULL;
        int r;

        if (!is_panel(name))
                return 0;
        r = sysfs_read_at(connectors->sysfs, path, "status", &status);
        if (r < 0)
                return r;
        connectors->panel |= r == 0 && !strcmp(status, "connected");
        return 0;
}

static int look_below(void *userdata, const char *path, const char *name, unsigned int found) {
        _cleanup_(freep) char *enabled = NULL, *dpms = NULL, *boot = NULL;
        Connectors *connectors = userdata;
        int r;

        if (found & HAS_BOOT_DISPLAY) {
                r = sysfs_read_at(connectors->sysfs, path, "boot_display", &boot);
                if (r < 0)
                        return r;
                connectors->boot_display |= r == 0 && !strcmp(boot, "1");
        }
        /* Power management has an "enabled" too, elsewhere. */
        if ((found & (HAS_ENABLED | HAS_DPMS)) != (HAS_ENABLED | HAS_DPMS))
                return 0;

        r = sysfs_read_at(connectors->sysfs, path, "enabled", &enabled);
        if (r)
                return r < 0 ? r : 0;
        r = sysfs_read_at(connectors->sysfs, path, "dpms", &dpms);
        if (r)
                return r < 0 ? r : 0;
        connectors->any = true;
        r = look_for_panel(connectors, path, name);
        if (r < 0)
                return r;
        if (strcmp(enabled, "enabled") != 0)
                return 0;
        connectors->used = true;
        connectors->panel |= is_panel(name);
        if (strcmp(dpms, "On") != 0)
                return 0;
        connectors->lit = true;
        return connectors->fn ? connectors->fn(connectors->userdata, name) : 0;
}

static int walk_connectors(Connectors *connectors, Address address) {
        static const char *const wanted[] = { "enabled", "dpms", "boot_display" };
        char path[DEVICE_PATH_MAX];

        return sysfs_walk(connectors->sysfs, device_path(address, "drm", path), wanted,
                        ARRAY_SIZE(wanted), look_below, connectors);
}

/**
 * display_each_lit() - visit the lit connectors of a display device
 *
 * Return: 0 on success, what @fn returned if that is not 0, negative error code on failure.
 */
int display_each_lit(Sysfs *sysfs, Address address, DisplayLitFn fn, void *userdata) {
        Connectors connectors = { .sysfs = sysfs, .fn = fn, .userdata = userdata };

        return walk_connectors(&connectors, address);
}

/* framebuffers */

/* Since 6.11 the firmware's framebuffer is a child of the PCI device that it is in. */
static int find_child(Display *display, Sysfs *sysfs) {
        _cleanup_(strv_freep) char **names = NULL;
        char path[DEVICE_PATH_MAX];
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, device_path(display->address, "", path), &names, &n);
        for (size_t i = 0; r == 0 && i < n; ++i)
                display->has_firmware_fb |= strstr(names[i], "-framebuffer.") != NULL;
        return r;
}

/* "    c0000000-c02fffff : BOOTFB": how far it is indented, and its name, up to the end of the line */
static size_t split_range(const char *line, const char **ret_name, size_t *ret_n) {
        size_t depth = strspn(line, " "), n = strcspn(line, "\n");
        const char *name = memmem(line, n, " : ", 3);

        *ret_name = name ? name + 3 : line + n;
        *ret_n = line + n - *ret_name;
        return depth / 2;
}

static bool is_firmware_range(const char *name, size_t n) {
        for (size_t i = 0; i < ARRAY_SIZE(firmware_ranges); ++i)
                if (strlen(firmware_ranges[i]) == n && !memcmp(firmware_ranges[i], name, n))
                        return true;
        return false;
}

/*
 * On kernels before, the names in /proc/iomem tell: the framebuffer is nested in the memory of its
 * PCI device. Who has no privileges sees zeros for the addresses there, but the names all the same.
 */
static int find_in_memory(Displays *displays, int proc_fd) {
        Display *owners[IOMEM_DEPTH_MAX] = {};
        _cleanup_(freep) char *iomem = NULL;
        const char *name;
        size_t n, depth;
        int r;

        r = file_read(proc_fd, "iomem", IOMEM_MAX, &iomem, NULL);
        if (r < 0)
                return r;

        for (const char *line = r == 0 ? iomem : ""; *line; line = name + n + (name[n] == '\n')) {
                char text[ADDRESS_STRING_MAX];
                Address address;

                depth = split_range(line, &name, &n);
                if (depth >= IOMEM_DEPTH_MAX)
                        continue;
                owners[depth] = depth > 0 ? owners[depth - 1] : NULL;
                snprintf(text, sizeof(text), "%.*s", (int) n, name);
                if (n < sizeof(text) && address_parse(text, &address) == 0)
                        owners[depth] = find(displays, address);
                else if (owners[depth] && is_firmware_range(name, n))
                        owners[depth]->has_firmware_fb = true;
        }
        return 0;
}

/* Whether the machine has come up in text mode, which the default VGA device may show yet. */
static int find_text(Displays *displays, int proc_fd) {
        _cleanup_(freep) char *ports = NULL;
        int r;

        r = file_read(proc_fd, "ioports", IOMEM_MAX, &ports, NULL);
        displays->has_stray = displays->has_stray || (r == 0 && strstr(ports, " : vga+\n"));
        return r < 0 ? r : 0;
}

/* Those of the devices' own drivers; that of the firmware's is of a platform device. */
static int find_devices(Displays *displays, Sysfs *sysfs) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, "class/graphics", &names, &n);
        for (size_t i = 0; r == 0 && i < n; ++i) {
                _cleanup_(freep) char *path = NULL, *device = NULL;
                Display *display;
                Address address;

                path = text_format("class/graphics/%s/device", names[i]);
                if (!path)
                        return -ENOMEM;
                r = sysfs_link(sysfs, path, &device);
                if (r < 0)
                        return r;
                if (r || address_parse(device, &address) < 0) {
                        displays->has_stray |= r == 0 && strstr(device, "-framebuffer.");
                        r = 0;
                        continue;
                }
                display = find(displays, address);
                if (display)
                        display->has_fb = true;
        }
        return r < 0 ? r : 0;
}

/* devices */

static int read_flag(Sysfs *sysfs, Address address, const char *attribute, bool *ret) {
        char path[DEVICE_PATH_MAX];
        uint64_t value = 0;
        int r;

        r = sysfs_read_uint(sysfs, device_path(address, attribute, path), 10, 1, &value);
        *ret = *ret || (r == 0 && value == 1);
        return r;
}

static int read_driver(Display *display, const Roots *roots) {
        _cleanup_(freep) char *driver = NULL;
        Sysfs *sysfs = roots->sysfs;
        char path[DEVICE_PATH_MAX];
        uint64_t vendor = 0;
        int r;

        r = device_read_driver(sysfs, display->address, &driver);
        if (r < 0)
                return r;
        r = sysfs_read_uint(sysfs, device_path(display->address, "vendor", path), 16, UINT16_MAX,
                        &vendor);
        display->has_driver = driver != NULL;
        display->is_on_vfio = driver_is_vfio(sysfs, driver);
        display->is_remote = vendor == VENDOR_ASPEED || vendor == VENDOR_MATROX ||
                        (driver && (!strcmp(driver, "ast") || !strcmp(driver, "mgag200")));
        if (r < 0 || !driver || strcmp(driver, NVIDIA_DRIVER) != 0)
                return r;
        return nvidia_is_idle(roots, display->address, &display->is_idle);
}

static int look_at(Display *display, const Roots *roots) {
        Sysfs *sysfs = roots->sysfs;
        Connectors connectors = { .sysfs = sysfs };
        Address address = display->address;
        int results[] = {
                walk_connectors(&connectors, address),
                read_driver(display, roots),
                find_child(display, sysfs),
                read_flag(sysfs, address, "boot_display", &display->is_boot_display),
                read_flag(sysfs, address, "boot_vga", &display->is_boot_vga),
        };

        for (size_t i = 0; i < ARRAY_SIZE(results); ++i) {
                if (results[i] == -ENOMEM)
                        return results[i];
                display->is_unknown |= results[i] < 0;
        }
        display->is_used = connectors.used;
        display->is_lit = connectors.lit;
        display->has_connectors = connectors.any;
        display->has_panel = connectors.panel;
        display->is_boot_display |= connectors.boot_display;
        display->is_boot_vga |= results[ARRAY_SIZE(results) - 1] < 0;
        return 0;
}

static int add_device(Displays *displays, const Roots *roots, const char *name) {
        Sysfs *sysfs = roots->sysfs;
        Display display = {}, *more;
        char path[DEVICE_PATH_MAX];
        uint64_t class;
        int r;

        r = address_parse(name, &display.address);
        if (r < 0)
                return r;
        /* A device may go while we look; it is not there then. */
        r = sysfs_read_uint(
                        sysfs, device_path(display.address, "class", path), 16, 0xffffff, &class);
        if (r || class >> 16 != PCI_CLASS_DISPLAY)
                return r < 0 ? r : 0;
        if (sysfs_exists(sysfs, device_path(display.address, "physfn", path)))
                return 0;

        display.is_vga = class >> 8 == PCI_CLASS_VGA;
        display.is_3d = class >> 8 == PCI_CLASS_3D;
        r = look_at(&display, roots);
        if (r < 0)
                return r;
        more = reallocarray(displays->items, displays->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        displays->items = more;
        more[displays->n++] = display;
        return 0;
}

static int find_framebuffers(Displays *displays, const Roots *roots) {
        const int results[] = {
                find_in_memory(displays, roots->proc_fd),
                find_text(displays, roots->proc_fd),
                find_devices(displays, roots->sysfs),
        };
        bool found = false;

        for (size_t i = 0; i < ARRAY_SIZE(results); ++i) {
                if (results[i] == -ENOMEM)
                        return results[i];
                displays->is_unknown |= results[i] < 0;
        }
        for (size_t i = 0; i < displays->n; ++i) {
                displays->is_unknown |= displays->items[i].is_unknown;
                found |= displays->items[i].has_firmware_fb;
        }
        displays->has_stray = displays->has_stray && !found;
        return 0;
}

/**
 * displays_init() - look at all display devices of the PCI bus
 * @displays:   to initialise; displays_deinit() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int displays_init(Displays *displays, const Roots *roots) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        *displays = (Displays){};
        r = sysfs_list(roots->sysfs, "bus/pci/devices", &names, &n);
        if (r)
                return r < 0 ? r : 0;

        for (size_t i = 0; i < n && r >= 0; ++i)
                r = add_device(displays, roots, names[i]);
        if (r >= 0)
                r = find_framebuffers(displays, roots);
        if (r < 0)
                displays_deinit(displays);
        return r;
}

void displays_deinit(Displays *displays) {
        free(displays->items);
        *displays = (Displays){};
}

/* The device at an address, or NULL if there is no display device. */
const Display *displays_find(const Displays *displays, Address address) {
        return find(displays, address);
}

/* What can show anything: not a card of the class without outputs, nor one that a guest has. */
static bool can_show(const Display *display) {
        return !display->is_on_vfio && !display->is_3d;
}

/* How many others could show what this one does. */
size_t displays_count_others(const Displays *displays, Address address) {
        size_t n = 0;

        for (size_t i = 0; i < displays->n; ++i)
                n += can_show(&displays->items[i]) &&
                                address_compare(displays->items[i].address, address) != 0;
        return n;
}

/* A framebuffer of a driver that has no connectors to ask is as good as the firmware's. */
static bool has_picture(const Display *display) {
        return display->has_firmware_fb || (display->has_fb && !display->has_connectors);
}

/* Whether it is certain that nothing is to be seen there. */
static bool is_dark(const Display *display) {
        if (display->is_unknown || display->is_used || has_picture(display))
                return false;
        return display->has_connectors || display->is_on_vfio || !display->has_driver ||
                        display->is_idle;
}

/*
 * Whether the text console is on @other and on nothing else. A driver makes a framebuffer once there
 * is a monitor to show it on (KERNEL.md 4.8).
 */
static bool has_console(const Displays *displays, const Display *other, const Display *own) {
        return other->has_fb && !other->is_remote && !own->has_fb && is_dark(own) &&
                        !displays->has_stray;
}

/* Whether @other shows what this machine is used by, and that @own was made primary means nothing. */
static bool takes_over(const Displays *displays, const Display *other, const Display *own) {
        if (other->is_on_vfio)
                return false;
        if (other->has_firmware_fb || has_console(displays, other, own))
                return true;
        if (other->is_boot_display && !own->is_boot_display)
                return true;
        if (!other->is_used || other->is_remote)
                return false;
        if (is_dark(own))
                return true;
        /*
         * Where both have monitors, the firmware's choice tells, if it had one. Where no more is
         * known of ours, what is built into a laptop is what is looked at.
         */
        return !other->is_vga && !own->is_boot_display && (own->is_used || other->has_panel);
}

/*
 * Whether this is the last one with a picture, or that could have one, whatever the firmware and
 * the kernel think of it; its monitor may be asleep.
 */
static bool is_last(const Displays *displays, const Display *own) {
        if (own->is_on_vfio || !(own->is_vga || own->has_connectors))
                return false;
        for (size_t i = 0; i < displays->n; ++i) {
                const Display *other = &displays->items[i];

                if (other == own || !can_show(other))
                        continue;
                if (other->is_used || other->is_boot_display || has_picture(other))
                        return false;
                /* Without a driver there may still be text. */
                if (own->is_used ? !is_dark(other) || (other->is_boot_vga && !other->has_connectors)
                                 : other->is_vga || other->has_connectors)
                        return false;
        }
        return true;
}

/* Whether another one shows, or might once its monitor is awake, something to somebody. */
bool displays_show_elsewhere(const Displays *displays, Address address) {
        for (size_t i = 0; i < displays->n; ++i) {
                const Display *other = &displays->items[i];

                if (address_compare(other->address, address) != 0 && can_show(other) &&
                                !other->is_remote && (other->is_used || has_picture(other)))
                        return true;
        }
        return false;
}

/* Whether the firmware's or the kernel's picture is on it, as far as can be told. */
static bool is_chosen(const Displays *displays, const Display *own) {
        if (has_picture(own))
                return true;
        if (!own->is_boot_display && !own->is_boot_vga)
                return false;
        for (size_t i = 0; !displays->is_unknown && i < displays->n; ++i)
                if (&displays->items[i] != own && takes_over(displays, &displays->items[i], own))
                        return false;
        return true;
}

/* What a device is to this machine; DISPLAY_SPARE also of one that is no display device. */
DisplayRole displays_role(const Displays *displays, Address address) {
        const Display *own = displays_find(displays, address);

        if (!own)
                return DISPLAY_SPARE;
        if (is_chosen(displays, own))
                return DISPLAY_BOOTS;
        return is_last(displays, own) ? DISPLAY_LAST : DISPLAY_SPARE;
}

/* Whether the machine boots on a device, or is left with none that shows anything without it. */
bool displays_boot_on(const Displays *displays, Address address) {
        return displays_role(displays, address) != DISPLAY_SPARE;
}
