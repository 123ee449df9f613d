// Free host memory under every limit that can get this process killed. A figure too high means a killed
// engine.
#include "core/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#if defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace imageforge {

std::string format_bytes(uint64_t bytes) {
    char text[32];
    const double value = static_cast<double>(bytes);
    if (bytes >= (1ull << 30))
        std::snprintf(text, sizeof text, "%.1f GiB", value / (1ull << 30));
    else if (bytes >= (1ull << 20))
        std::snprintf(text, sizeof text, "%.0f MiB", value / (1ull << 20));
    else
        std::snprintf(text, sizeof text, "%.0f KiB", value / 1024);
    return text;
}

#if defined(__APPLE__)

SystemMemory system_memory() {
    SystemMemory memory;
    size_t size = sizeof memory.total;
    sysctlbyname("hw.memsize", &memory.total, &size, nullptr, 0);
    vm_statistics64_data_t statistics;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&statistics),
                          &count) == KERN_SUCCESS)
        memory.free = (static_cast<uint64_t>(statistics.free_count) + statistics.inactive_count +
                       statistics.purgeable_count) *
                      vm_page_size;
    return memory;
}

#else

namespace {

/// The number in a one-number file; `otherwise` for "max" and unreadable files.
uint64_t read_number(const std::string & path, uint64_t otherwise) {
    std::ifstream file(path);
    uint64_t value = 0;
    return file >> value ? value : otherwise;
}

/// The value behind `key` in a file of "key value" lines.
uint64_t read_field(const std::string & path, const std::string & key) {
    std::ifstream file(path);
    std::string name, rest;
    uint64_t value = 0;
    while (file >> name >> value) {
        if (name == key) return value;
        std::getline(file, rest);
    }
    return 0;
}

void limit(SystemMemory & memory, uint64_t total, uint64_t used) {
    memory.total = std::min(memory.total, total);
    memory.free = std::min(memory.free, total > used ? total - used : 0);
}

/// Control groups nest and each may set a limit, so this walks from the process's group to the root.
void limit_by_control_groups(SystemMemory & memory) {
    std::ifstream groups("/proc/self/cgroup");
    std::string line;
    while (std::getline(groups, line)) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
        const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        for (std::string group = line.substr(second + 1);; group = group.substr(0, group.rfind('/'))) {
            const std::string folder = root + (group == "/" ? "" : group) + "/";
            const std::string statistics = folder + "memory.stat";
            if (unified) {
                const uint64_t most = read_number(folder + "memory.max", UINT64_MAX);
                const uint64_t cache =
                    read_field(statistics, "inactive_file") + read_field(statistics, "active_file");
                const uint64_t used = read_number(folder + "memory.current", 0);
                if (most != UINT64_MAX) limit(memory, most, used > cache ? used - cache : 0);
            } else {
                const uint64_t most = read_number(folder + "memory.limit_in_bytes", UINT64_MAX);
                const uint64_t cache = read_field(statistics, "total_inactive_file") +
                                       read_field(statistics, "total_active_file");
                const uint64_t used = read_number(folder + "memory.usage_in_bytes", 0);
                if (most < (1ull << 60)) limit(memory, most, used > cache ? used - cache : 0);
            }
            if (group.empty() || group == "/") break;
        }
    }
}

void limit_by_address_space(SystemMemory & memory) {
    rlimit most;
    if (getrlimit(RLIMIT_AS, &most) != 0 || most.rlim_cur == RLIM_INFINITY) return;
    const uint64_t used = read_number("/proc/self/statm", 0) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    memory.free = std::min<uint64_t>(memory.free, most.rlim_cur > used ? most.rlim_cur - used : 0);
}

}  // namespace

SystemMemory system_memory() {
    SystemMemory memory;
    memory.total = read_field("/proc/meminfo", "MemTotal:") * 1024;
    memory.free = read_field("/proc/meminfo", "MemAvailable:") * 1024;
    if (memory.total == 0) {  // no procfs
        const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
        memory.total = memory.free = page * static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
    }
    limit_by_control_groups(memory);
    limit_by_address_space(memory);
    return memory;
}

#endif

}  // namespace imageforge
