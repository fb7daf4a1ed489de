/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "os/conf.h"
#include "policy/policy.h"
#include "setup/backup.h"
#include "setup/facts.h"
#include "vfiopt/names.h"

#define CPUINFO_SIZE (8U * 1024 * 1024)
#define CMDLINE_SIZE (64U * 1024)
#define IDS_WORD     "vfio-pci.ids="

void setup_facts_deinit(SetupFacts *facts) {
        modprobe_facts_deinit(facts);
        free(facts->mode_why);
        free(facts->ids);
        strv_free(facts->words);
        strv_free(facts->kernels);
        strv_free(facts->modular);
        free(facts->booted);
        free(facts->loader_type);
        free(facts->unwanted);
        strv_free(facts->warnings);
        *facts = (SetupFacts) SETUP_FACTS_NULL;
}

static _printf_(2, 3) int warn(SetupFacts *facts, const char *format, ...) {
        _cleanup_(freep) char *warning = NULL;
        va_list args;

        va_start(args, format);
        warning = text_vformat(format, args);
        va_end(args);
        return warning ? strv_push(&facts->warnings, &facts->n_warnings, warning) : -ENOMEM;
}

/* kernels */

static int has_text(
                int root_fd, const char *kernel, const char *name, const char *needle, bool *ret) {
        _cleanup_(freep) char *path = text_format("lib/modules/%s/%s", kernel, name);
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        if (!path)
                return -ENOMEM;
        r = tree_read(root_fd, path, &file);
        if (r < 0)
                return r;
        *ret = r == 0 && strstr(file.data, needle);
        return 0;
}

static int find_vfio(SetupFacts *facts) {
        _cleanup_(text_deinit) Text without = TEXT_NULL;
        int r = 0;

        facts->vfio_is_missing = facts->n_kernels > 0;
        for (size_t i = 0; r >= 0 && i < facts->n_kernels; ++i) {
                const char *kernel = facts->kernels[i];
                bool is_module = false, is_built_in = false;

                r = has_text(facts->root_fd, kernel, "modules.dep", "/vfio-pci.ko", &is_module);
                if (r >= 0)
                        r = has_text(facts->root_fd, kernel, "modules.builtin", "/vfio-pci.ko",
                                        &is_built_in);
                if (r >= 0 && is_module)
                        r = strv_push(&facts->modular, &facts->n_modular, kernel);
                else if (r >= 0 && !is_built_in)
                        r = text_append(&without, "%s%s", without.n > 0 ? ", " : "", kernel);
                facts->vfio_is_built_in = facts->vfio_is_built_in || is_built_in;
                facts->vfio_is_missing = facts->vfio_is_missing && !is_module && !is_built_in;
        }
        if (r < 0 || without.n == 0 || facts->vfio_is_missing)
                return r;
        return warn(facts, "GPUs stay with their drivers in a kernel that has no vfio-pci: %s",
                        text(&without));
}

static int look_at_kernels(SetupFacts *facts) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(facts->root_fd, "lib/modules", &names, &n);
        if (r < 0)
                return r;
        r = 0;
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(freep) char *path = text_format("lib/modules/%s/modules.dep", names[i]);

                if (!path)
                        return -ENOMEM;
                if (tree_has(facts->root_fd, path))
                        r = strv_push(&facts->kernels, &facts->n_kernels, names[i]);
        }
        return r < 0 ? r : find_vfio(facts);
}

/* GPUs */

typedef struct Chosen {
        const Gpu **gpus;
        size_t n;
} Chosen;

static bool is_chosen(const Chosen *chosen, Address address) {
        for (size_t i = 0; i < chosen->n; ++i)
                if (gpu_find_function(chosen->gpus[i], address))
                        return true;
        return false;
}

/* Whether a device that is no function of a chosen GPU has this id. Return: 0, or a negative error code. */
static int
find_twin(Sysfs *sysfs, const Chosen *chosen, Identity identity, Address *ret, bool *ret_found) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, "bus/pci/devices", &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(device_deinit) Device device = DEVICE_NULL;
                Address address;
                bool has_function;

                if (address_parse_loose(names[i], &address, &has_function) < 0)
                        continue;
                r = device_init(&device, sysfs, address);
                if (r < 0)
                        return r;
                if (r > 0 || is_chosen(chosen, address) ||
                                device.identity.vendor != identity.vendor ||
                                device.identity.device != identity.device)
                        continue;
                *ret = address;
                *ret_found = true;
                return 0;
        }
        return 0;
}

/* "10de:2d04,10de:22eb", each once; or nothing, and a warning, where another device has one of them. */
static int collect_ids(SetupFacts *facts, Sysfs *sysfs, const Chosen *chosen) {
        _cleanup_(text_deinit) Text ids = TEXT_NULL;
        int r = 0;

        for (size_t i = 0; i < chosen->n; ++i) {
                for (size_t k = 0; r >= 0 && k < chosen->gpus[i]->n_functions; ++k) {
                        const Device *function = &chosen->gpus[i]->functions[k];
                        char id[IDENTITY_STRING_MAX], name[ADDRESS_STRING_MAX];
                        bool is_found = false;
                        Address twin;

                        r = find_twin(sysfs, chosen, function->identity, &twin, &is_found);
                        if (r < 0)
                                return r;
                        (void) identity_format_id(function->identity, id);
                        if (is_found)
                                return warn(facts,
                                                "no ids= for vfio-pci: the device at %s has the id %s as well, and is not for "
                                                "guests; " VFIOPT_UNIT_BOOT
                                                " alone brings the GPU to passthrough at "
                                                "boot",
                                                address_format(twin, name), id);
                        if (!strstr(text(&ids), id))
                                r = text_append(&ids, "%s%s", ids.n > 0 ? "," : "", id);
                }
        }
        if (r < 0)
                return r;
        facts->ids = text_take(&ids);
        return 0;
}

static int warn_of_display(SetupFacts *facts, const Gpu *gpu) {
        char name[ADDRESS_STRING_MAX];

        if (!gpu->boots_machine)
                return 0;
        return warn(facts,
                        "the machine boots on %s: the screen stays black once it is in passthrough. At the boot "
                        "menu, " VFIOPT_KERNEL_KEY
                        "=host and module_blacklist=vfio_pci on the kernel's command line bring "
                        "it back%s",
                        address_format(gpu->address, name),
                        facts->vfio_is_built_in ? ", with " IDS_WORD "... taken out of it" : "");
}

/* Whether a list for ids= has an id of the GPU; what it has behind one is not looked at. */
static bool is_in_ids(const Gpu *gpu, const char *ids) {
        for (size_t i = 0; i < gpu->n_functions; ++i) {
                char id[IDENTITY_STRING_MAX];
                size_t n;

                (void) identity_format_id(gpu->functions[i].identity, id);
                n = strlen(id);
                for (const char *s = ids; s; s = strchr(s, ',')) {
                        s += s[0] == ',';
                        if (strncasecmp(s, id, n) == 0 &&
                                        (s[n] == '\0' || s[n] == ',' || s[n] == ':'))
                                return true;
                }
        }
        return false;
}

/* What is written about a GPU counts more than ids= that are there so far. */
static bool is_for_guests(const Policy *policy, const Gpu *gpu, Mode mode, const char *ids) {
        const Runtime runtime = RUNTIME_NULL;
        const Decision wish = policy_wish(policy, gpu, &runtime, true);

        if (!policy_manages(policy, gpu))
                return false;
        if (ids)
                return is_in_ids(gpu, ids) &&
                                !(wish.mode == MODE_HOST &&
                                                (wish.source == POLICY_CONFIG ||
                                                                wish.source == POLICY_STATE));
        return (mode == MODE_UNSET ? wish.mode : mode) == MODE_PASSTHROUGH;
}

static int choose(SetupFacts *facts,
                Roots *roots,
                const Policy *policy,
                const Inventory *inventory,
                Mode mode,
                const char *ids) {
        _cleanup_(freep) const Gpu **gpus = calloc(inventory->n_gpus ?: 1, sizeof(*gpus));
        Chosen chosen = { .gpus = gpus };
        int r = 0;

        if (!gpus)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < inventory->n_gpus; ++i) {
                const Gpu *gpu = &inventory->gpus[i];

                if (!is_for_guests(policy, gpu, mode, ids))
                        continue;
                chosen.gpus[chosen.n++] = gpu;
                r = warn_of_display(facts, gpu);
        }
        if (r < 0 || chosen.n == 0)
                return r;
        facts->mode = MODE_PASSTHROUGH;
        return collect_ids(facts, roots->sysfs, &chosen);
}

/* @ids: those of the GPUs that are meant; or NULL. Return: 0, or a negative error code. */
static int look_at_gpus(SetupFacts *facts, Roots *roots, Mode mode, const char *ids) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        int r;

        if (roots->is_image) {
                if (mode != MODE_PASSTHROUGH)
                        return 0;
                facts->mode = mode;
                return facts->own_ids
                                ? text_copy(facts->own_ids, &facts->ids)
                                : warn(facts, "no ids= for vfio-pci: the files of a machine do not tell its devices");
        }
        r = inventory_init(&inventory, roots);
        if (r < 0)
                return r;
        if (inventory.n_gpus == 0)
                return ids ? 0 : warn(facts, "there is no NVIDIA GPU in this machine");
        r = policy_load(&policy, roots);
        return r < 0 ? r : choose(facts, roots, &policy, &inventory, mode, ids);
}

/*
 * The mode at boot: as asked for, as vfiopt.conf and the state have it, as an earlier set-up or another file of
 * modprobe.d has made it so far, or host.
 */
static int find_mode(SetupFacts *facts, Roots *roots, Mode mode) {
        int r;

        facts->mode = mode;
        if (mode != MODE_UNSET) {
                r = text_copy("as asked for", &facts->mode_why);
                return r < 0 ? r : look_at_gpus(facts, roots, mode, NULL);
        }
        r = look_at_gpus(facts, roots, MODE_UNSET, NULL);
        if (r < 0)
                return r;
        if (facts->mode == MODE_PASSTHROUGH)
                return text_copy(VFIOPT_ETC_CONFIG ", or what is remembered", &facts->mode_why);
        for (unsigned int i = 0; i < 2; ++i) {
                const char *ids = i == 0 ? facts->own_ids : facts->other_ids;
                const char *where = i == 0 ? facts->own_where : facts->other_ids_where;

                if (!ids)
                        continue;
                r = look_at_gpus(facts, roots, MODE_PASSTHROUGH, ids);
                if (r < 0)
                        return r;
                if (facts->mode != MODE_PASSTHROUGH)
                        continue;
                facts->mode_why = text_format("%s has ids= for vfio-pci", where);
                return facts->mode_why ? 0 : -ENOMEM;
        }
        facts->mode = MODE_HOST;
        return text_copy("nothing says otherwise", &facts->mode_why);
}

/* the kernel's command line */

/* A driver that is built in has its ids= there. The backup may be root's alone. Return: 0, or negative. */
static int find_own_word(SetupFacts *facts) {
        _cleanup_(backup_deinit) Backup last = BACKUP_NULL;
        int r;

        r = backup_find_last(&last, facts->root_fd);
        if (r)
                return r < 0 && r != -EACCES ? r : 0;
        for (size_t i = 0; r >= 0 && last.state == BACKUP_DONE && i < last.n_words; ++i) {
                const char *ids;

                if (!text_starts_with(last.words[i], IDS_WORD, &ids) || facts->unwanted)
                        continue;
                r = text_copy(last.words[i], &facts->unwanted);
                if (r < 0 || facts->own_ids)
                        continue;
                r = text_copy(ids, &facts->own_ids);
                if (r >= 0)
                        r = text_copy("the last set-up", &facts->own_where);
        }
        return r;
}

/* Each is ignored on a machine of the other kind. */
static int find_words(SetupFacts *facts, const Roots *roots) {
        _cleanup_(freep) char *cpuinfo = NULL;
        bool is_intel = true, is_amd = true;
        int r;

        if (roots->proc_fd >= 0) {
                r = file_read(roots->proc_fd, "cpuinfo", CPUINFO_SIZE, &cpuinfo, NULL);
                if (r < 0)
                        return r;
        }
        if (cpuinfo && strstr(cpuinfo, "GenuineIntel"))
                is_amd = false;
        else if (cpuinfo && (strstr(cpuinfo, "AuthenticAMD") || strstr(cpuinfo, "HygonGenuine")))
                is_intel = false;
        r = is_intel ? strv_push(&facts->words, &facts->n_words, "intel_iommu=on") : 0;
        if (r >= 0 && is_amd)
                r = strv_push(&facts->words, &facts->n_words, "amd_iommu=on");
        if (r >= 0)
                r = strv_push(&facts->words, &facts->n_words, "iommu=pt");
        if (r >= 0 && facts->vfio_is_built_in && facts->ids) {
                _cleanup_(freep) char *word = text_format(IDS_WORD "%s", facts->ids);

                r = word ? strv_push(&facts->words, &facts->n_words, word) : -ENOMEM;
                if (word && text_equal(word, facts->unwanted)) {
                        free(facts->unwanted);
                        facts->unwanted = NULL;
                }
        }
        return r;
}

/* Below another directory /proc is that of the system which has it mounted. */
static int find_booted(SetupFacts *facts, const Roots *roots) {
        int r;

        if (!roots->is_real || roots->proc_fd < 0)
                return 0;
        r = file_read(roots->proc_fd, "cmdline", CMDLINE_SIZE, &facts->booted, NULL);
        return r < 0 ? r : 0;
}

static int take_loader_type(void *userdata,
                const char *path _unused_,
                unsigned int number _unused_,
                char *line) {
        SetupFacts *facts = userdata;
        const char *value;

        if (!text_starts_with(line, "LOADER_TYPE=", &value))
                return 0;
        value += value[0] == '"' || value[0] == '\'';
        free(facts->loader_type);
        facts->loader_type = strndup(value, strcspn(value, "\"' \t"));
        return facts->loader_type ? 0 : -ENOMEM;
}

/**
 * setup_facts_look() - what a machine is like
 * @facts:      setup_facts_deinit() it, whatever is returned
 * @roots:      maybe of an image
 * @mode:       asked for, or MODE_UNSET
 *
 * Return: 0, or a negative error code.
 */
int setup_facts_look(SetupFacts *facts, Roots *roots, Mode mode) {
        int r;

        *facts = (SetupFacts) SETUP_FACTS_NULL;
        facts->root_fd = roots->root_fd;
        facts->is_asked = mode != MODE_UNSET;
        r = look_at_kernels(facts);
        if (r >= 0)
                r = modprobe_facts_look(facts);
        if (r >= 0)
                r = find_own_word(facts);
        if (r >= 0)
                r = find_mode(facts, roots, mode);
        if (r >= 0)
                r = find_words(facts, roots);
        if (r >= 0)
                r = find_booted(facts, roots);
        return r < 0 ? r
                     : conf_read_file(facts->root_fd, "etc/sysconfig/bootloader", take_loader_type,
                                       facts);
}
