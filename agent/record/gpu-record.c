/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "record/gpu-record.h"
#include "vfiopt/names.h"

#define FOLDER  VFIOPT_RUN_GPU
#define VERSION 1U

/* "0000:01:00.0-10de-2204-1043-89e5.json" */
#define NAME_MAX_ (ADDRESS_STRING_MAX + 4 * 5 + 5)

static const char *const trigger_names[_TRIGGER_MAX] = {
        [TRIGGER_COMMAND] = "command",
        [TRIGGER_AGENT] = "agent",
        [TRIGGER_BOOT] = "boot",
        [TRIGGER_RECOVERY] = "recovery",
};

const char *trigger_to_string(Trigger trigger) {
        return trigger < _TRIGGER_MAX ? trigger_names[trigger] : "unknown";
}

/* Return: 0 on success, -EINVAL if there is no such trigger. */
int trigger_from_string(const char *s, Trigger *ret) {
        for (Trigger trigger = 0; trigger < _TRIGGER_MAX; ++trigger)
                if (!strcmp(s, trigger_names[trigger])) {
                        *ret = trigger;
                        return 0;
                }
        return -EINVAL;
}

static int parse_trigger(const char *s, void *ret) {
        return trigger_from_string(s, ret);
}

static void format_trigger(const void *value, char *buffer, size_t n) {
        snprintf(buffer, n, "%s", trigger_to_string(*(const Trigger *) value));
}

static const CodecWord trigger_word = { .parse = parse_trigger, .format = format_trigger };

/* the file, row by row */

#define HOST(member) CODEC_MEMBER(HostFunction, member)
#define LATE(member) CODEC_MEMBER(LateWrite, member)
#define MOVE(member) CODEC_MEMBER(MoveRecord, member)
#define GPU(member)  CODEC_MEMBER(GpuRecord, member)

static const CodecRow host_rows[] = {
        { "function", CODEC_UINT, HOST(number), .max = 7 },
        { "driver", CODEC_TEXT, HOST(driver) },
        { "module", CODEC_TEXT, HOST(module), .optional = true },
        { "override", CODEC_TEXT, HOST(override) },
        { "power_control", CODEC_TEXT, HOST(power_control) },
        { "d3cold_allowed", CODEC_TEXT, HOST(d3cold_allowed) },
        { "company", CODEC_TEXT, HOST(company), .optional = true },
};
static const Codec host_codec = CODEC(HostFunction, host_rows);

static const CodecRow late_rows[] = {
        { "function", CODEC_WORD, LATE(function), .word = &address_word },
        { "action", CODEC_TEXT, LATE(action) },
        { "driver", CODEC_TEXT, LATE(driver) },
        { "pid", CODEC_UINT, LATE(writer.pid), .max = INT_MAX },
        { "start", CODEC_UINT, LATE(writer.start), .max = INT64_MAX, .optional = true },
        { "since", CODEC_UINT, LATE(since_usec), .max = INT64_MAX },
};
static const Codec late_codec = CODEC(LateWrite, late_rows);

static const CodecRow move_rows[] = {
        { "from", CODEC_WORD, MOVE(from), .word = &mode_seen_word },
        { "to", CODEC_WORD, MOVE(to), .word = &mode_word },
        { "trigger", CODEC_WORD, MOVE(trigger), .word = &trigger_word },
        { "moved", CODEC_UINT, MOVE(moved), .max = FUNCTION_SET_ALL },
        { "pid", CODEC_UINT, MOVE(mover.pid), .max = INT_MAX, .optional = true },
        { "start", CODEC_UINT, MOVE(mover.start), .max = INT64_MAX, .optional = true },
        { "late", CODEC_OBJECT, MOVE(late), .members = &late_codec,
                        .extra = offsetof(MoveRecord, is_late), .optional = true },
};
static const Codec move_codec = CODEC(MoveRecord, move_rows);

static const CodecRow holder_rows[] = {
        { "pid", CODEC_UINT, CODEC_MEMBER(ProcessId, pid), .max = INT_MAX },
        { "start", CODEC_UINT, CODEC_MEMBER(ProcessId, start), .max = INT64_MAX, .optional = true },
};
static const Codec holder_codec = CODEC(ProcessId, holder_rows);

static const CodecRow refusal_rows[] = {
        { "when", CODEC_UINT, CODEC_MEMBER(Refusal, when_usec), .max = INT64_MAX },
        { "holders", CODEC_ARRAY, CODEC_MEMBER(Refusal, holders), .members = &holder_codec,
                        .max = REFUSAL_PIDS_MAX, .extra = offsetof(Refusal, n_holders) },
};
static const Codec refusal_codec = CODEC(Refusal, refusal_rows);

static const CodecRow gpu_rows[] = {
        { "address", CODEC_WORD, GPU(address), .word = &address_word },
        { "id", CODEC_WORD, GPU(identity.vendor), .word = &identity_word },
        { "subsystem", CODEC_WORD, GPU(identity.subsystem_vendor), .word = &identity_word },
        { "mode", CODEC_WORD, GPU(mode), .word = &mode_word, .optional = true },
        { "host", CODEC_ARRAY, GPU(host), .members = &host_codec, .max = 8,
                        .extra = offsetof(GpuRecord, n_host), .optional = true },
        { "move", CODEC_OBJECT, GPU(move), .members = &move_codec,
                        .extra = offsetof(GpuRecord, has_move), .optional = true },
        { "refused", CODEC_OBJECT, GPU(refusal), .members = &refusal_codec,
                        .extra = offsetof(GpuRecord, has_refusal), .optional = true },
};
static const Codec gpu_codec = CODEC(GpuRecord, gpu_rows);

static const char *record_name(Address address, Identity identity, char buffer[static NAME_MAX_]) {
        char text[ADDRESS_STRING_MAX];

        snprintf(buffer, NAME_MAX_, "%s-%04x-%04x-%04x-%04x.json",
                        address_format(address_of_function(address, 0), text), identity.vendor,
                        identity.device, identity.subsystem_vendor, identity.subsystem_device);
        return buffer;
}

void gpu_record_deinit(GpuRecord *record) {
        codec_deinit(&gpu_codec, record);
}

/**
 * gpu_record_load() - read the record of a card
 * @record:     to initialise; gpu_record_deinit() it, whatever the outcome
 * @run_fd:     our directory in /run, or -1 if there is none (yet)
 * @gpu:        the card; that of another one at its address has another name
 *
 * Return: 0 on success, also if nothing is recorded; GPU_RECORD_E_INVALID if what is there is
 *         not understood, negative error code on failure. @record then says nothing.
 */
int gpu_record_load(GpuRecord *record, int run_fd, const Gpu *gpu) {
        const Identity identity = gpu->functions[0].identity;
        char name[NAME_MAX_], path[NAME_MAX_ + sizeof(FOLDER)];
        int r = CODEC_E_MISSING;

        *record = (GpuRecord) GPU_RECORD_NULL;
        if (run_fd >= 0) {
                snprintf(path, sizeof(path), FOLDER "/%s",
                                record_name(gpu->address, identity, name));
                r = codec_load(&gpu_codec, run_fd, path, VERSION, record);
        }
        /* A copy of another card's file is not this one's. */
        if (r == 0 &&
                        (address_compare(record->address, gpu->address) ||
                                        !identity_equal(record->identity, identity)))
                r = CODEC_E_INVALID;
        if (r != 0) {
                gpu_record_deinit(record);
                record->address = gpu->address;
                record->identity = identity;
        }
        return r == CODEC_E_MISSING ? 0 : r > 0 ? GPU_RECORD_E_INVALID : r;
}

/**
 * gpu_record_save() - replace the record of a card
 * @record:     with address and identity
 *
 * Return: 0 on success, negative error code on failure; the old one is then unchanged.
 */
int gpu_record_save(const GpuRecord *record, int run_fd) {
        _cleanup_(closep) int dir_fd = -1;
        char name[NAME_MAX_];
        int r;

        record_name(record->address, record->identity, name);
        if (record->mode == MODE_UNSET && record->n_host == 0 && !record->has_move &&
                        !record->has_refusal) {
                r = file_open_dir(run_fd, FOLDER, &dir_fd);
                if (r == 0)
                        r = file_remove(dir_fd, name);
                return r == FILE_E_MISSING ? 0 : r;
        }

        r = file_make_dir(run_fd, FOLDER, 0755, &dir_fd);
        return r < 0 ? r : codec_save(&gpu_codec, dir_fd, name, VERSION, record, false);
}

/* the host */

/* An attribute that need not exist. */
static int read_setting(Sysfs *sysfs, Address address, const char *attribute, char **ret) {
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(sysfs, device_path(address, attribute, path), ret);
        return r == SYSFS_E_MISSING ? 0 : r;
}

/* The module of a driver: its name is not the driver's. */
static int note_module(Sysfs *sysfs, const char *driver, char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (!driver)
                return 0;
        path = text_format("bus/pci/drivers/%s/module", driver);
        if (!path)
                return -ENOMEM;
        r = sysfs_link(sysfs, path, ret);
        return r == SYSFS_E_MISSING ? 0 : r;
}

/* What stands on NVIDIA's driver. It goes with the last of its GPUs, if somebody unloads the driver then. */
static int note_company(Sysfs *sysfs, const char *driver, char **ret) {
        static const char *const modules[] = { "nvidia_modeset", "nvidia_drm", "nvidia_uvm" };
        _cleanup_(text_deinit) Text company = TEXT_NULL;

        for (size_t i = 0; driver && !strcmp(driver, "nvidia") && i < ARRAY_SIZE(modules); ++i) {
                _cleanup_(freep) char *path = text_format("module/%s", modules[i]);
                int r;

                if (!path)
                        return -ENOMEM;
                if (!sysfs_exists(sysfs, path))
                        continue;
                r = text_append(&company, "%s%s", company.n > 0 ? " " : "", modules[i]);
                if (r < 0)
                        return r;
        }
        return company.n > 0 ? text_copy(text(&company), ret) : 0;
}

/**
 * gpu_record_note_host() - note how a GPU is set on the host
 * @record:     to change; what it said before of the host is forgotten
 * @overrides:  driver_override of each function, NULL for none
 *
 * Functions that are on vfio are left out: where they were before is not known. So are functions
 * that only their override keeps from the drivers of the host, as udev's rule does to a card that
 * is plugged in: that they have none is no setting of the host's.
 *
 * Return: 0 on success, negative error code on failure; then nothing is known of the host.
 */
int gpu_record_note_host(GpuRecord *record, Sysfs *sysfs, const Gpu *gpu, char *const *overrides) {
        int r;

        gpu_record_forget_host(record);
        for (size_t i = 0; i < gpu->n_functions; ++i) {
                const Device *device = &gpu->functions[i];
                const Address address = device->address;
                HostFunction *host = &record->host[record->n_host];

                if (driver_is_vfio(sysfs, device->driver ?: overrides[i]))
                        continue;
                ++record->n_host;
                host->number = address.function;
                r = text_copy(device->driver, &host->driver);
                if (r >= 0)
                        r = note_module(sysfs, device->driver, &host->module);
                if (r >= 0 && !driver_is_vfio(sysfs, overrides[i]))
                        r = text_copy(overrides[i], &host->override);
                if (r >= 0)
                        r = read_setting(sysfs, address, "power/control", &host->power_control);
                if (r >= 0)
                        r = read_setting(sysfs, address, "d3cold_allowed", &host->d3cold_allowed);
                if (r >= 0 && address.function == 0)
                        r = note_company(sysfs, device->driver, &host->company);
                if (r < 0) {
                        gpu_record_forget_host(record);
                        return r;
                }
        }
        return 0;
}

/* How a function was on the host, or NULL if that is not known. */
const HostFunction *gpu_record_find_host(const GpuRecord *record, Address function) {
        for (size_t i = 0; i < record->n_host; ++i)
                if (record->host[i].number == function.function)
                        return &record->host[i];
        return NULL;
}

/* Forget how functions were on the host. */
void gpu_record_forget_host(GpuRecord *record) {
        for (size_t i = 0; i < record->n_host; ++i)
                codec_deinit(&host_codec, &record->host[i]);
        record->n_host = 0;
}

void gpu_record_forget_move(GpuRecord *record) {
        codec_deinit(&move_codec, &record->move);
        record->has_move = false;
}

/* One holder. A process that is known already, or one too many, is left out. */
void refusal_add(Refusal *refusal, ProcessId process) {
        for (size_t i = 0; i < refusal->n_holders; ++i)
                if (refusal->holders[i].pid == process.pid)
                        return;
        if (process.pid > 0 && refusal->n_holders < REFUSAL_PIDS_MAX)
                refusal->holders[refusal->n_holders++] = process;
}

static int forget_mode_in(int run_fd, const char *name) {
        _cleanup_(gpu_record_deinit) GpuRecord record = GPU_RECORD_NULL;
        _cleanup_(freep) char *path = text_format(FOLDER "/%s", name);
        int r;

        if (!path)
                return -ENOMEM;
        r = codec_load(&gpu_codec, run_fd, path, VERSION, &record);
        if (r != 0 || record.mode == MODE_UNSET)
                return r < 0 ? r : 0;
        record.mode = MODE_UNSET;
        return gpu_record_save(&record, run_fd);
}

/**
 * gpu_record_forget_mode() - forget where the cards of a slot were moved in this boot
 * @slot:       any address in it; also of cards that are not there any more
 *
 * The caller has the lock of the GPU: a move writes its record, and nobody else meanwhile.
 *
 * Return: 0 on success, or the first error, negative; the other records are dealt with.
 */
int gpu_record_forget_mode(int run_fd, Address slot) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        char prefix[ADDRESS_STRING_MAX];
        int r;

        r = file_open_dirp(run_fd, FOLDER, O_NOFOLLOW, &dir);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;

        address_format(address_of_function(slot, 0), prefix);
        while ((entry = readdir(dir)))
                if (text_starts_with(entry->d_name, prefix, NULL))
                        error_gather(&r, forget_mode_in(run_fd, entry->d_name));
        return r;
}

/*
 * Whether a version before this one has left records in this boot. They are not read: how a
 * GPU was on the host is found out anew then, and no GPU is moved on its own (policy/).
 */
bool gpu_record_is_outdated(int run_fd) {
        static const char *const folders[] = { "intent", "pending", "stuck" };

        for (size_t i = 0; run_fd >= 0 && i < ARRAY_SIZE(folders); ++i) {
                _cleanup_(closedirp) DIR *dir = NULL;
                const struct dirent *entry;

                if (file_open_dirp(run_fd, folders[i], O_NOFOLLOW, &dir) != 0)
                        continue;
                while ((entry = readdir(dir)))
                        if (entry->d_name[0] != '.')
                                return true;
        }
        return false;
}
