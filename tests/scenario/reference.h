/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * References
 *
 * One kind of switch on one machine, undisturbed: what everything is compared with
 * when it is disturbed at its k-th write.
 */

#include "harness.h"

typedef struct Reference {
        const Machinery *machinery;
        Mode to;
        char *before;  /* what the machine looks like */
        char *done;    /* after the switch */
        char *settled; /* after a switch to where it is */
        unsigned int n_writes;
        unsigned int n_first; /* writes before the second GPU's, if there is one */
        char *half;           /* when the first GPU is done and the second is not */
        unsigned int n_wrong;
} Reference;

/* Run @fn for each write of each kind of switch on each machine. Return: how many were wrong. */
typedef void (*PointFn)(Reference *reference, unsigned int k);
unsigned int for_each_point(PointFn fn);
unsigned int for_each_point_stride(void);

Mode other_mode(Mode mode);

/* Say that something is wrong at write @k, and count it. */
void wrong(Reference *reference,
                FakeTree *tree,
                unsigned int k,
                const Outcome *outcome,
                const char *what);
void expect(Reference *reference,
                FakeTree *tree,
                unsigned int k,
                const Outcome *outcome,
                const char *snapshot,
                const char *what);
