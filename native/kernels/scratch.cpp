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

}  // namespace

Scratch::Scratch(size_t bytes) {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    Pool & p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    int fitting = -1;
    for (int i = 0; i < static_cast<int>(p.idle.size()); i++) {
        if (p.idle[i].bytes >= bytes && (fitting < 0 || p.idle[i].bytes < p.idle[fitting].bytes)) fitting = i;
    }
    if (fitting < 0) {
        // The largest idle block is too small: replace it, so that the pool never holds more blocks than
        // leases.
        if (!p.idle.empty()) {
            int largest = 0;
            for (int i = 1; i < static_cast<int>(p.idle.size()); i++) {
                if (p.idle[i].bytes > p.idle[largest].bytes) largest = i;
            }
            release(p.idle[largest].data);
            p.total -= p.idle[largest].bytes;
            p.idle.erase(p.idle.begin() + largest);
        }
        data_ = allocate(bytes);
        bytes_ = bytes;
        p.total += bytes;
        return;
    }
    data_ = p.idle[fitting].data;
    bytes_ = p.idle[fitting].bytes;
    p.idle.erase(p.idle.begin() + fitting);
}

Scratch::~Scratch() {
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
