/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fuzzing
 *
 * A target takes any bytes, hands them to a parser as a file or as words, and ends the process
 * where something does not hold that should hold of all input. libFuzzer calls it where the
 * fuzzers are built (-Dfuzzing=true), and replay.c everywhere else, with its corpus alone.
 *
 * An input of several parts has form feeds between them, so that its corpus can be read.
 */

#include <stdarg.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "lib/fake-tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define fuzz_check(condition) ((condition) ? (void) 0 : fuzz_fail(__FILE__, __LINE__, #condition))

_noreturn_ static inline void fuzz_fail(const char *file, int line, const char *what) {
        dprintf(STDERR_FILENO, "%s:%d: does not hold: %s\n", file, line, what);
        abort();
}

/* parts of an input */

typedef struct FuzzInput {
        const uint8_t *data; /* what is left; NULL: there was no form feed after the last part */
        size_t n;
} FuzzInput;

/* The next part; NULL if there is none. */
static inline const uint8_t *fuzz_next(FuzzInput *input, size_t *ret_n) {
        const uint8_t *part = input->data, *end;

        if (!part)
                return NULL;
        end = input->n > 0 ? memchr(part, '\f', input->n) : NULL;
        *ret_n = end ? (size_t) (end - part) : input->n;
        input->data = end ? end + 1 : NULL;
        input->n -= end ? *ret_n + 1 : input->n;
        return part;
}

/* Bytes as a string, up to a zero; of just its size, so that a read beyond its end is seen. */
static inline char *fuzz_string(const uint8_t *data, size_t n) {
        char *s = strndup((const char *) data, n);

        fuzz_check(s);
        return s;
}

/* The next part as a string; NULL if there is none. free() it */
static inline char *fuzz_next_string(FuzzInput *input) {
        size_t n;
        const uint8_t *part = fuzz_next(input, &n);

        return part ? fuzz_string(part, n) : NULL;
}

/* a machine for all calls */

/* An empty one at the first call. It is removed by who calls the target. */
static inline FakeTree *fuzz_tree(void) {
        return fake_tree_newest() ?: fake_tree_new();
}

/* The same with the drivers of a PC, made at the first call; and whether this was that. */
static inline bool fuzz_machine(FakeTree **ret) {
        static FakeTree *tree;
        const bool is_first = !tree;

        if (is_first) {
                tree = fuzz_tree();
                fake_standard_drivers(tree);
        }
        *ret = tree;
        return is_first;
}

/* Make a file of the next part of an input. Return: false if there is none; then there is no file. */
static inline bool fuzz_write(FakeTree *tree, const char *path, FuzzInput *input) {
        size_t n;
        const uint8_t *part = fuzz_next(input, &n);

        if (part)
                fake_write_bytes(tree->root, path, part, n);
        else
                fake_remove(tree->root, path);
        return part != NULL;
}

/* The content of a file that must be there. */
static inline char *fuzz_read(int dir_fd, const char *path) {
        char *data = NULL;

        fuzz_check(file_read(dir_fd, path, 1U << 20, &data, NULL) == 0);
        return data;
}
