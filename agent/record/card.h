/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cards
 *
 * Which functions a card has: enough to know, while it is not there, what the kernel will
 * say of each when it is plugged in.
 */

#include "base/json.h"
#include "model/gpu.h"

#define CARD_FUNCTIONS_MAX 8U

typedef struct CardFunction {
        uint8_t number; /* 0 to 7 */
        Identity identity;
        uint32_t class; /* 24 bits */
} CardFunction;

typedef struct Card {
        CardFunction functions[CARD_FUNCTIONS_MAX]; /* by number, ascending; [0] is function 0 */
        size_t n_functions;                         /* 0: not known */
} Card;

#define CARD_NULL \
        {}

enum {
        _CARD_E_SUCCESS,

        CARD_E_INVALID, /* no list of functions, or not one of this card's */
};

/* GPUs */

Card card_of_gpu(const Gpu *gpu);
int card_to_gpu(const Card *card, Address address, Gpu *ret) _warn_unused_result_;
bool card_equal(const Card *a, const Card *b);

/* members of a record */

int card_add(Json *object, const Card *card) _warn_unused_result_;
int card_get(const Json *object, Identity identity, Card *ret) _warn_unused_result_;
