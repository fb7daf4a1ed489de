/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * HDMI Audio
 *
 * An HD Audio controller with one HDMI codec, just enough for the kernel's
 * snd_hda_intel to find a sound card: verbs come in through the command ring
 * (CORB), answers go out through the response ring (RIRB), both in guest
 * memory. No stream is ever played.
 *
 * With dumb memory in place of this, the driver repeats "spurious response" for
 * minutes and everything that waits for it hangs.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dma.h"
#include "models.h"

#define REGISTERS_SIZE 0x200U

/* controller registers */
#define GCAP       0x00U
#define VMAJ       0x03U
#define OUTPAY     0x04U
#define INPAY      0x06U
#define GCTL       0x08U
#define STATESTS   0x0eU
#define INTCTL     0x20U
#define INTSTS     0x24U
#define WALCLK     0x30U
#define CORBLBASE  0x40U
#define CORBUBASE  0x44U
#define CORBWP     0x48U
#define CORBRP     0x4aU
#define CORBCTL    0x4cU
#define CORBSIZE   0x4eU
#define RIRBLBASE  0x50U
#define RIRBUBASE  0x54U
#define RIRBWP     0x58U
#define RIRBCTL    0x5cU
#define RIRBSTS    0x5dU
#define RIRBSIZE   0x5eU
#define ICOI       0x60U
#define ICII       0x64U
#define ICIS       0x68U
#define STREAMS    0x80U
#define STREAM_LEN 0x20U

#define RING_256_ENTRIES 0x42U

/* verbs of a codec */
#define VERB_GET_PARAMETER       0xf00U
#define VERB_GET_CONNECTION_LIST 0xf02U
#define VERB_GET_PIN_CONTROL     0xf07U
#define VERB_GET_CONFIG_DEFAULT  0xf1cU
#define VERB_GET_SUBSYSTEM_ID    0xf20U

/* nodes of our codec: root, function group, converter, HDMI pin */
#define NODE_CONVERTER 4U
#define NODE_PIN       5U

typedef struct Audio {
        uint8_t registers[REGISTERS_SIZE];
} Audio;

static uint16_t get16(const Audio *audio, size_t offset) {
        uint16_t value;

        memcpy(&value, audio->registers + offset, sizeof(value));
        return value;
}

static uint32_t get32(const Audio *audio, size_t offset) {
        uint32_t value;

        memcpy(&value, audio->registers + offset, sizeof(value));
        return value;
}

static void set16(Audio *audio, size_t offset, uint16_t value) {
        memcpy(audio->registers + offset, &value, sizeof(value));
}

static void set32(Audio *audio, size_t offset, uint32_t value) {
        memcpy(audio->registers + offset, &value, sizeof(value));
}

static uint32_t codec_parameter(uint32_t node, uint32_t parameter) {
        static const struct {
                uint8_t node, parameter;
                uint32_t value;
        } table[] = {
                { 0, 0x00, 0x10de009f },  /* vendor and device */
                { 0, 0x02, 0x00100100 },  /* revision */
                { 0, 0x04, 1 << 16 | 1 }, /* one function group, node 1 */
                { 1, 0x04, 4 << 16 | 2 }, /* two widgets from node 4 on */
                { 1, 0x05, 1 },           /* audio */
                { 1, 0x0a, 0x000e07f0 },  /* sample sizes and rates */
                { 1, 0x0b, 5 },           /* PCM and AC3 */
                { 1, 0x0f, 9 },           /* power states */
                { NODE_CONVERTER, 0x09, 0x00000211 }, { NODE_CONVERTER, 0x0a, 0x000e07f0 },
                { NODE_CONVERTER, 0x0b, 5 },
                { NODE_PIN, 0x09, 0x00400381 }, /* digital pin with a connection list */
                { NODE_PIN, 0x0c, 0x01000094 }, /* HDMI, output, presence detect */
                { NODE_PIN, 0x0e, 1 },          /* connections */
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
                if (table[i].node == node && table[i].parameter == parameter)
                        return table[i].value;
        return 0;
}

static uint32_t codec_answer(uint32_t command) {
        uint32_t node = command >> 20 & 0xff, verb = command >> 8 & 0xfff, payload = command & 0xff;

        if (verb == VERB_GET_PARAMETER)
                return codec_parameter(node, payload);
        if (verb == VERB_GET_SUBSYSTEM_ID)
                return 0x10de0000;
        if (node != NODE_PIN)
                return 0;

        switch (verb) {
        case VERB_GET_CONNECTION_LIST:
                return payload == 0 ? NODE_CONVERTER : 0;
        case VERB_GET_CONFIG_DEFAULT:
                return 0x185600f0; /* digital out, HDMI */
        case VERB_GET_PIN_CONTROL:
                return 0x40;
        default:
                return 0;
        }
}

static void audio_reset(Function *f) {
        Audio *audio = f->state;

        memset(audio, 0, sizeof(*audio));
        set16(audio, GCAP, 0x4001 | 4 << 12); /* 64 bit, four output streams */
        audio->registers[VMAJ] = 1;
        set16(audio, OUTPAY, 0x3c);
        set16(audio, INPAY, 0x1d);
        audio->registers[CORBSIZE] = RING_256_ENTRIES;
        audio->registers[RIRBSIZE] = RING_256_ENTRIES;
}

static bool audio_response_pending(const Audio *audio) {
        return audio->registers[RIRBSTS] & 1;
}

/* A response is waiting, and both the ring and the controller may interrupt. */
static void audio_update_irq(Function *f) {
        const uint32_t enabled = 0xc0000000; /* global, controller */
        Audio *audio = f->state;

        if (audio_response_pending(audio) && (audio->registers[RIRBCTL] & 1) &&
                        (get32(audio, INTCTL) & enabled) == enabled)
                function_raise_irq(f);
}

static int audio_respond(Function *f, uint32_t command) {
        Audio *audio = f->state;
        uint64_t ring = get32(audio, RIRBLBASE) | (uint64_t) get32(audio, RIRBUBASE) << 32;
        uint32_t response[2] = { codec_answer(command), 0 };
        uint8_t position = audio->registers[RIRBWP] + 1;
        int r;

        if (command >> 28 != 0)
                return 0; /* there is no codec at that address */

        r = function_dma_write(f, ring + sizeof(response) * position, response, sizeof(response));
        if (r < 0)
                return r;

        audio->registers[RIRBWP] = position;
        audio->registers[RIRBSTS] |= 1;
        return 0;
}

static void audio_run_commands(Function *f) {
        Audio *audio = f->state;
        uint64_t ring = get32(audio, CORBLBASE) | (uint64_t) get32(audio, CORBUBASE) << 32;

        if (!(audio->registers[CORBCTL] & 2) || !(audio->registers[RIRBCTL] & 2))
                return;

        while (audio->registers[CORBRP] != audio->registers[CORBWP]) {
                uint8_t position = audio->registers[CORBRP] + 1;
                uint32_t command;

                audio->registers[CORBRP] = position;
                if (function_dma_read(f, ring + sizeof(command) * position, &command,
                                    sizeof(command)) < 0 ||
                                audio_respond(f, command) < 0)
                        return; /* as a real one: the driver times out */
        }
        audio_update_irq(f);
}

static void audio_read(Function *f, uint64_t offset, uint8_t *data, size_t size) {
        Audio *audio = f->state;
        struct timespec ts;

        set32(audio, INTSTS, audio_response_pending(audio) ? 0xc0000000 : 0);
        if (offset == WALCLK) {
                clock_gettime(CLOCK_MONOTONIC, &ts);
                set32(audio, WALCLK, ts.tv_sec * 24000000U + ts.tv_nsec * 24U / 1000U);
        }
        memcpy(data, audio->registers + offset, size);
}

static void audio_control(Function *f, uint32_t value) {
        Audio *audio = f->state;
        bool running = audio->registers[GCTL] & 1;

        if (!(value & 1))
                audio_reset(f);
        else if (!running)
                set16(audio, STATESTS, 1); /* out of reset: codec 0 reports itself */
        set32(audio, GCTL, value);
}

/* A stream which is being reset says so, and clears its status bits when told. */
static bool audio_write_stream(Audio *audio, uint64_t offset, uint32_t value, size_t size) {
        size_t reg = (offset - STREAMS) % STREAM_LEN;

        if (offset < STREAMS || reg != 3 || size != 1)
                return false;

        audio->registers[offset] &= ~value;
        return true;
}

static void audio_write(Function *f, uint64_t offset, const uint8_t *data, size_t size) {
        Audio *audio = f->state;
        uint32_t value = 0;

        memcpy(&value, data, size);
        switch (offset) {
        case GCAP ... GCTL - 1:
        case INTSTS:
        case WALCLK:
                return;
        case GCTL:
                audio_control(f, value);
                return;
        case STATESTS:
                set16(audio, STATESTS, get16(audio, STATESTS) & ~value);
                return;
        case CORBRP:
                set16(audio, CORBRP, value & 0x8000);
                return;
        case RIRBWP:
                if (value & 0x8000)
                        set16(audio, RIRBWP, 0);
                return;
        case RIRBSTS:
                audio->registers[RIRBSTS] &= ~value;
                return;
        }

        if (audio_write_stream(audio, offset, value, size))
                return;

        memcpy(audio->registers + offset, data, offset == RIRBCTL ? 1 : size);
        if (offset == RIRBCTL && size > 1)
                audio->registers[RIRBSTS] &= ~(value >> 8);
        if (offset == CORBWP || offset == CORBCTL || offset == RIRBCTL)
                audio_run_commands(f);
        if (offset == ICIS && (value & 1)) {
                set32(audio, ICII, codec_answer(get32(audio, ICOI)));
                set16(audio, ICIS, 2);
        }
}

static void audio_access(Function *f, uint64_t offset, uint8_t *data, size_t size, bool write) {
        if (offset + size > REGISTERS_SIZE || size > 4) {
                if (!write)
                        memset(data, 0, size);
                return;
        }

        if (write)
                audio_write(f, offset, data, size);
        else
                audio_read(f, offset, data, size);
}

static int audio_init(Function *f) {
        f->state = calloc(1, sizeof(Audio));
        if (!f->state)
                return -ENOMEM;

        audio_reset(f);
        return function_add_bar(f, 0, 16U << 10, BAR_MEM32);
}

const Model model_audio = {
        .name = "audio",
        .class = 0x040300,
        .device = 0x1aef,
        .init = audio_init,
        .reset = audio_reset,
        .access = audio_access,
        .unmask = audio_update_irq,
};
