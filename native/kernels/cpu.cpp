#include "cpu.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
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

#if defined(__x86_64__)
/// __builtin_cpu_supports knows AVX-VNNI only in newer compilers: leaf 7, subleaf 1, EAX bit 4.
bool has_avx_vnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#elif defined(__aarch64__)
bool has_dotprod() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
    int value = 0;
    size_t size = sizeof(value);
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value;
#else
    return false;
#endif
}
#endif

/// The best is last. The compiler's run-time support reports a feature only if the operating system enables
/// it.
const KernelTable * choose() {
    const Candidate candidates[] = {
#if defined(__x86_64__)
        {&avx2_kernels, has_avx2()},
        {&avx2_vnni_kernels, has_avx_vnni()},
        {&avx512_kernels, has_avx512()},
        {&avx512_vnni_kernels, has_avx512() && __builtin_cpu_supports("avx512vnni")},
#elif defined(__aarch64__)
        {&neon_kernels, true},
        {&neon_dotprod_kernels, has_dotprod()},
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
