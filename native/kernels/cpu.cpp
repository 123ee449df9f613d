#include "cpu.h"

#include <cstdlib>
#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace imageforge::kernels {

namespace {

struct Candidate {
    const KernelTable * table;
    bool supported;
};

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

/// Best last. Features are those the compiler's run-time support reports, which includes the system's
/// consent.
const KernelTable * choose() {
    const Candidate candidates[] = {
#if defined(__x86_64__)
        {&avx2_kernels, has_avx2()},
        {&avx512_kernels, has_avx512()},
#elif defined(__aarch64__)
        {&neon_kernels, true},
#endif
        {nullptr, true},
    };
    const char * wanted = std::getenv("IMAGEFORGE_ISA");
    if (wanted && std::strcmp(wanted, "none") == 0) return nullptr;
    const KernelTable * best = nullptr;
    for (const Candidate & candidate : candidates) {
        if (!candidate.table || !candidate.supported) continue;
        best = candidate.table;
        if (wanted && std::strcmp(wanted, best->name) == 0) break;
    }
    return best;
}

}  // namespace

const KernelTable * table() {
    static const KernelTable * const chosen = choose();
    return chosen;
}

}  // namespace imageforge::kernels
