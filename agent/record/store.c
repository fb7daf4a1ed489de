/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Records per GPU
 *
 * These files live in memory and are read by the next process that takes the
 * GPU's lock, perhaps after its predecessor was killed. A rename makes each whole
 * or absent; nothing of them outlives the boot, so nothing is synced.
 */

#include <string.h>

#include "base/file.h"
#include "record/store.h"

#define STORE_VERSION  1U
#define STORE_SIZE_MAX (64U * 1024U)

/* "0000:01:00.0.json" */
#define STORE_NAME_MAX (ADDRESS_STRING_MAX + 5)

static const char *store_name(Address gpu, char buffer[static STORE_NAME_MAX]) {
        char address[ADDRESS_STRING_MAX];

        snprintf(buffer, STORE_NAME_MAX, "%s.json",
                        address_format(address_of_function(gpu, 0), address));
        return buffer;
}

/**
 * store_load() - read the record of a GPU
 * @run_fd:     our directory in /run, or -1 if there is none (yet)
 * @folder:     which kind of record
 * @gpu:        whose
 * @ret:        the record; json_free() it
 *
 * Return: 0 on success, STORE_E_MISSING or STORE_E_INVALID, negative error code
 *         on failure.
 */
int store_load(int run_fd, const char *folder, Address gpu, Json **ret) {
        _cleanup_(json_freep) Json *record = NULL;
        _cleanup_(freep) char *data = NULL;
        char name[STORE_NAME_MAX], path[64];
        uint64_t version;
        size_t n;
        int r;

        if (run_fd < 0)
                return STORE_E_MISSING;

        snprintf(path, sizeof(path), "%s/%s", folder, store_name(gpu, name));
        r = file_read(run_fd, path, STORE_SIZE_MAX, &data, &n);
        if (r == -E2BIG)
                return STORE_E_INVALID;
        if (r)
                return r == FILE_E_MISSING ? STORE_E_MISSING : r;
        if (strlen(data) != n)
                return STORE_E_INVALID;

        r = json_parse(data, &record);
        if (r)
                return r == JSON_E_INVALID ? STORE_E_INVALID : r;
        if (json_get_uint(record, "version", UINT32_MAX, &version) || version != STORE_VERSION)
                return STORE_E_INVALID;

        *ret = TAKE_PTR(record);
        return 0;
}

/**
 * store_save() - write the record of a GPU
 * @run_fd:     our directory in /run
 * @folder:     which kind of record; made if it is not there
 * @gpu:        whose
 * @record:     what; gets a version
 *
 * Return: 0 on success, negative error code on failure; the old one is then unchanged.
 */
int store_save(int run_fd, const char *folder, Address gpu, Json *record) {
        _cleanup_(freep) char *data = NULL;
        _cleanup_(closep) int dir_fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        r = json_add_uint(record, "version", STORE_VERSION);
        if (r < 0)
                return r;
        r = json_format(record, true, &data);
        if (r < 0)
                return r;
        r = file_make_dir(run_fd, folder, 0755, &dir_fd);
        if (r < 0)
                return r;
        return file_replace(dir_fd, store_name(gpu, name), 0644, data, false);
}

/* Remove a record. Return: 0, STORE_E_MISSING if there was none, or a negative error code. */
int store_remove(int run_fd, const char *folder, Address gpu) {
        _cleanup_(closep) int dir_fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        r = file_open_dir(run_fd, folder, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? STORE_E_MISSING : r;

        r = file_remove(dir_fd, store_name(gpu, name));
        return r == FILE_E_MISSING ? STORE_E_MISSING : r;
}

/* Add address and identity of a card. */
int store_add_card(Json *object, Address address, Identity identity) {
        char text[ADDRESS_STRING_MAX], id[IDENTITY_STRING_MAX];
        int r;

        r = json_add_string(object, "address", address_format(address, text));
        if (r >= 0)
                r = json_add_string(object, "id", identity_format_id(identity, id));
        if (r >= 0)
                r = json_add_string(object, "subsystem", identity_format_subsystem(identity, id));
        return r;
}

/* Read them back. Return: 0, or STORE_E_INVALID. */
int store_get_card(const Json *object, Address *ret_address, Identity *ret_identity) {
        const char *address, *id, *subsystem;
        Identity identity;

        if (json_get_string(object, "address", &address) || json_get_string(object, "id", &id) ||
                        json_get_string(object, "subsystem", &subsystem) ||
                        identity_parse(id, subsystem, &identity) < 0 ||
                        address_parse(address, ret_address) < 0)
                return STORE_E_INVALID;

        *ret_identity = identity;
        return 0;
}

/* A copy of a string that may be null: NULL then. Return: 0, STORE_E_INVALID, or -ENOMEM. */
int store_get_text(const Json *object, const char *key, char **ret) {
        const char *s;
        char *copy;
        int r;

        r = json_get_string(object, key, &s);
        if (r == JSON_E_MISSING) {
                *ret = NULL;
                return 0;
        }
        if (r)
                return STORE_E_INVALID;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}
