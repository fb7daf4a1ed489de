/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Vfio-User Connection
 *
 * Takes one request from QEMU and answers it. QEMU's side is the client: it
 * asks what the device is, maps its BARs, forwards the accesses that are not
 * mapped, and lends the guest's memory and the eventfds of the interrupts. File
 * descriptors come and go beside the message.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "dma.h"
#include "vfio-user.h"

typedef struct Request {
        int socket;
        VfioUserHeader header;
        /* aligned for the structures that lie at its start */
        _Alignas(8) uint8_t data[sizeof(VfioUserRegion) + VFIO_USER_DATA_MAX];
        size_t size;
        int fds[VFIO_USER_FDS_MAX];
        size_t n_fds;
} Request;

static int receive_rest(int fd, uint8_t *data, size_t size) {
        ssize_t n;

        while (size > 0) {
                n = recv(fd, data, size, MSG_WAITALL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;
                data += n;
                size -= n;
        }
        return 0;
}

static int request_receive(Request *request) {
        union {
                char buffer[CMSG_SPACE(VFIO_USER_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { &request->header, sizeof(request->header) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        ssize_t n;

        n = recvmsg(request->socket, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
        if (n != sizeof(request->header))
                return n < 0 ? -errno : -ECONNRESET;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                request->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(request->fds, CMSG_DATA(c), request->n_fds * sizeof(int));
        }

        if (request->header.size < sizeof(request->header))
                return -EPROTO;
        request->size = request->header.size - sizeof(request->header);
        if (request->size > sizeof(request->data))
                return -EPROTO;

        return receive_rest(request->socket, request->data, request->size);
}

/* Take over one of the request's file descriptors. */
static int request_take_fd(Request *request, size_t index) {
        int fd = -1;

        if (index < request->n_fds) {
                fd = request->fds[index];
                request->fds[index] = -1;
        }
        return fd;
}

static int reply(const Request *request, const void *data, size_t size, int error, int fd) {
        VfioUserHeader header = {
                .id = request->header.id,
                .command = request->header.command,
                .size = sizeof(header) + (error ? 0 : size),
                .flags = VFIO_USER_FLAG_REPLY | (error ? VFIO_USER_FLAG_ERROR : 0),
                .error = error,
        };
        struct iovec iov[] = { { &header, sizeof(header) }, { (void *) data, size } };
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = error || size == 0 ? 1 : 2 };
        struct cmsghdr *c;

        if (request->header.flags & VFIO_USER_FLAG_NO_REPLY)
                return 0;

        if (fd >= 0) {
                message.msg_control = control.buffer;
                message.msg_controllen = sizeof(control.buffer);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        }

        /* The socket blocks, hence a short count is an error, too. */
        if (sendmsg(request->socket, &message, MSG_NOSIGNAL) != (ssize_t) header.size)
                return -EPIPE;
        return 0;
}

static int reply_ok(const Request *request, const void *data, size_t size) {
        return reply(request, data, size, 0, -1);
}

static int reply_error(const Request *request, int error) {
        return reply(request, NULL, 0, error, -1);
}

static int serve_version(Request *request) {
        static const char capabilities[] =
                        "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":65536}}";
        uint8_t data[4 + sizeof(capabilities)];

        if (request->size < 4)
                return reply_error(request, EINVAL);

        memcpy(data, request->data, 4); /* the version that was asked for will do */
        memcpy(data + 4, capabilities, sizeof(capabilities));
        return reply_ok(request, data, sizeof(data));
}

static int serve_dma_map(Function *f, Request *request) {
        VfioUserDmaMap *map = (VfioUserDmaMap *) request->data;
        DmaRange range;
        int fd, r;

        if (request->size < sizeof(*map))
                return reply_error(request, EINVAL);

        /* Without a file it is no memory: a BAR of another device, for one. */
        fd = request_take_fd(request, 0);
        if (fd >= 0) {
                range = (DmaRange){ map->address, map->size, map->offset };
                r = function_dma_map(f, &range, fd);
                if (r < 0)
                        return reply_error(request, -r);
        }
        return reply_ok(request, NULL, 0);
}

static int serve_dma_unmap(Function *f, Request *request) {
        VfioUserDmaUnmap *unmap = (VfioUserDmaUnmap *) request->data;

        if (request->size < sizeof(*unmap))
                return reply_error(request, EINVAL);

        function_dma_unmap(f, unmap->address, unmap->size);
        return reply_ok(request, request->data, request->size);
}

static int serve_info(Request *request) {
        struct vfio_device_info info = {
                .argsz = offsetof(struct vfio_device_info, cap_offset),
                .flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
                .num_regions = VFIO_PCI_NUM_REGIONS,
                .num_irqs = VFIO_PCI_NUM_IRQS,
        };

        return reply_ok(request, &info, info.argsz);
}

static int serve_region_info(Function *f, Request *request) {
        struct vfio_region_info info = { .argsz = sizeof(info) };
        const struct vfio_region_info *asked = (const void *) request->data;
        const Bar *bar;
        int fd = -1;

        if (request->size < sizeof(info) || asked->index >= VFIO_PCI_NUM_REGIONS)
                return reply_error(request, EINVAL);

        info.index = asked->index;
        if (info.index == VFIO_PCI_CONFIG_REGION_INDEX) {
                info.size = CONFIG_SIZE;
                info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
        } else if (info.index < BARS_MAX && f->bars[info.index].size > 0) {
                bar = &f->bars[info.index];
                info.size = bar->size;
                info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
                if (bar->fd >= 0 && !bar->trap) {
                        info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
                        fd = bar->fd;
                }
        }
        return reply(request, &info, sizeof(info), 0, fd);
}

static int serve_irq_info(Request *request) {
        struct vfio_irq_info info = { .argsz = sizeof(info), .flags = VFIO_IRQ_INFO_EVENTFD };
        const struct vfio_irq_info *asked = (const void *) request->data;

        if (request->size < sizeof(info) || asked->index >= VFIO_PCI_NUM_IRQS)
                return reply_error(request, EINVAL);

        info.index = asked->index;
        info.count = info.index == VFIO_PCI_MSIX_IRQ_INDEX ? 0 : 1;
        if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
                info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
        else
                info.flags |= VFIO_IRQ_INFO_NORESIZE;
        return reply_ok(request, &info, sizeof(info));
}

static int serve_set_irqs(Function *f, Request *request) {
        const struct vfio_irq_set *set = (const void *) request->data;
        int fd, r;

        if (request->size < sizeof(*set) || set->index >= VFIO_PCI_NUM_IRQS)
                return reply_error(request, EINVAL);

        fd = request_take_fd(request, 0);
        if ((set->flags & VFIO_IRQ_SET_ACTION_TRIGGER) && (fd >= 0 || set->count == 0)) {
                if (f->irq_fds[set->index] >= 0)
                        close(f->irq_fds[set->index]);
                f->irq_fds[set->index] = fd;
        } else if (fd >= 0) {
                close(fd); /* QEMU unmasks by message, not by eventfd */
        }

        r = reply_ok(request, NULL, 0);
        if (r >= 0 && (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) && f->model->unmask)
                f->model->unmask(f);
        return r;
}

static int serve_access(Function *f, Request *request, bool write) {
        VfioUserRegion *region = (VfioUserRegion *) request->data;
        size_t available = write ? request->size : sizeof(request->data);
        int r;

        if (request->size < sizeof(*region) || region->count > available - sizeof(*region))
                return reply_error(request, EINVAL);

        r = function_access(f, region->region, region->offset, request->data + sizeof(*region),
                        region->count, write);
        if (r < 0)
                return reply_error(request, -r);

        return reply_ok(request, request->data, sizeof(*region) + (write ? 0 : region->count));
}

static int serve_reset(Function *f, Request *request) {
        ++f->stats.resets;
        function_reset(f);
        return reply_ok(request, NULL, 0);
}

static int request_dispatch(Function *f, Request *request) {
        switch (request->header.command) {
        case VFIO_USER_VERSION:
                return serve_version(request);
        case VFIO_USER_DMA_MAP:
                return serve_dma_map(f, request);
        case VFIO_USER_DMA_UNMAP:
                return serve_dma_unmap(f, request);
        case VFIO_USER_DEVICE_GET_INFO:
                return serve_info(request);
        case VFIO_USER_DEVICE_GET_REGION_INFO:
                return serve_region_info(f, request);
        case VFIO_USER_DEVICE_GET_IRQ_INFO:
                return serve_irq_info(request);
        case VFIO_USER_DEVICE_SET_IRQS:
                return serve_set_irqs(f, request);
        case VFIO_USER_REGION_READ:
                return serve_access(f, request, false);
        case VFIO_USER_REGION_WRITE:
                return serve_access(f, request, true);
        case VFIO_USER_DEVICE_RESET:
                return serve_reset(f, request);
        default:
                fprintf(stderr, "%s: unknown command %u\n", f->name, request->header.command);
                return reply_error(request, ENOSYS);
        }
}

/**
 * connection_serve() - take one request and answer it
 * @f:          the function that is asked
 * @fd:         connection to QEMU, which has something to read
 *
 * Return: 0 on success, -ECONNRESET if the other side has hung up, other
 *         negative error codes on failure; the connection is of no use then.
 */
int connection_serve(Function *f, int fd) {
        static Request request; /* 64 KiB: too much for a stack, used by one at a time */
        int r;

        request.socket = fd;
        request.size = 0;
        request.n_fds = 0;

        r = request_receive(&request);
        if (r >= 0)
                r = request_dispatch(f, &request);

        for (size_t i = 0; i < request.n_fds; ++i)
                if (request.fds[i] >= 0)
                        close(request.fds[i]);
        return r;
}
