/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI Addresses, and Locations
 *
 * An address is domain:bus:slot.function, as the kernel writes it in sysfs. Numbers of buses change
 * when a device is added before one. What stays is the location: the root bus, and slot and
 * function of each bridge on the way down and of the device itself, which are wired (KERNEL.md 11.1).
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

/* The longest chain of Thunderbolt has less. */
#define LOCATION_HOPS_MAX 20U

typedef struct Location {
        uint32_t domain;
        uint8_t bus;                     /* of the root */
        uint8_t n_hops;                  /* 0: the location is not known */
        uint8_t hops[LOCATION_HOPS_MAX]; /* slot << 3 | function, the device itself last */
} Location;

/* "ffffffff:ff", "/1f.7" for each hop, and a zero */
#define LOCATION_STRING_MAX (11 + 5 * LOCATION_HOPS_MAX + 1)

int location_parse(const char *s, Location *ret) _warn_unused_result_;
int location_of_link(const char *target, Location *ret) _warn_unused_result_;
const char *location_format(const Location *location, char buffer[static LOCATION_STRING_MAX]);
bool location_equal(const Location *a, const Location *b);

extern const CodecWord address_word, location_word;

/* order */

int address_compare(Address a, Address b);
bool address_same_slot(Address a, Address b);
Address address_of_function(Address address, uint8_t function);
