#include "scratch.h"

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "kernels.h"

#ifdef _WIN32
#include <malloc.h>
#endif

namespace imageforge::kernels {

namespace {

constexpr size_t alignment = 4096;

struct Block {
    void * data;
    size_t bytes;
};

struct Pool {
    std::mutex mutex;
    std::vector<Block> idle;
    size_t total = 0;  // idle and leased
};

Pool & pool() {
    static Pool * instance = new Pool;  // never destroyed: threads may outlive static objects
    return *instance;
}

void * allocate(size_t bytes) {
#ifdef _WIN32
    void * data = _aligned_malloc(bytes, alignment);
#else
    void * data = std::aligned_alloc(alignment, bytes);
#endif
    if (!data) throw std::bad_alloc();
    return data;
}

void release(void * data) {
#ifdef _WIN32
    _aligned_free(data);
#else
    std::free(data);
#endif
}

/// The smallest idle block of at least `bytes`, unless it would mostly be wasted; -1 when there is none.
int find_fitting(const std::vector<Block> & idle, size_t bytes) {
    int best = -1;
    for (int i = 0; i < static_cast<int>(idle.size()); i++) {
        if (idle[i].bytes < bytes || idle[i].bytes > 4 * bytes + (1u << 20)) continue;
        if (best < 0 || idle[i].bytes < idle[best].bytes) best = i;
    }
    return best;
}

/// The largest idle block that is too small, which a larger one then replaces; -1 when there is none.
int find_outgrown(const std::vector<Block> & idle, size_t bytes) {
    int best = -1;
    for (int i = 0; i < static_cast<int>(idle.size()); i++) {
        if (idle[i].bytes < bytes && (best < 0 || idle[i].bytes > idle[best].bytes)) best = i;
    }
    return best;
}

}  // namespace

Scratch::Scratch(size_t bytes) : data_(nullptr), bytes_(0) {
    if (bytes == 0) return;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    Pool & p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    const int fitting = find_fitting(p.idle, bytes);
    if (fitting >= 0) {
        data_ = p.idle[fitting].data;
        bytes_ = p.idle[fitting].bytes;
        p.idle.erase(p.idle.begin() + fitting);
        return;
    }
    const int outgrown = find_outgrown(p.idle, bytes);
    if (outgrown >= 0) {
        release(p.idle[outgrown].data);
        p.total -= p.idle[outgrown].bytes;
        p.idle.erase(p.idle.begin() + outgrown);
    }
    data_ = allocate(bytes);
    bytes_ = bytes;
    p.total += bytes;
}

Scratch::~Scratch() {
    if (!data_) return;
    Pool & p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    p.idle.push_back({data_, bytes_});
}

size_t scratch_bytes() {
    Pool & p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    return p.total;
}

void release_scratch() {
    Pool & p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    for (const Block & block : p.idle) {
        release(block.data);
        p.total -= block.bytes;
    }
    p.idle.clear();
}

}  // namespace imageforge::kernels
