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
 *  * boot_display, where the kernel has it (KERNEL.md 4.7)
 *
 * What cannot be read of a card counts against moving it, and never for moving another one.
 */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/display.h"

#define PCI_CLASS_DISPLAY 0x03U

/* /proc/iomem has some hundred lines; how deep its ranges are nested. */
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
        bool boot_display;
} Connectors;

/* The bits of what is wanted of a directory below a device. */
enum {
        HAS_ENABLED = 1 << 0,
        HAS_DPMS = 1 << 1,
        HAS_BOOT_DISPLAY = 1 << 2,
};

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
        if (strcmp(enabled, "enabled") != 0)
                return 0;
        connectors->used = true;
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
        return r < 0 ? r : 0;
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
                return r == -ENOMEM ? r : 0;

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
                if (sysfs_link(sysfs, path, &device) || address_parse(device, &address) < 0)
                        continue;
                display = find(displays, address);
                if (display)
                        display->has_fb = true;
        }
        return r == -ENOMEM ? r : 0;
}

/* devices */

static bool reads_one(Sysfs *sysfs, Address address, const char *attribute) {
        char path[DEVICE_PATH_MAX];
        uint64_t value;

        return sysfs_read_uint(sysfs, device_path(address, attribute, path), 10, 1, &value) == 0 &&
                        value == 1;
}

static int look_at(Display *display, Sysfs *sysfs) {
        Connectors connectors = { .sysfs = sysfs };
        int r;

        r = walk_connectors(&connectors, display->address);
        if (r == -ENOMEM)
                return r;
        display->is_unknown = r < 0;
        display->is_used = connectors.used;
        display->is_lit = connectors.lit;
        display->has_connectors = connectors.any;
        display->is_boot_display = connectors.boot_display ||
                        reads_one(sysfs, display->address, "boot_display");
        display->is_boot_vga = reads_one(sysfs, display->address, "boot_vga");
        r = find_child(display, sysfs);
        return r == -ENOMEM ? r : 0;
}

static int add_device(Displays *displays, Sysfs *sysfs, const char *name) {
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
        r = look_at(&display, sysfs);
        if (r < 0)
                return r;
        more = reallocarray(displays->items, displays->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        displays->items = more;
        more[displays->n++] = display;
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
                r = add_device(displays, roots->sysfs, names[i]);
        if (r >= 0)
                r = find_in_memory(displays, roots->proc_fd);
        if (r >= 0)
                r = find_devices(displays, roots->sysfs);
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

/* How many others could show what this one does. */
size_t displays_count_others(const Displays *displays, Address address) {
        size_t n = 0;

        for (size_t i = 0; i < displays->n; ++i)
                n += !displays->items[i].is_3d &&
                                address_compare(displays->items[i].address, address) != 0;
        return n;
}

/* Whether @other shows what this machine is used by, and that @own was made primary means nothing. */
static bool takes_over(const Display *other, const Display *own) {
        if (other->has_firmware_fb)
                return true;
        if (other->is_boot_display && !own->is_boot_display)
                return true;
        if (!other->is_used)
                return false;
        /* Where both have monitors, the firmware's choice tells, if it had one. */
        return !(own->is_used || own->is_unknown) || (!other->is_vga && !own->is_boot_display);
}

/**
 * displays_boot_on() - is this device the display that the machine boots on?
 * @address:    of the device
 *
 * Return: whether the firmware's or the kernel's picture is on it, as far as can be told.
 */
bool displays_boot_on(const Displays *displays, Address address) {
        const Display *own = displays_find(displays, address);

        if (!own)
                return false;
        /* One of a driver that has no connectors to ask is as good as the firmware's. */
        if (own->has_firmware_fb || (own->has_fb && !own->has_connectors))
                return true;
        if (!own->is_boot_display && !own->is_boot_vga)
                return false;
        for (size_t i = 0; i < displays->n; ++i)
                if (&displays->items[i] != own && takes_over(&displays->items[i], own))
                        return false;
        return true;
}
