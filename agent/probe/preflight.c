/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/nvidia.h"
#include "os/child.h"
#include "os/kmsg.h"
#include "os/sysfs.h"
#include "probe/carries.h"
#include "probe/devnodes.h"
#include "probe/group.h"
#include "probe/holder-scan.h"
#include "probe/preflight.h"
#include "probe/virtual.h"

/* A GPU that sleeps deeply is awake in less than one, if it wakes up at all. */
#define WAKE_LIMIT_USEC (10 * USEC_PER_SEC)

#define KMSG_MAX 8192U

/* PCI class of USB controllers. */
#define PCI_CLASS_USB 0x0c03U

/* What is walked through: all that is below a function. */
typedef struct Below {
        const Roots *roots;
        Address function;
        Findings *findings;
} Below;

/* the bus */

/* Return: 0 if it answers, -ENXIO if it does not, or why it could not be asked. */
static int ask_device(const PreflightInput *input, size_t i) {
        bool answers;
        int r;

        r = device_is_on_bus(input->roots->sysfs, input->gpu->functions[i].address, &answers);
        if (r)
                return r == DEVICE_E_GONE ? -ENODEV : r;
        return answers ? 0 : -ENXIO;
}

typedef struct Sleepers {
        const PreflightInput *input;
        size_t functions[8];
        size_t n;
} Sleepers;

/* In a child: those that have to be woken up; the number of each goes out before it is asked. */
static int ask_sleepers(void *userdata, int reply_fd) {
        const Sleepers *sleepers = userdata;
        int r = 0;

        for (size_t i = 0; r == 0 && i < sleepers->n; ++i) {
                uint8_t number = (uint8_t) sleepers->functions[i];

                if (write(reply_fd, &number, 1) != 1)
                        return -EIO;
                r = ask_device(sleepers->input, sleepers->functions[i]);
        }
        return r;
}

/*
 * It does not answer. How deep it sleeps, if it does, is what the kernel made of the last attempt
 * to wake it, and asks nobody (drivers/pci/pci-sysfs.c: power_state_show()).
 */
static int push_off_bus(const PreflightInput *input, size_t i, int error, Findings *findings) {
        const Address address = input->gpu->functions[i].address;
        _cleanup_(freep) char *state = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(input->roots->sysfs, device_path(address, "power_state", path), &state);
        if (r < 0 && r != -ENODEV)
                return r;
        return findings_push(findings,
                        &(Finding){ .kind = FINDING_OFF_BUS,
                                        .function = address,
                                        .error = error,
                                        .detail = state });
}

/* One that is awake answers at once. Return: as ask_device(), or 1 if it has to be woken up. */
static int ask_if_awake(const PreflightInput *input, size_t i) {
        _cleanup_(freep) char *status = NULL;
        char path[DEVICE_PATH_MAX];

        device_path(input->gpu->functions[i].address, "power/runtime_status", path);
        if (sysfs_read(input->roots->sysfs, path, &status) != 0 || strcmp(status, "active"))
                return 1;
        return ask_device(input, i);
}

/*
 * Does the card answer? One that has fallen off the bus must not be unbound: the driver would wait
 * for answers that never come (nvidia-drm restores the console through the GPU). A function of it
 * may be lost alone. Its configuration space tells, but to read that of a sleeping device is to wake
 * it, which takes long where that fails: then a child reads, within a limit; or it is let sleep.
 */
static int check_bus(const PreflightInput *input, Findings *findings) {
        int root_fd = sysfs_root_fd(input->roots->sysfs), r;
        ChildOptions options = CHILD_OPTIONS_NULL;
        Sleepers sleepers = { .input = input };
        ChildResult result = {};
        size_t last;

        for (size_t i = 0; i < input->gpu->n_functions; ++i) {
                r = ask_if_awake(input, i);
                if (r < 0)
                        return push_off_bus(input, i, r == -ENXIO ? 0 : -r, findings);
                if (r == 1)
                        sleepers.functions[sleepers.n++] = i;
        }
        if (sleepers.n == 0 || input->is_passive)
                return 0;

        options.limit_usec = input->wake_usec ?: WAKE_LIMIT_USEC;
        options.keep = &root_fd;
        options.n_keep = 1;
        r = child_run(&options, ask_sleepers, &sleepers, &result);
        if (r < 0)
                return r;
        last = result.n_reply > 0 ? (uint8_t) result.reply[result.n_reply - 1]
                                  : sleepers.functions[0];
        free(result.reply);
        r = r == CHILD_E_LATE ? -ETIMEDOUT : r > 0 ? -EIO : result.answer;
        return r == 0 ? 0 : push_off_bus(input, last, r == -ENXIO ? 0 : -r, findings);
}

/* NVIDIA's driver says so; what its messages begin with is longer than what a process can have there. */
static bool says_lost(const char *text, const char *name) {
        const char *rest;

        if (text_starts_with(text, "NVRM: Xid (PCI:", &rest)) {
                size_t n = strlen(name) - 2;

                /* Function or partition may follow: "0000:01:00.0", "0000:01:00 GPU-I:05". */
                if (strncmp(rest, name, n) != 0 || !rest[n] || !strchr("). ", rest[n]))
                        return false;
                rest = strstr(rest + n, "): ");
                return rest && text_starts_with(rest, "): 79,", NULL);
        }
        return (text_starts_with(text, "NVRM: GPU ", &rest) ||
                               text_starts_with(text, "NVRM: The NVIDIA GPU ", &rest)) &&
                        text_starts_with(rest, name, &rest) && strstr(rest, "fallen off the bus");
}

/* The kernel says so of this very device: it is bound anew, or found anew. */
static bool says_new(const KernelMessage *message, const char *name) {
        const char *rest = strchr(message->text, ' '), *device;

        if (!message->device || !text_starts_with(message->device, "+pci:", &device) ||
                        strcmp(device, name) != 0)
                return false;
        /* "nvidia 0000:01:00.0: vgaarb: VGA decodes changed: …", "pci 0000:01:00.0: [10de:2204] type 00 …" */
        if (!rest || !text_starts_with(rest + 1, name, &rest) ||
                        !text_starts_with(rest, ": ", &rest))
                return false;
        return text_starts_with(rest, "vgaarb: VGA decodes changed", NULL) ||
                        (*rest == '[' && strstr(rest, "] type 00 "));
}

/*
 * Has the GPU fallen off the bus since it was bound? Then it is lost to the driver even
 * if it answers again. Where the log cannot be read (further) there is no answer.
 */
static int check_log(const PreflightInput *input, Findings *findings) {
        char buffer[KMSG_MAX], name[ADDRESS_STRING_MAX];
        _cleanup_(closep) int fd = -1;
        KernelMessage message;
        bool lost = false;
        int r;

        r = kmsg_open(input->roots->dev_fd, true, &fd);
        if (r)
                return r == KMSG_E_MISSING ? 0 : r;

        address_format(input->gpu->address, name);
        while (kmsg_next(fd, buffer, sizeof(buffer), &message) == 0)
                if (says_lost(message.text, name))
                        lost = true;
                else if (says_new(&message, name))
                        lost = false;
        if (!lost)
                return 0;

        return findings_push(findings,
                        &(Finding){ .kind = FINDING_FELL_OFF, .function = input->gpu->address });
}

/* displays */

/* A user of any of these may have lit it: of a card's node, or of nvidia-modeset. */
static bool may_light(const Finding *finding) {
        return finding->kind == FINDING_UNKNOWN ||
                        (finding->kind == FINDING_HOLDER &&
                                        (strstr(finding->node, "dri/card") ||
                                                        strstr(finding->node, "nvidia-modeset")));
}

/*
 * Does the kernel's console alone light the monitors? It does where no process has the card open:
 * a card without users shows nothing else (KERNEL.md 5.1).
 */
static int check_console(const PreflightInput *input, bool *ret) {
        _cleanup_(findings_deinit) Findings users = FINDINGS_NULL;
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;
        Findings *const found[] = { &users };
        bool console = true;
        int r;

        r = devnodes_init(&nodes, input->roots, input->gpu, input->to);
        if (r >= 0)
                r = holders_find(input->roots, &nodes, 1, false, found);
        if (r < 0)
                return r;
        for (size_t i = 0; i < users.n; ++i)
                console = console && !may_light(&users.items[i]);
        *ret = console;
        return 0;
}

static int on_lit(void *userdata, const char *connector) {
        _cleanup_(freep) char *detail = strdup(connector);
        const Below *below = userdata;

        if (!detail)
                return -ENOMEM;
        return findings_push(below->findings,
                        &(Finding){ .kind = FINDING_DISPLAY_ACTIVE,
                                        .function = below->function,
                                        .detail = detail });
}

/* @is_last: no other display shows anything */
static int check_lit(const PreflightInput *input, bool is_last, Findings *findings) {
        Below below = { input->roots, input->gpu->address, findings };
        const char *driver = input->gpu->functions[0].driver;
        bool is_nvidia = driver && !strcmp(driver, NVIDIA_DRIVER), fbdev = true, console;
        size_t n_before = findings->n;
        int r;

        r = display_each_lit(below.roots->sysfs, below.function, on_lit, &below);
        if (r < 0 || findings->n == n_before)
                return r;
        r = check_console(input, &console);
        if (r >= 0 && is_nvidia)
                r = nvidia_has_console(input->roots->sysfs, &fbdev);
        if (r < 0)
                return r;
        for (size_t i = n_before; i < findings->n; ++i) {
                findings->items[i].is_console = console && fbdev;
                findings->items[i].has_fbdev = is_nvidia && fbdev;
                findings->items[i].is_last = is_last;
        }
        return 0;
}

/*
 * Is the GPU a display in use? Read from the connectors in sysfs, which are cached
 * values: reading them neither probes a monitor nor wakes the GPU
 * (drivers/gpu/drm/drm_sysfs.c), where opening the card would do both. A text console
 * lights a connector too. Without modeset NVIDIA's driver has no connectors; then there
 * is what the machine boots on, and /dev/nvidia-modeset. A lit connector is told first, unless to
 * turn it off would be of no use, as there is no other display.
 */
static int check_display(const PreflightInput *input, Findings *findings) {
        Finding finding = { .kind = FINDING_BOOT_DISPLAY, .function = input->gpu->address };
        _cleanup_(displays_deinit) Displays looked = {};
        const Displays *displays = input->displays ?: &looked;
        size_t n_before = findings->n;
        DisplayRole role;
        bool is_last;
        int r = 0;

        if (!input->displays)
                r = displays_init(&looked, input->roots);
        if (r < 0)
                return r;
        role = displays_role(displays, finding.function);
        is_last = role != DISPLAY_SPARE && !displays_show_elsewhere(displays, finding.function);
        finding.number = (int) displays_count_others(displays, finding.function);
        finding.is_last = role == DISPLAY_LAST;

        if (role != DISPLAY_SPARE && finding.number == 0) {
                r = findings_push(findings, &finding);
                role = DISPLAY_SPARE;
        }
        if (r >= 0)
                r = check_lit(input, is_last, findings);
        if (r < 0 || role == DISPLAY_SPARE || (role == DISPLAY_LAST && findings->n > n_before))
                return r;
        return findings_push(findings, &finding);
}

/* USB */

static bool is_fit(const char *s) {
        return s && s[0] && text_is_printable(s);
}

static int check_usb_device(
                void *userdata, const char *path, const char *name, unsigned int found _unused_) {
        _cleanup_(freep) char *devpath = NULL, *maker = NULL, *product = NULL, *vendor_id = NULL,
                              *product_id = NULL, *network = NULL, *text = NULL;
        const struct {
                const char *name;
                char **ret;
        } attributes[] = {
                { "devpath", &devpath },
                { "manufacturer", &maker },
                { "product", &product },
                { "idVendor", &vendor_id },
                { "idProduct", &product_id },
        };
        const Below *below = userdata;
        bool needed = false;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(attributes); ++i) {
                r = sysfs_read_at(below->roots->sysfs, path, attributes[i].name, attributes[i].ret);
                if (r < 0)
                        return r;
        }
        /* A root hub is the controller itself, seen from the other side. */
        if (!devpath || !strcmp(devpath, "0"))
                return 0;

        /* Its own words, which may be anything, or its id. */
        if (is_fit(product))
                text = text_format("%s%s%s", is_fit(maker) ? maker : "", is_fit(maker) ? " " : "",
                                product);
        else if (vendor_id && product_id)
                text = text_format("%s:%s", vendor_id, product_id);
        else
                text = strdup(name);
        if (!text)
                return -ENOMEM;
        r = carries_disk_in_use(below->roots, path, &needed);
        if (r >= 0 && !needed)
                r = carries_network(below->roots, path, &network);
        if (r < 0)
                return r;
        return findings_push(below->findings,
                        &(Finding){ .kind = FINDING_USB,
                                        .function = below->function,
                                        .detail = text,
                                        .carries = network,
                                        .needed = needed || network });
}

/*
 * Is a device plugged into the card's own USB port? When the controller is unbound, all of them
 * are disconnected, a mounted disk and the network included; nothing waits, and nothing asks
 * (drivers/usb/core/hcd-pci.c: usb_hcd_pci_remove()).
 */
static int check_usb(const PreflightInput *input, Findings *findings) {
        static const char *const wanted[] = { "devpath" };
        char path[DEVICE_PATH_MAX];
        int r;

        for (size_t i = 0; i < input->gpu->n_functions; ++i) {
                const Device *function = &input->gpu->functions[i];
                Below below = { input->roots, function->address, findings };

                if (function->class >> 8 != PCI_CLASS_USB)
                        continue;
                r = sysfs_walk(below.roots->sysfs, device_path(function->address, "", path), wanted,
                                ARRAY_SIZE(wanted), check_usb_device, &below);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* NVIDIA's driver */

/* Can the driver let go of this one GPU while nvidia-drm is there? */
static int check_release(const PreflightInput *input, Findings *findings) {
        char unknown[] = "unknown", parameter[] = "modeset of nvidia_drm";
        Finding finding = { .kind = FINDING_CANNOT_RELEASE, .function = input->gpu->address };
        _cleanup_(freep) char *version = NULL;
        bool modeset;
        int r;

        r = nvidia_read_version(input->roots->sysfs, &version);
        if (r < 0)
                return r;
        if (version && nvidia_version_releases_gpus(version))
                return 0;

        r = nvidia_read_modeset(input->roots->sysfs, &modeset);
        if (r == -EACCES || r == -EPERM) {
                finding.kind = FINDING_UNKNOWN;
                finding.node = parameter;
                finding.error = -r;
        } else if (r < 0 || !modeset) {
                return r;
        } else {
                finding.detail = version ?: unknown;
        }
        return findings_push(findings, &finding);
}

/* Does CUDA hold the GPU, through UVM and so without any file of the GPU's own? */
static int check_cuda(const PreflightInput *input, Findings *findings) {
        int proc_fd = input->roots->proc_fd, minor_number, r;
        _cleanup_(freep) char *uuid = NULL;
        bool retained = false;

        /* One that the driver tells of, but without a UUID, was never started. */
        r = nvidia_read_gpu(proc_fd, input->gpu->address, &minor_number, &uuid);
        if (r == 0 && !uuid)
                return 0;
        r = nvidia_is_retained(proc_fd, uuid, &retained);
        if (r < 0 || !retained)
                return r;

        return findings_push(findings,
                        &(Finding){ .kind = FINDING_CUDA,
                                        .function = input->gpu->address,
                                        .detail = uuid });
}

/*
 * The last resort: the adapter is started, but by what? Not asked where nvidia-drm
 * starts it, or the driver does on its own.
 */
static int check_started(const PreflightInput *input, Findings *findings) {
        bool modeset = false, on_probe;
        int r;

        r = nvidia_starts_on_probe(input->roots->proc_fd, &on_probe);
        if (r < 0 || on_probe)
                return r;
        r = nvidia_read_modeset(input->roots->sysfs, &modeset);
        if (r < 0 && r != -EACCES && r != -EPERM)
                return r;
        if (modeset)
                return 0;

        return findings_push(findings,
                        &(Finding){ .kind = FINDING_STARTED, .function = input->gpu->address });
}

/**
 * preflight_is_leaving() - is NVIDIA's driver about to let go of a GPU, perhaps for ever?
 * @gpu:        GPU, as it is now
 * @ret:        the answer
 *
 * The driver link goes before remove() is called, and what the driver keeps for the GPU
 * goes at its end (KERNEL.md 1.10, 2.9). Where vfiopt is not at work, it is another
 * program's unbind, and it hangs.
 *
 * Return: 0 on success, negative error code on failure.
 */
int preflight_is_leaving(int proc_fd, const Gpu *gpu, bool *ret) {
        *ret = false;
        return gpu->functions[0].driver ? 0 : nvidia_knows(proc_fd, gpu->address, ret);
}

/* Before a GPU leaves the host. */
static int check_leaving(const PreflightInput *input, Findings *findings) {
        const char *driver = input->gpu->functions[0].driver;
        int r;

        r = group_check(input, findings);
        if (r < 0)
                return r;

        /* With the display function on vfio already, the rest of the card can follow. */
        if (driver_is_vfio(input->roots->sysfs, driver))
                return 0;

        if (!input->allow_display) {
                r = check_display(input, findings);
                if (r < 0)
                        return r;
        }
        if (!driver || strcmp(driver, NVIDIA_DRIVER) != 0)
                return 0;

        r = check_release(input, findings);
        return r < 0 || input->is_passive ? r : check_log(input, findings);
}

/**
 * preflight_preconditions() - is there anything in the way that will not go away?
 * @input:      which GPU, and where to
 * @findings:   where to add what is found
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int preflight_preconditions(const PreflightInput *input, Findings *findings) {
        const Finding finding = { .kind = FINDING_STUCK, .function = input->gpu->address };
        bool leaving;
        int r;

        /* Then nothing else is asked: it might wait, too. */
        r = preflight_is_leaving(input->roots->proc_fd, input->gpu, &leaving);
        if (r < 0 || leaving)
                return r < 0 ? r : findings_push(findings, &finding);

        r = check_bus(input, findings);
        if (r >= 0)
                r = virtual_check(input, findings);
        if (r < 0)
                return r;
        return input->to == MODE_PASSTHROUGH ? check_leaving(input, findings) : 0;
}

/* What is known of the uses of a GPU before all processes are looked at. */
typedef struct Use {
        bool on_nvidia;
        bool started;
        size_t n_findings;
} Use;

static int use_init(Use *use, DevNodes *nodes, const PreflightInput *input) {
        _cleanup_(freep) char *driver = NULL;
        const Roots *roots = input->roots;
        int r;

        r = devnodes_init(nodes, roots, input->gpu, input->to);
        if (r < 0 || input->to == MODE_HOST)
                return r;
        r = device_read_driver(roots->sysfs, input->gpu->address, &driver);
        if (r < 0)
                return r;
        use->on_nvidia = driver && !strcmp(driver, NVIDIA_DRIVER);
        if (!use->on_nvidia)
                return 0;
        r = nvidia_is_started(roots->sysfs, input->gpu->address, &use->started);
        if (r < 0 || use->started)
                return r;
        return nvidia_shows_start(roots, input->gpu->address, &nodes->is_idle);
}

static bool is_asked(const PreflightInput *inputs, size_t n, Address address) {
        for (size_t i = 0; i < n; ++i)
                if (address_same_slot(inputs[i].gpu->address, address))
                        return true;
        return false;
}

/*
 * The nodes of the other GPUs of NVIDIA's driver: who has them open has what is shared by all
 * open for them. One that cannot be looked at explains nothing.
 */
static int add_witnesses(const PreflightInput *inputs,
                size_t n,
                char *const *names,
                DevNodes *sets,
                size_t *n_sets) {
        const Roots *roots = inputs[0].roots;
        int r = 0;

        for (size_t i = 0; names && names[i] && r != -ENOMEM; ++i) {
                _cleanup_(gpu_deinit) Gpu gpu = {};
                Address address;

                if (address_parse(names[i], &address) < 0 || is_asked(inputs, n, address))
                        continue;
                r = gpu_init(&gpu, roots->sysfs, address);
                if (r == 0)
                        r = devnodes_init(&sets[*n_sets], roots, &gpu, MODE_PASSTHROUGH);
                if (r == 0)
                        sets[(*n_sets)++].is_witness = true;
        }
        return r == -ENOMEM ? r : 0;
}

/* Is it used by anything but processes? */
static int use_check_rest(const Use *use, const PreflightInput *input, Findings *findings) {
        bool started;
        int r;

        if (input->to == MODE_HOST)
                return 0;
        r = check_usb(input, findings);
        if (r < 0 || !use->on_nvidia)
                return r;
        r = check_release(input, findings);
        if (r < 0)
                return r;
        r = check_cuda(input, findings);
        if (r < 0)
                return r;

        /*
         * A process that was about to end when the scan began has stopped it since, and one that
         * came behind the scan has started it.
         */
        r = nvidia_is_started(input->roots->sysfs, input->gpu->address, &started);
        if (r < 0)
                return r;
        return started && findings->n == use->n_findings ? check_started(input, findings) : 0;
}

/**
 * preflight_holders_of_all() - are GPUs in use?
 * @inputs:     which GPUs, and where to
 * @n:          how many; all processes are looked at once, however many these are
 * @findings:   for each, where to add what is found
 *
 * Which drivers the functions have is looked at anew, as is whether they can let go;
 * what @inputs say of them may be from before some of them moved.
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int preflight_holders_of_all(const PreflightInput *inputs, size_t n, Findings *const findings[]) {
        _cleanup_(freep) Use *uses = calloc(n ?: 1, sizeof(*uses));
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) DevNodes *sets = NULL;
        size_t n_names = 0, n_sets = n;
        bool deep = false, any_nvidia = false;
        int r = 0;

        if (n == 0)
                return 0;
        /* Without a list of them there are no witnesses. */
        if (nvidia_list_gpus(inputs[0].roots->proc_fd, &names, &n_names) == -ENOMEM)
                return -ENOMEM;
        sets = calloc(n + n_names, sizeof(*sets));
        if (!sets || !uses)
                return -ENOMEM;

        for (size_t i = 0; i < n && r >= 0; ++i) {
                uses[i].n_findings = findings[i]->n;
                r = use_init(&uses[i], &sets[i], &inputs[i]);
                /* An adapter that is not started has no mappings at all. */
                deep |= uses[i].started;
                any_nvidia |= uses[i].on_nvidia;
        }
        if (r >= 0 && any_nvidia)
                r = add_witnesses(inputs, n, names, sets, &n_sets);
        if (r >= 0)
                r = holders_find(inputs[0].roots, sets, n_sets, deep, findings);
        for (size_t i = 0; i < n && r >= 0; ++i)
                r = use_check_rest(&uses[i], &inputs[i], findings[i]);
        for (size_t i = 0; i < n_sets; ++i)
                devnodes_deinit(&sets[i]);
        return r;
}

/* Likewise for one. */
int preflight_holders(const PreflightInput *input, Findings *findings) {
        return preflight_holders_of_all(input, 1, &findings);
}
