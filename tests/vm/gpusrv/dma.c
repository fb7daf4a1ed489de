/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Guest Memory and Interrupts
 *
 * What a function does on its own account: read and write the memory that the
 * guest's IOMMU lets it reach, and interrupt the guest.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dma.h"

/**
 * function_dma_map() - the guest lets the device reach a piece of its memory
 * @f:          the function
 * @range:      what, as an offset into the file
 * @fd:         the guest's memory; consumed
 *
 * The guest has one memory object, so the first file stands for all.
 *
 * Return: 0 on success, negative error code on failure.
 */
int function_dma_map(Function *f, const DmaRange *range, int fd) {
        DmaRange *dma;

        if (f->ram_fd < 0)
                f->ram_fd = fd;
        else
                close(fd);

        dma = reallocarray(f->dma, f->n_dma + 1, sizeof(*dma));
        if (!dma)
                return -ENOMEM;

        dma[f->n_dma++] = *range;
        f->dma = dma;
        return 0;
}

void function_dma_unmap(Function *f, uint64_t address, uint64_t size) {
        size_t kept = 0;

        for (size_t i = 0; i < f->n_dma; ++i) {
                DmaRange *range = &f->dma[i];

                if (range->address < address || range->address + range->size > address + size)
                        f->dma[kept++] = *range;
        }
        f->n_dma = kept;
}

static int dma_find(const Function *f, uint64_t address, size_t size, off_t *ret_offset) {
        for (size_t i = 0; i < f->n_dma; ++i) {
                const DmaRange *range = &f->dma[i];

                if (address >= range->address && address + size <= range->address + range->size) {
                        *ret_offset = range->offset + address - range->address;
                        return 0;
                }
        }
        return -EFAULT;
}

int function_dma_read(Function *f, uint64_t address, void *data, size_t size) {
        off_t offset;
        int r;

        r = dma_find(f, address, size, &offset);
        if (r < 0)
                return r;

        return pread(f->ram_fd, data, size, offset) == (ssize_t) size ? 0 : -EIO;
}

int function_dma_write(Function *f, uint64_t address, const void *data, size_t size) {
        off_t offset;
        int r;

        r = dma_find(f, address, size, &offset);
        if (r < 0)
                return r;

        return pwrite(f->ram_fd, data, size, offset) == (ssize_t) size ? 0 : -EIO;
}

/* By message if the guest has enabled it, else by line. */
void function_raise_irq(Function *f) {
        int fd = f->irq_fds[VFIO_PCI_MSI_IRQ_INDEX];
        uint64_t one = 1;

        if (fd < 0)
                fd = f->irq_fds[VFIO_PCI_INTX_IRQ_INDEX];
        if (fd >= 0)
                (void) !write(fd, &one, sizeof(one));
}
