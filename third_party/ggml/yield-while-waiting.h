/* Included before ggml-cpu.c on x86-64: its threads wait for each other in a loop of pause instructions and never give
 * the core away. Where other programs keep the cores busy, a thread then waits in vain for one that isn't running: a
 * UNet pass that takes 5 s on its fair share of the machine took 17 to 88 s. Every 2048 pauses (some 0.1 ms) we yield;
 * on a quiet machine that returns at once. */
#pragma once
#include <immintrin.h>
#include <sched.h>

static inline void imageforge_pause(void) {
    static __thread unsigned pauses;
    __builtin_ia32_pause();
    if (++pauses % 2048 == 0) sched_yield();
}
#define _mm_pause imageforge_pause
