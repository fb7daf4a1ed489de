/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vfio-User Wire Format
 *
 * The part of the protocol which QEMU's vfio-user-pci speaks. Payloads that
 * begin with an `argsz` are the ioctl structures of <linux/vfio.h>.
 */

#include <stdint.h>

enum {
        VFIO_USER_VERSION = 1,
        VFIO_USER_DMA_MAP,
        VFIO_USER_DMA_UNMAP,
        VFIO_USER_DEVICE_GET_INFO,
        VFIO_USER_DEVICE_GET_REGION_INFO,
        VFIO_USER_DEVICE_GET_REGION_IO_FDS,
        VFIO_USER_DEVICE_GET_IRQ_INFO,
        VFIO_USER_DEVICE_SET_IRQS,
        VFIO_USER_REGION_READ,
        VFIO_USER_REGION_WRITE,
        VFIO_USER_DMA_READ,
        VFIO_USER_DMA_WRITE,
        VFIO_USER_DEVICE_RESET,
};

#define VFIO_USER_FLAG_REPLY    (1U << 0)
#define VFIO_USER_FLAG_NO_REPLY (1U << 4)
#define VFIO_USER_FLAG_ERROR    (1U << 5)

#define VFIO_USER_DATA_MAX (64U << 10)
#define VFIO_USER_FDS_MAX  16U

typedef struct VfioUserHeader {
        uint16_t id;
        uint16_t command;
        uint32_t size; /* with this header */
        uint32_t flags;
        uint32_t error;
} VfioUserHeader;

typedef struct VfioUserDmaMap {
        uint32_t argsz;
        uint32_t flags;
        uint64_t offset;
        uint64_t address;
        uint64_t size;
} VfioUserDmaMap;

typedef struct VfioUserDmaUnmap {
        uint32_t argsz;
        uint32_t flags;
        uint64_t address;
        uint64_t size;
} VfioUserDmaUnmap;

/* Followed by `count` bytes in a write request and in a read reply. */
typedef struct VfioUserRegion {
        uint64_t offset;
        uint32_t region;
        uint32_t count;
} VfioUserRegion;
