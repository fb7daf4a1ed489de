/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Helpers of the Guest Programs
 *
 * These programs are the other people on the machine: who holds a device, who
 * takes it at the wrong moment, who has thirty thousand files open. They share
 * nothing with what they test, do one thing, say so on stdout in one line that
 * a test can wait for, and fail loudly.
 */

#include <stddef.h>

#define _noreturn_     __attribute__((__noreturn__))
#define _printf_(a, b) __attribute__((__format__(__printf__, a, b)))

/* Prints "PROGRAM: …" and exits with 1. */
_noreturn_ void die(const char *format, ...) _printf_(1, 2);

/* Prints a line on stdout so that it arrives at once. */
void say(const char *format, ...) _printf_(1, 2);

/* Returns when stdin ends: at once with /dev/null, with /dev/zero never. */
void wait_for_end(void);

/* One unbuffered write. Returns 0 or a negative errno. */
int write_file(const char *path, const char *text);

/* The last component of the target of a link. Exits if there is none. */
void link_name(const char *path, char *name, size_t n_name);
