/* The payloads of all peers in tests: 1316 bytes that say who they are. tests/peers/numbered.rs is the same in Rust.
 *
 *   0  u32  "HFTP"
 *   4  u32  stream: chosen by the sender, the same in all its payloads
 *   8  u64  number: 0, 1, 2, ...
 *  16  u64  when it was handed to the transport, microseconds of CLOCK_MONOTONIC
 *  24  u32  CRC-32 (ISO-HDLC) of bytes 0..24 and 28..1316
 *  28  ...  filler that depends on stream and number
 *
 * All numbers are big-endian. */
#ifndef NUMBERED_H
#define NUMBERED_H

#include <stdint.h>
#include <string.h>

enum { PAYLOAD = 1316, HEAD = 28 };

static const uint32_t MAGIC = 0x48465450;

static uint32_t crc_table[8][256];

/* Eight bytes a step, since the check must not outweigh the transport whose CPU time is being measured. */
static void crc_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
        crc_table[0][byte] = crc;
    }
    for (int ahead = 1; ahead < 8; ahead++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[ahead - 1][byte];
            crc_table[ahead][byte] = (before >> 8) ^ crc_table[0][before & 0xFF];
        }
}

static uint32_t crc_add(uint32_t crc, const uint8_t *data, size_t length) {
    while (length >= 8) {
        uint32_t low = crc ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24);
        crc = crc_table[7][low & 0xFF] ^ crc_table[6][low >> 8 & 0xFF] ^ crc_table[5][low >> 16 & 0xFF] ^
              crc_table[4][low >> 24] ^ crc_table[3][data[4]] ^ crc_table[2][data[5]] ^ crc_table[1][data[6]] ^
              crc_table[0][data[7]];
        data += 8;
        length -= 8;
    }
    while (length-- > 0) crc = (crc >> 8) ^ crc_table[0][(crc ^ *data++) & 0xFF];
    return crc;
}

static uint32_t payload_crc(const uint8_t *payload) {
    uint32_t crc = crc_add(0xFFFFFFFFu, payload, 24);
    return ~crc_add(crc, payload + HEAD, PAYLOAD - HEAD);
}

static void put(uint8_t *at, uint64_t value, int bytes) {
    while (bytes-- > 0) {
        at[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static uint64_t take(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    while (bytes-- > 0) value = value << 8 | *at++;
    return value;
}

static void payload_write(uint8_t *payload, uint32_t stream, uint64_t number, uint64_t now_us) {
    put(payload, MAGIC, 4);
    put(payload + 4, stream, 4);
    put(payload + 8, number, 8);
    put(payload + 16, now_us, 8);
    memset(payload + HEAD, (int)((number * 31 + stream) & 0xFF), PAYLOAD - HEAD);
    put(payload + 24, payload_crc(payload), 4);
}

/* Whether it is intact. */
static int payload_read(const uint8_t *payload, size_t length, uint64_t *number, uint64_t *sent_us) {
    if (length != PAYLOAD || take(payload, 4) != MAGIC || take(payload + 24, 4) != payload_crc(payload)) return 0;
    *number = take(payload + 8, 8);
    *sent_us = take(payload + 16, 8);
    return 1;
}

#endif
