/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PCI Function
 *
 * One emulated function: its configuration space, its BARs, what QEMU has lent
 * it, and the faults that a test asked for.
 *
 * BARs are memory files which QEMU maps into the guest, so most accesses never
 * come here. A function that has fallen off the bus must read as all ones
 * there too, therefore "gone" fills BAR 0 with ones and keeps the registers
 * aside until the function returns.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "function.h"

/**
 * function_new() - make a function
 * @name:       its name in control commands and of its socket, not copied
 * @model:      what it is
 * @options:    how it differs from the model's defaults
 * @ret_function: the new object, which lives as long as the server
 *
 * Return: 0 on success, negative error code on failure.
 */
int function_new(const char *name,
                const Model *model,
                const FunctionOptions *options,
                Function **ret_function) {
        Function *f;
        int r;

        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;

        f->name = name;
        f->model = model;
        f->options = *options;
        f->ram_fd = -1;
        for (size_t i = 0; i < VFIO_PCI_NUM_IRQS; ++i)
                f->irq_fds[i] = -1;
        for (size_t i = 0; i < BARS_MAX; ++i)
                f->bars[i].fd = -1;

        r = model->init(f);
        if (r < 0)
                return r;

        config_init(f);

        *ret_function = f;
        return 0;
}

/**
 * function_add_bar() - give a function a base address register
 *
 * Memory BARs of at least a page can be mapped by the guest, unless the model
 * wants to see each access or the bar is trapped.
 *
 * Return: 0 on success, negative error code on failure.
 */
int function_add_bar(Function *f, size_t index, uint64_t size, BarType type) {
        Bar *bar = &f->bars[index];

        *bar = (Bar){ .size = size, .type = type, .fd = -1 };
        if (index == 0 && f->model->access)
                return 0;

        if (type == BAR_IO || size < 4096) {
                bar->memory = calloc(1, size);
                return bar->memory ? 0 : -ENOMEM;
        }

        bar->fd = memfd_create("bar", MFD_CLOEXEC);
        if (bar->fd < 0 || ftruncate(bar->fd, size) < 0)
                return -errno;

        bar->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bar->fd, 0);
        if (bar->memory == MAP_FAILED)
                return -errno;

        bar->trap = index == 0 && f->options.trap;
        return 0;
}

static void fd_close(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

/**
 * function_disconnect() - QEMU has let go of the function
 *
 * Whatever it lent us is given back; the function is as after power-on for
 * the next one that connects.
 */
void function_disconnect(Function *f) {
        for (size_t i = 0; i < VFIO_PCI_NUM_IRQS; ++i)
                fd_close(&f->irq_fds[i]);
        fd_close(&f->ram_fd);
        free(f->dma);
        f->dma = NULL;
        f->n_dma = 0;
        function_reset(f);
}

void function_reset(Function *f) {
        config_reset(f);
        if (f->model->reset)
                f->model->reset(f);
}

/**
 * function_set_gone() - take a function off the bus, or put it back
 */
void function_set_gone(Function *f, bool gone) {
        Bar *bar = &f->bars[0];

        if (f->gone == gone)
                return;

        f->gone = gone;
        if (!bar->memory)
                return;

        if (gone) {
                f->registers = malloc(bar->size);
                if (f->registers)
                        memcpy(f->registers, bar->memory, bar->size);
                memset(bar->memory, 0xff, bar->size);
        } else if (f->registers) {
                memcpy(bar->memory, f->registers, bar->size);
                free(f->registers);
                f->registers = NULL;
        }
}

static int config_access(Function *f, uint64_t offset, uint8_t *data, size_t size, bool write) {
        struct timespec delay = {
                .tv_sec = f->delay_msec / 1000,
                .tv_nsec = f->delay_msec % 1000 * 1000000L,
        };

        if (offset > CONFIG_SIZE || size > CONFIG_SIZE - offset)
                return -EINVAL;

        /* This is the fault itself, a slow device, not a wait for something. */
        if (f->delay_msec > 0)
                nanosleep(&delay, NULL);

        if (write) {
                ++f->stats.config_writes;
                if (!f->gone)
                        config_write(f, offset, data, size);
        } else {
                ++f->stats.config_reads;
                memcpy(data, f->config + offset, size);
        }
        return 0;
}

static int
bar_access(Function *f, uint32_t index, uint64_t offset, uint8_t *data, size_t size, bool write) {
        Bar *bar = &f->bars[index];

        if (offset > bar->size || size > bar->size - offset)
                return -EINVAL;

        *(write ? &f->stats.bar_writes : &f->stats.bar_reads) += 1;

        if (f->gone)
                return 0;
        if (!bar->memory)
                f->model->access(f, offset, data, size, write);
        else if (write)
                memcpy(bar->memory + offset, data, size);
        else
                memcpy(data, bar->memory + offset, size);
        return 0;
}

/**
 * function_access() - the guest reads or writes a region
 * @f:          the function
 * @region:     VFIO_PCI_*_REGION_INDEX
 * @offset:     where in the region
 * @data:       bytes to write, or room for those read
 * @size:       how many
 * @write:      direction
 *
 * Return: 0 on success, negative error code on failure.
 */
int function_access(Function *f,
                uint32_t region,
                uint64_t offset,
                uint8_t *data,
                size_t size,
                bool write) {
        int r;

        if (region == VFIO_PCI_CONFIG_REGION_INDEX)
                r = config_access(f, offset, data, size, write);
        else if (region < BARS_MAX && f->bars[region].size > 0)
                r = bar_access(f, region, offset, data, size, write);
        else
                r = -EINVAL;

        if (r >= 0 && f->gone && !write)
                memset(data, 0xff, size);
        return r;
}
