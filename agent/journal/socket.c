/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "journal/socket.h"

#define SOCKET_PATH "/run/systemd/journal/socket"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* name, "=" or "\n", size, value, "\n" */
#define PARTS_MAX (5 * JOURNAL_FIELDS_MAX)

/* A record as the parts that it is sent in; they point into the fields. */
typedef struct Parts {
        struct iovec items[PARTS_MAX];
        size_t n;
        size_t n_bytes;
        uint64_t sizes[JOURNAL_FIELDS_MAX]; /* little-endian, of values of several lines */
} Parts;

void journal_socket_deinit(JournalSocket *journal) {
        closep(&journal->fd);
        *journal = (JournalSocket) JOURNAL_SOCKET_NULL;
}

static int open_socket(int *ret_fd) {
        const struct timeval limit = { .tv_usec = JOURNAL_LIMIT_USEC };
        _cleanup_(closep) int fd = -1;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static void add(Parts *parts, const void *data, size_t n) {
        parts->items[parts->n++] = (struct iovec){ .iov_base = (void *) data, .iov_len = n };
        parts->n_bytes += n;
}

static void add_field(Parts *parts, const JournalField *field, uint64_t *size) {
        size_t n = strlen(field->value);

        add(parts, field->name, strlen(field->name));
        if (strchr(field->value, '\n')) {
                *size = htole64(n);
                add(parts, "\n", 1);
                add(parts, size, sizeof(*size));
        } else {
                add(parts, "=", 1);
        }
        add(parts, field->value, n);
        add(parts, "\n", 1);
}

/* Return: 0 on success, -EAGAIN if the journal makes no room, or another negative error code. */
static int send_message(const JournalSocket *journal, struct msghdr *message) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
        int flags = MSG_NOSIGNAL | (journal->n_lost > 0 ? MSG_DONTWAIT : 0);

        message->msg_name = &address;
        message->msg_namelen = sizeof(address);
        if (sendmsg(journal->fd, message, flags) >= 0)
                return 0;
        /* A second wait would be a longer one. */
        if (errno == EINTR && sendmsg(journal->fd, message, flags | MSG_DONTWAIT) >= 0)
                return 0;
        return -errno;
}

/* What is too large for a datagram is sent as a file in memory, sealed so that the journal believes it. */
static int send_file(const JournalSocket *journal, const Parts *parts) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
        _cleanup_(closep) int fd = -1;
        struct cmsghdr *header;
        ssize_t k;

        fd = memfd_create("journal-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        k = writev(fd, parts->items, (int) parts->n);
        if (k < 0)
                return -errno;
        if ((size_t) k != parts->n_bytes)
                return -EIO;
        if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;

        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
        return send_message(journal, &message);
}

/**
 * journal_socket_send() - send a record
 * @journal:    socket of this process, which is opened by the first one
 * @fields:     up to JOURNAL_FIELDS_MAX
 *
 * Waits for JOURNAL_LIMIT_USEC at most, and not at all after a record that was lost. Is no error
 * where there is no journal.
 *
 * Return: 0 on success, JOURNAL_SOCKET_E_LOST, or a negative error code.
 */
int journal_socket_send(JournalSocket *journal, const JournalField *fields, size_t n) {
        struct msghdr message = {};
        Parts parts = {};
        int r = 0;

        if (n > JOURNAL_FIELDS_MAX)
                return -E2BIG;
        if (journal->fd < 0)
                r = open_socket(&journal->fd);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; ++i)
                if (fields[i].value)
                        add_field(&parts, &fields[i], &parts.sizes[i]);
        message.msg_iov = parts.items;
        message.msg_iovlen = parts.n;
        r = send_message(journal, &message);
        if (r == -EMSGSIZE || r == -ENOBUFS)
                r = send_file(journal, &parts);
        if (r == -EAGAIN) {
                ++journal->n_lost;
                return JOURNAL_SOCKET_E_LOST;
        }
        if (r == -ENOENT)
                r = 0;
        if (r == 0)
                journal->n_lost = 0;
        return r;
}
