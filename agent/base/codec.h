/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Codec
 *
 * A struct as a JSON object in a file, by a table with one row per member. Parsing is strict:
 * a member of another type, out of range or missing makes the whole invalid, unless its row
 * is optional. Members without a row are ignored.
 */

#include "base/json.h"

/* A type that is a string in JSON, with a parser and a formatter of its own. */
typedef struct CodecWord {
        int (*parse)(const char *s, void *ret); /* 0, or negative if it is no such word */
        void (*format)(const void *value, char *buffer, size_t n);
} CodecWord;

typedef struct Codec Codec;

typedef enum CodecKind {
        CODEC_TEXT,   /* char *, owned; null where it is NULL */
        CODEC_WORD,   /* by .word */
        CODEC_UINT,   /* unsigned, or never negative, of .size bytes; at most .max */
        CODEC_OBJECT, /* a struct by .members */
        CODEC_ARRAY, /* structs by .members; room for .max in place, or .max 0 and a pointer to them */
} CodecKind;

typedef struct CodecRow {
        const char *name;
        CodecKind kind;
        size_t offset;
        size_t size;
        uint64_t max;
        const CodecWord *word;
        const Codec *members;
        size_t extra;  /* of CODEC_ARRAY: offset of its size_t count; of an optional object: of a
                        * bool that tells whether it is there */
        bool optional; /* left out where it is zero, empty or not there; never there and empty */
} CodecRow;

struct Codec {
        size_t size; /* of the struct */
        size_t n_rows;
        const CodecRow *rows;
};

#define CODEC(type, table) \
        { .size = sizeof(type), .n_rows = ARRAY_SIZE(table), .rows = (table) }

/* What all rows begin with: the name in JSON, and where the member is. */
#define CODEC_MEMBER(type, member) \
        .offset = offsetof(type, member), .size = sizeof(((type *) NULL)->member)

enum {
        _CODEC_E_SUCCESS,

        CODEC_E_MISSING, /* there is no such file */
        CODEC_E_INVALID, /* it is damaged, or of another version */
};

void codec_deinit(const Codec *codec, void *object);
int codec_load(const Codec *codec, int dir_fd, const char *path, uint64_t version, void *object)
                _warn_unused_result_;
int codec_save(const Codec *codec,
                int dir_fd,
                const char *name,
                uint64_t version,
                const void *object,
                bool durable) _warn_unused_result_;
