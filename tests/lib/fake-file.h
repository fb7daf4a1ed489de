/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of a Fake Tree
 *
 * Whatever goes wrong in here is the test machine's fault, not that of the code
 * under test: it ends the process with a message. @root is an absolute path,
 * all others are relative to it.
 */

#include "base/macro.h"

/* Room for any path below a fake root, the root included. */
#define FAKE_PATH_MAX 512

void fake_write(const char *root, const char *path, const char *format, ...) _printf_(3, 4);
void fake_write_bytes(const char *root, const char *path, const void *data, size_t n);
bool fake_read(const char *root, const char *path, char *buffer, size_t n);
void fake_make_dir(const char *root, const char *path);
void fake_link(const char *root, const char *target, const char *path);
void fake_remove(const char *root, const char *path);
bool fake_exists(const char *root, const char *path);
bool fake_is_locked(const char *root, const char *path);

/* Run @fn for each name in a directory, sorted; none if there is no such directory. */
typedef void (*FakeEachFn)(void *userdata, const char *name);
void fake_each(const char *root, const char *path, FakeEachFn fn, void *userdata);

/* "a/b/c" from a format, in @buffer */
const char *fake_path(char buffer[static FAKE_PATH_MAX], const char *format, ...) _printf_(2, 3);

_noreturn_ void fake_fail(const char *what, const char *path);
