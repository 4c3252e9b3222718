/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_codec.c - the decoder of src/wire/codec.h: the first half of the input says what is asked of it,
 * the second half is what it decodes.
 */
#include "fuzz/fuzz.h"
#include "wire/codec.h"

void
fuzz_seeds(give_seed *give)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        uint8_t seed[200] = { 0, 1, 2, 3, 4, 5 };

        mproc__enc_u32(&e, 7);
        mproc__enc_u64(&e, UINT64_MAX);
        mproc__enc_bytes(&e, "bytes", 5);
        mproc__enc_string(&e, "text");
        mproc__enc_fd(&e, 1);
        mproc__enc_fd(&e, 1);
        MUST(!e.error && e.len < 100);
        memcpy(seed + e.len, e.data, e.len);
        give("one_of_each", seed, e.len * 2);
        mproc__encoder_fini(&e);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        int fds[2] = { 1, 2 };
        bool taken[2] = { false, false };
        struct mproc__decoder d = {
                .data = data + size / 2, .len = size - size / 2, .fds = fds, .taken = taken, .nfds = 2
        };
        volatile uint8_t sum = 0;

        for (size_t i = 0; i < size / 2; i++) {
                const char *text;
                const uint8_t *p;
                size_t len = 0;
                int fd;

                switch (data[i] % 6) {
                case 0:
                        (void)mproc__dec_u32(&d);
                        break;
                case 1:
                        (void)mproc__dec_u64(&d);
                        break;
                case 2:
                        p = mproc__dec_bytes(&d, &len);
                        for (size_t k = 0; p && k < len; k++)
                                sum = (uint8_t)(sum + p[k]);
                        break;
                case 3:
                        text = mproc__dec_string(&d);
                        MUST(!text || strlen(text) < d.len);
                        break;
                case 4:
                        fd = mproc__dec_fd(&d);
                        MUST(fd == -1 || fd == 1 || fd == 2);
                        break;
                default:
                        fd = mproc__dec_take_fd(&d);
                        MUST(fd == -1 || fd == 1 || fd == 2);
                }
                MUST(d.pos <= d.len);
        }
}
