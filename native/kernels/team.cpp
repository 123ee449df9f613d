#include "team.h"

#include <cstring>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace imageforge::kernels {

namespace {

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

}  // namespace

Team::~Team() {
    if (__atomic_add_fetch(&state_->finished, 1, __ATOMIC_ACQ_REL) != size) return;
    // The others no longer look at it, and ggml's own barrier orders this before the node's next run.
    __atomic_store_n(&state_->next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&state_->phase, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&state_->finished, 0, __ATOMIC_RELEASE);
}

int64_t Team::claim() { return __atomic_fetch_add(&state_->next, 1, __ATOMIC_RELAXED); }

void Team::barrier() {
    if (size == 1) {
        state_->next = 0;
        return;
    }
    const int32_t phase = __atomic_load_n(&state_->phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&state_->arrived, 1, __ATOMIC_ACQ_REL) == size) {
        __atomic_store_n(&state_->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&state_->next, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&state_->phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    // A few microseconds of spinning cover an even share-out; after that the missing thread may need this
    // core.
    for (int spins = 0; __atomic_load_n(&state_->phase, __ATOMIC_ACQUIRE) == phase; spins++) {
        if (spins < 2000) {
            relax();
        } else {
            std::this_thread::yield();
        }
    }
}

bool Team::stopped() const { return abort_ && abort_->load(std::memory_order_relaxed); }

void * Team::share(void * mine) {
    if (index == 0) std::memcpy(state_->shared, &mine, sizeof(mine));
    barrier();
    void * pointer;
    std::memcpy(&pointer, state_->shared, sizeof(pointer));
    return pointer;
}

}  // namespace imageforge::kernels
