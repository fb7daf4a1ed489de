/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration Space
 *
 * Power management, MSI and PCI Express capabilities, as the functions of a
 * real card have them, then AER and a serial number in the extended space. A
 * mask next to the space says which bits a write changes; everything else is
 * read-only, so that the kernel's probing (BAR sizes are QEMU's business) finds
 * a device that behaves.
 */

#include <linux/pci_regs.h>
#include <string.h>

#include "config.h"

#define CAP_PM  0x60U
#define CAP_MSI 0x68U
#define CAP_EXP 0x78U
#define CAP_AER 0x100U
#define CAP_DSN 0x148U

static void set16(uint8_t *space, size_t offset, uint16_t value) {
        memcpy(space + offset, &value, sizeof(value));
}

static void set32(uint8_t *space, size_t offset, uint32_t value) {
        memcpy(space + offset, &value, sizeof(value));
}

static void init_header(Function *f) {
        uint8_t *c = f->config, *w = f->writable;

        set16(c, PCI_VENDOR_ID, f->options.vendor);
        set16(c, PCI_DEVICE_ID, f->options.device);
        set16(w, PCI_COMMAND,
                        PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                        PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                        PCI_COMMAND_INTX_DISABLE);
        set16(c, PCI_STATUS, PCI_STATUS_CAP_LIST);
        set32(c, PCI_CLASS_REVISION, f->options.class << 8 | 0xa1);
        c[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL | 0x80; /* one of several functions */
        w[PCI_CACHE_LINE_SIZE] = 0xff;
        set16(c, PCI_SUBSYSTEM_VENDOR_ID, f->options.subvendor);
        set16(c, PCI_SUBSYSTEM_ID, f->options.subdevice);
        c[PCI_CAPABILITY_LIST] = CAP_PM;
        c[PCI_INTERRUPT_PIN] = 1;
        w[PCI_INTERRUPT_LINE] = 0xff;
}

static void init_pm_and_msi(Function *f) {
        uint8_t *c = f->config, *w = f->writable;

        c[CAP_PM] = PCI_CAP_ID_PM;
        c[CAP_PM + PCI_CAP_LIST_NEXT] = CAP_MSI;
        set16(c, CAP_PM + PCI_PM_PMC, 3 | PCI_PM_CAP_PME_D0 | PCI_PM_CAP_PME_D3hot);
        set16(c, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
        set16(w, CAP_PM + PCI_PM_CTRL,
                        PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);

        c[CAP_MSI] = PCI_CAP_ID_MSI;
        c[CAP_MSI + PCI_CAP_LIST_NEXT] = CAP_EXP;
        set16(c, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
        set16(w, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
        set32(w, CAP_MSI + PCI_MSI_ADDRESS_LO, 0xfffffffc);
        set32(w, CAP_MSI + PCI_MSI_ADDRESS_HI, 0xffffffff);
        set16(w, CAP_MSI + PCI_MSI_DATA_64, 0xffff);
}

static void init_express(Function *f) {
        uint32_t capabilities = PCI_EXP_DEVCAP_RBER | 2; /* payload of 512 bytes */
        uint8_t *c = f->config, *w = f->writable;

        if (!f->options.no_flr)
                capabilities |= PCI_EXP_DEVCAP_FLR;

        c[CAP_EXP] = PCI_CAP_ID_EXP;
        set16(c, CAP_EXP + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
        set32(c, CAP_EXP + PCI_EXP_DEVCAP, capabilities);
        set16(c, CAP_EXP + PCI_EXP_DEVCTL,
                        PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | 0x2000);
        set16(w, CAP_EXP + PCI_EXP_DEVCTL, 0xffff);
        set32(c, CAP_EXP + PCI_EXP_LNKCAP, 16 << 4 | 4); /* x16, 16 GT/s */
        set16(w, CAP_EXP + PCI_EXP_LNKCTL, 0x01fb);
        set16(c, CAP_EXP + PCI_EXP_LNKSTA, 16 << 4 | 4);
        set32(c, CAP_EXP + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS | 2);
        set16(w, CAP_EXP + PCI_EXP_DEVCTL2, 0x041f);
        set32(c, CAP_EXP + PCI_EXP_LNKCAP2, 0x1e);
        set16(c, CAP_EXP + PCI_EXP_LNKCTL2, 4);
}

static void init_extended(Function *f) {
        uint8_t *c = f->config, *w = f->writable;

        set32(c, CAP_AER, PCI_EXT_CAP_ID_ERR | 2 << 16 | CAP_DSN << 20);
        set32(w, CAP_AER + PCI_ERR_UNCOR_MASK, 0x003ff030);
        set32(w, CAP_AER + PCI_ERR_UNCOR_SEVER, 0x003ff030);
        set32(w, CAP_AER + PCI_ERR_COR_MASK, 0xf1c1);

        set32(c, CAP_DSN, PCI_EXT_CAP_ID_DSN | 1 << 16);
        set32(c, CAP_DSN + 4, 0x48b02d04);
        set32(c, CAP_DSN + 8, 0x12345678);
}

/**
 * config_init() - fill the configuration space from the function's options
 */
void config_init(Function *f) {
        init_header(f);
        init_pm_and_msi(f);
        init_express(f);
        init_extended(f);
        config_reset(f);
}

/**
 * config_reset() - what a function forgets when it is reset
 */
void config_reset(Function *f) {
        for (size_t i = 0; i < BARS_MAX; ++i)
                if (f->bars[i].size > 0)
                        set32(f->config, PCI_BASE_ADDRESS_0 + 4 * i, f->bars[i].type);

        set16(f->config, PCI_COMMAND, 0);
        set16(f->config, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
        set16(f->config, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
}

static bool range_contains(uint64_t offset, size_t size, uint64_t byte) {
        return offset <= byte && byte < offset + size;
}

/**
 * config_write() - the guest writes to the configuration space
 *
 * Bounds have been checked. Two registers have effects: the function level
 * reset bit, and the power state, which is only counted.
 */
void config_write(Function *f, uint64_t offset, const uint8_t *data, size_t size) {
        const size_t reset = CAP_EXP + PCI_EXP_DEVCTL + 1;

        for (size_t i = 0; i < size; ++i) {
                uint8_t mask = f->writable[offset + i];

                f->config[offset + i] = (f->config[offset + i] & ~mask) | (data[i] & mask);
        }

        if (range_contains(offset, size, CAP_PM + PCI_PM_CTRL))
                ++f->stats.power_writes;

        if (range_contains(offset, size, reset) &&
                        (f->config[reset] & PCI_EXP_DEVCTL_BCR_FLR >> 8)) {
                f->config[reset] &= ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
                if (!f->options.no_flr) {
                        ++f->stats.flrs;
                        function_reset(f);
                }
        }
}
