/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Byte Queue
 *
 * Bytes are appended at the end and consumed at the front. Used for both
 * directions of the port and for the input of jobs.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct Buffer {
        uint8_t *data;
        size_t start;
        size_t end;
        size_t allocated;
} Buffer;

static inline size_t buffer_get_size(const Buffer *buffer) {
        return buffer->end - buffer->start;
}

static inline const uint8_t *buffer_get_data(const Buffer *buffer) {
        return buffer->data + buffer->start;
}

static inline void buffer_deinit(Buffer *buffer) {
        free(buffer->data);
        *buffer = (Buffer){};
}

/* Make room for @size more bytes, moving what is there to the front first. */
static inline int buffer_reserve(Buffer *buffer, size_t size) {
        size_t used = buffer_get_size(buffer);
        uint8_t *data;

        if (buffer->allocated - buffer->end >= size)
                return 0;

        if (buffer->start > 0) {
                memmove(buffer->data, buffer->data + buffer->start, used);
                buffer->start = 0;
                buffer->end = used;
        }
        if (buffer->allocated - used >= size)
                return 0;

        data = realloc(buffer->data, 2 * (used + size));
        if (!data)
                return -ENOMEM;

        buffer->data = data;
        buffer->allocated = 2 * (used + size);
        return 0;
}

static inline int buffer_append(Buffer *buffer, const void *data, size_t size) {
        int r;

        if (size == 0)
                return 0;

        r = buffer_reserve(buffer, size);
        if (r < 0)
                return r;

        memcpy(buffer->data + buffer->end, data, size);
        buffer->end += size;
        return 0;
}

static inline void buffer_consume(Buffer *buffer, size_t size) {
        buffer->start += size;
        if (buffer->start == buffer->end)
                buffer->start = buffer->end = 0;
}
