/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Virtio-Serial Port
 */

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

typedef struct Port Port;

/* Called for each whole frame. A negative return value ends port_read(). */
typedef int (*PortFrameFn)(void *userdata, const FrameHeader *header, const uint8_t *payload);

int port_new(int fd, Port **ret_port);
int port_find(void);
Port *port_free(Port *port);

int port_get_fd(const Port *port);
size_t port_get_queued(const Port *port);

int port_read(Port *port, PortFrameFn fn, void *userdata);
int port_send(Port *port, uint32_t type, uint32_t job, const void *payload, size_t size);
int port_flush(Port *port);
