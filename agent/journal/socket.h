/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Journal's Socket
 *
 * Records in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). The library's
 * sender waits without limit for a journal that does not read, which any user can bring about; a GPU
 * half-way cannot wait for that. Here a record waits for a moment, is dropped if that was not
 * enough, and the next ones do not wait at all until one goes through, which tells how many are lost.
 */

#include "base/macro.h"

typedef struct JournalSocket {
        int fd;          /* -1 until the first record */
        uint64_t n_lost; /* since the last record that went through */
} JournalSocket;

#define JOURNAL_SOCKET_NULL \
        { .fd = -1 }

typedef struct JournalField {
        const char *name;
        const char *value; /* NULL leaves it out */
} JournalField;

#define JOURNAL_FIELDS_MAX 32U

/* How long the journal may take to make room for one record. */
#define JOURNAL_LIMIT_USEC (100 * USEC_PER_MSEC)

enum {
        _JOURNAL_SOCKET_E_SUCCESS,

        JOURNAL_SOCKET_E_LOST, /* the journal does not read, and the record was dropped */
};

void journal_socket_deinit(JournalSocket *journal);
int journal_socket_send(JournalSocket *journal, const JournalField *fields, size_t n)
                _warn_unused_result_;
