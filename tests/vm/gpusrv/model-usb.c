/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * USB-C Host Controller
 *
 * An xHCI controller with one USB 2 and one USB 3 port, both empty, for ever.
 * The kernel's xhci_hcd binds it, registers its two root hubs, and lets go of
 * it again; as nothing is ever plugged in, no ring is processed and no
 * interrupt is raised.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"

/* where the parts are */
#define OPERATIONAL 0x20U
#define PORTS       (OPERATIONAL + 0x400U)
#define EXTENDED    0x500U
#define RUNTIME     0x600U
#define DOORBELLS   0x800U
#define REGISTERS   0x1000U

/* operational registers */
#define USBCMD (OPERATIONAL + 0x00U)
#define USBSTS (OPERATIONAL + 0x04U)
#define CRCR   (OPERATIONAL + 0x18U)

#define USBCMD_RUN   (1U << 0)
#define USBCMD_RESET (1U << 1)
#define USBSTS_HALT  (1U << 0)

#define N_PORTS    2U
#define PORT_LEN   0x10U
#define PORT_POWER (1U << 9)
/* link state "receiver detect": nothing is there */
#define PORT_EMPTY (PORT_POWER | 5U << 5)

typedef struct Usb {
        uint8_t registers[REGISTERS];
} Usb;

static void set32(Usb *usb, size_t offset, uint32_t value) {
        memcpy(usb->registers + offset, &value, sizeof(value));
}

static void usb_reset(Function *f) {
        Usb *usb = f->state;

        memset(usb, 0, sizeof(*usb));

        set32(usb, 0x00, 0x0110U << 16 | OPERATIONAL);         /* version 1.1, CAPLENGTH */
        set32(usb, 0x04, N_PORTS << 24 | 1U << 8 | 16U);       /* ports, interrupters, slots */
        set32(usb, 0x08, 0x0fU << 4);                          /* event ring segments */
        set32(usb, 0x10, (EXTENDED / 4) << 16 | 1U << 2 | 1U); /* 64 byte contexts and addresses */
        set32(usb, 0x14, DOORBELLS);
        set32(usb, 0x18, RUNTIME);

        set32(usb, USBSTS, USBSTS_HALT);
        set32(usb, OPERATIONAL + 0x08, 1); /* page size 4096 */

        for (size_t i = 0; i < N_PORTS; ++i)
                set32(usb, PORTS + i * PORT_LEN, PORT_EMPTY);

        /* Supported Protocol: "USB " 2.0 has port 1, 3.0 has port 2. */
        set32(usb, EXTENDED + 0x00, 0x0200U << 16 | 4U << 8 | 2U);
        set32(usb, EXTENDED + 0x04, 0x20425355U);
        set32(usb, EXTENDED + 0x08, 1U << 8 | 1U);
        set32(usb, EXTENDED + 0x10, 0x0300U << 16 | 0U << 8 | 2U);
        set32(usb, EXTENDED + 0x14, 0x20425355U);
        set32(usb, EXTENDED + 0x18, 1U << 8 | 2U);
}

static void usb_write(Function *f, uint64_t offset, uint32_t value) {
        Usb *usb = f->state;

        switch (offset) {
        case USBCMD:
                if (value & USBCMD_RESET) {
                        usb_reset(f);
                        return;
                }
                set32(usb, USBCMD, value);
                set32(usb, USBSTS, value & USBCMD_RUN ? 0 : USBSTS_HALT);
                return;
        case CRCR:
                set32(usb, CRCR, value & ~0xfU); /* the command ring never runs */
                return;
        case USBSTS:
        case PORTS ... EXTENDED + 0x1f:
        case 0x00 ... OPERATIONAL - 1:
                return;
        default:
                set32(usb, offset, value);
        }
}

static void usb_access(Function *f, uint64_t offset, uint8_t *data, size_t size, bool write) {
        Usb *usb = f->state;

        if (offset + size > REGISTERS) {
                if (!write)
                        memset(data, 0, size);
                return;
        }

        if (!write) {
                memcpy(data, usb->registers + offset, size);
                return;
        }

        /* Registers are 32 bits wide; a wider access is a pair of them. */
        for (size_t i = 0; i + 4 <= size; i += 4) {
                uint32_t value;

                memcpy(&value, data + i, sizeof(value));
                usb_write(f, offset + i, value);
        }
}

static int usb_init(Function *f) {
        f->state = calloc(1, sizeof(Usb));
        if (!f->state)
                return -ENOMEM;

        usb_reset(f);
        return function_add_bar(f, 0, 256U << 10, BAR_MEM64_PREFETCH);
}

const Model model_usb = {
        .name = "usb",
        .class = 0x0c0330,
        .device = 0x1ad8,
        .init = usb_init,
        .reset = usb_reset,
        .access = usb_access,
};
