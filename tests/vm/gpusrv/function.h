/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI Function
 */

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_SIZE 4096U
#define BARS_MAX    6U

#define PCI_VENDOR_NVIDIA 0x10deU

typedef struct Function Function;

/* Low bits of a base address register. */
typedef enum BarType {
        BAR_MEM32 = 0x0,
        BAR_IO = 0x1,
        BAR_MEM64_PREFETCH = 0xc,
} BarType;

typedef struct Bar {
        uint64_t size;
        BarType type;
        int fd;          /* memory that the guest maps, or -1 */
        uint8_t *memory; /* NULL if the model answers each access */
        bool trap;       /* never let the guest map it: see each access */
} Bar;

/*
 * What makes a function more than configuration space and dumb memory.
 */
typedef struct Model {
        const char *name;
        uint32_t class;
        uint16_t device;

        int (*init)(Function *function);
        void (*reset)(Function *function);
        /* BAR 0, if set. @write: data goes to the device. At most 8 bytes. */
        void (*access)(Function *function, uint64_t offset, uint8_t *data, size_t size, bool write);
        /* The guest is ready for the next interrupt. */
        void (*unmask)(Function *function);
} Model;

/* As given on the command line. */
typedef struct FunctionOptions {
        uint16_t vendor;
        uint16_t device;
        uint16_t subvendor;
        uint16_t subdevice;
        uint32_t class;
        uint32_t chip;
        uint64_t vram;
        bool no_flr;
        bool trap;
        bool dead;
} FunctionOptions;

typedef struct DmaRange {
        uint64_t address;
        uint64_t size;
        uint64_t offset;
} DmaRange;

typedef struct FunctionStats {
        unsigned long connections;
        unsigned long config_reads;
        unsigned long config_writes;
        unsigned long bar_reads;
        unsigned long bar_writes;
        unsigned long flrs;   /* function level resets */
        unsigned long resets; /* VFIO_USER_DEVICE_RESET: from QEMU */
        unsigned long power_writes;
} FunctionStats;

struct Function {
        const char *name;
        const Model *model;
        void *state; /* of the model */
        FunctionOptions options;

        uint8_t config[CONFIG_SIZE];
        uint8_t writable[CONFIG_SIZE]; /* mask of the bits that a write changes */
        Bar bars[BARS_MAX];

        DmaRange *dma;
        size_t n_dma;
        int ram_fd;
        int irq_fds[VFIO_PCI_NUM_IRQS];

        bool gone;           /* off the bus: reads are all ones */
        uint8_t *registers;  /* BAR 0 as it was before */
        unsigned delay_msec; /* of each configuration access */
        FunctionStats stats;
};

int function_new(const char *name,
                const Model *model,
                const FunctionOptions *options,
                Function **ret_function);
int function_add_bar(Function *function, size_t index, uint64_t size, BarType type);
void function_disconnect(Function *function);

int function_access(Function *function,
                uint32_t region,
                uint64_t offset,
                uint8_t *data,
                size_t size,
                bool write);
void function_reset(Function *function);
void function_set_gone(Function *function, bool gone);
