/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI Addresses
 *
 * domain:bus:slot.function, as the kernel writes it in sysfs.
 */

#include "base/codec.h"

/* Functions of one slot, a bit for each number. */
typedef uint8_t FunctionSet;

#define FUNCTION_SET_ALL 0xffU

typedef struct Address {
        uint32_t domain;
        uint8_t bus;
        uint8_t slot;     /* 0 to 31 */
        uint8_t function; /* 0 to 7 */
} Address;

/* "ffffffff:ff:1f.7" and a zero; domains beyond 16 bits exist (VMD) */
#define ADDRESS_STRING_MAX 17

/* text */

int address_parse(const char *s, Address *ret) _warn_unused_result_;
int address_parse_loose(const char *s, Address *ret, bool *ret_has_function) _warn_unused_result_;
const char *address_format(Address address, char buffer[static ADDRESS_STRING_MAX]);

extern const CodecWord address_word;

/* order */

int address_compare(Address a, Address b);
bool address_same_slot(Address a, Address b);
Address address_of_function(Address address, uint8_t function);
