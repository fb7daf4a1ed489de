/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/codec.h"
#include "base/file.h"

#define CODEC_FILE_MAX (1024U * 1024U)

/* The longest word, with its zero. */
#define CODEC_WORD_MAX 128

static void *member_of(const CodecRow *row, void *object) {
        return (char *) object + row->offset;
}

static const void *const_member_of(const CodecRow *row, const void *object) {
        return (const char *) object + row->offset;
}

static size_t *count_of(const CodecRow *row, void *object) {
        return (size_t *) ((char *) object + row->extra);
}

/* The first item of an array, in place or behind a pointer. */
static char *items_of(const CodecRow *row, void *object) {
        return row->max > 0 ? member_of(row, object) : *(char **) member_of(row, object);
}

/**
 * codec_deinit() - free everything that an object owns
 * @codec:      its type
 * @object:     all zero, or filled in, also half-way; it is all zero afterwards
 */
void codec_deinit(const Codec *codec, void *object) {
        for (size_t i = 0; i < codec->n_rows; ++i) {
                const CodecRow *row = &codec->rows[i];

                if (row->kind == CODEC_TEXT)
                        free(*(char **) member_of(row, object));
                if (row->kind == CODEC_OBJECT)
                        codec_deinit(row->members, member_of(row, object));
                if (row->kind == CODEC_ARRAY) {
                        const size_t n = *count_of(row, object);

                        for (size_t k = 0; k < n; ++k)
                                codec_deinit(row->members,
                                                items_of(row, object) + k * row->members->size);
                        if (row->max == 0)
                                free(items_of(row, object));
                }
        }
        memset(object, 0, codec->size);
}

/* numbers */

static uint64_t uint_read(const void *member, size_t size) {
        switch (size) {
        case 1:
                return *(const uint8_t *) member;
        case 2:
                return *(const uint16_t *) member;
        case 4:
                return *(const uint32_t *) member;
        default:
                return *(const uint64_t *) member;
        }
}

static void uint_write(void *member, size_t size, uint64_t value) {
        switch (size) {
        case 1:
                *(uint8_t *) member = (uint8_t) value;
                break;
        case 2:
                *(uint16_t *) member = (uint16_t) value;
                break;
        case 4:
                *(uint32_t *) member = (uint32_t) value;
                break;
        default:
                *(uint64_t *) member = value;
                break;
        }
}

/* parsing */

static int parse_object(const Codec *codec, const Json *json, void *object);

static int parse_text(const CodecRow *row, const Json *json, void *object) {
        const char *s;
        char *copy;
        int r;

        r = json_get_string(json, row->name, &s);
        if (r)
                return r == JSON_E_MISSING ? 0 : r;
        copy = strdup(s);
        if (!copy)
                return -ENOMEM;

        *(char **) member_of(row, object) = copy;
        return 0;
}

static int parse_word(const CodecRow *row, const Json *json, void *object) {
        const char *s;
        int r;

        r = json_get_string(json, row->name, &s);
        if (r)
                return r;
        r = row->word->parse(s, member_of(row, object));
        return r == -ENOMEM ? r : r < 0 ? JSON_E_INVALID : 0;
}

static int parse_uint(const CodecRow *row, const Json *json, void *object) {
        uint64_t value;
        int r;

        r = json_get_uint(json, row->name, row->max, &value);
        if (r == 0)
                uint_write(member_of(row, object), row->size, value);
        return r;
}

static int parse_member_object(const CodecRow *row, const Json *json, void *object) {
        Json *value;
        int r;

        r = json_get_object(json, row->name, &value);
        if (r)
                return r;
        if (row->optional)
                *((bool *) object + row->extra) = true;
        return parse_object(row->members, value, member_of(row, object));
}

static int parse_array(const CodecRow *row, const Json *json, void *object) {
        size_t *n = count_of(row, object), length;
        Json *array;
        char *items;
        int r;

        r = json_get_array(json, row->name, &array);
        if (r)
                return r;
        length = json_length(array);
        if ((row->max > 0 && length > row->max) || (row->optional && length == 0))
                return JSON_E_INVALID;
        if (row->max == 0) {
                items = calloc(length ?: 1, row->members->size);
                if (!items)
                        return -ENOMEM;
                *(char **) member_of(row, object) = items;
        }

        for (size_t i = 0; i < length; ++i) {
                r = parse_object(row->members, json_at(array, i),
                                items_of(row, object) + (*n)++ * row->members->size);
                if (r)
                        return r;
        }
        return 0;
}

/* Return: 0, JSON_E_INVALID, or -ENOMEM. @object is filled in half-way then. */
static int parse_object(const Codec *codec, const Json *json, void *object) {
        static int (*const parsers[])(const CodecRow *row, const Json *json, void *object) = {
                [CODEC_TEXT] = parse_text,
                [CODEC_WORD] = parse_word,
                [CODEC_UINT] = parse_uint,
                [CODEC_OBJECT] = parse_member_object,
                [CODEC_ARRAY] = parse_array,
        };

        for (size_t i = 0; i < codec->n_rows; ++i) {
                const CodecRow *row = &codec->rows[i];
                int r;

                r = parsers[row->kind](row, json, object);
                if (r == JSON_E_MISSING)
                        r = row->optional ? 0 : JSON_E_INVALID;
                if (r)
                        return r;
        }
        return 0;
}

/* formatting */

static int format_object(const Codec *codec, const void *object, Json **ret);

static int format_array(const CodecRow *row, const void *object, Json *json) {
        const size_t n = *count_of(row, (void *) object);
        _cleanup_(json_freep) Json *array = NULL;
        int r;

        if (n == 0 && row->optional)
                return 0;
        array = json_new_array();
        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i) {
                Json *item;

                r = format_object(row->members,
                                items_of(row, (void *) object) + i * row->members->size, &item);
                if (r >= 0)
                        r = json_push(array, item);
                if (r < 0)
                        return r;
        }
        return json_add(json, row->name, TAKE_PTR(array));
}

static int format_member(const CodecRow *row, const void *object, Json *json) {
        const void *member = const_member_of(row, object);
        char word[CODEC_WORD_MAX];
        uint64_t value;
        Json *child;
        int r;

        switch (row->kind) {
        case CODEC_TEXT:
                if (row->optional && !*(char *const *) member)
                        return 0;
                return json_add_string(json, row->name, *(char *const *) member);
        case CODEC_WORD:
                row->word->format(member, word, sizeof(word));
                return row->optional && !word[0] ? 0 : json_add_string(json, row->name, word);
        case CODEC_UINT:
                value = uint_read(member, row->size);
                return row->optional && value == 0 ? 0 : json_add_uint(json, row->name, value);
        case CODEC_OBJECT:
                if (row->optional && !*((const bool *) object + row->extra))
                        return 0;
                r = format_object(row->members, member, &child);
                return r < 0 ? r : json_add(json, row->name, child);
        case CODEC_ARRAY:
                return format_array(row, object, json);
        }
        return -EINVAL;
}

static int format_object(const Codec *codec, const void *object, Json **ret) {
        _cleanup_(json_freep) Json *json = json_new_object();
        int r;

        if (!json)
                return -ENOMEM;
        for (size_t i = 0; i < codec->n_rows; ++i) {
                r = format_member(&codec->rows[i], object, json);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(json);
        return 0;
}

/* files */

/**
 * codec_load() - read an object from a file
 * @codec:      its type
 * @dir_fd:     directory that @path is relative to
 * @path:       file
 * @version:    that it must have
 * @object:     all zero; codec_deinit() it if this succeeds, it is all zero if not
 *
 * Return: 0 on success, CODEC_E_MISSING if there is no such file, CODEC_E_INVALID if it is not
 *         understood whole, negative error code on failure.
 */
int codec_load(const Codec *codec, int dir_fd, const char *path, uint64_t version, void *object) {
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_(freep) char *data = NULL;
        uint64_t found;
        size_t n;
        int r;

        r = file_read(dir_fd, path, CODEC_FILE_MAX, &data, &n);
        if (r == -E2BIG)
                return CODEC_E_INVALID;
        if (r)
                return r == FILE_E_MISSING ? CODEC_E_MISSING : r;
        if (strlen(data) != n)
                return CODEC_E_INVALID;

        r = json_parse(data, &json);
        if (r)
                return r < 0 ? r : CODEC_E_INVALID;
        if (json_get_uint(json, "version", UINT32_MAX, &found) || found != version)
                return CODEC_E_INVALID;

        r = parse_object(codec, json, object);
        if (r)
                codec_deinit(codec, object);
        return r > 0 ? CODEC_E_INVALID : r;
}

/**
 * codec_save() - replace a file by an object
 * @codec:      its type
 * @dir_fd:     directory
 * @name:       name in it
 * @version:    to write
 * @object:     what
 * @durable:    whether it must be on disk on return
 *
 * Return: 0 on success, negative error code on failure; the old file is then unchanged.
 */
int codec_save(const Codec *codec,
                int dir_fd,
                const char *name,
                uint64_t version,
                const void *object,
                bool durable) {
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_(freep) char *data = NULL;
        int r;

        r = format_object(codec, object, &json);
        if (r >= 0)
                r = json_add_uint(json, "version", version);
        if (r >= 0)
                r = json_format(json, true, &data);
        return r < 0 ? r : file_replace(dir_fd, name, 0644, data, durable);
}
