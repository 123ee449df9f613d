// Working memory of the kernels: blocks leased for one operation from a pool. Thread-local buffers would be
// lost: ggml's threads end with every graph.
#pragma once
#include <cstddef>

namespace imageforge::kernels {

/// A block of at least `bytes` (none for 0), aligned to a cache line, returned to the pool at the end of its
/// scope.
class Scratch {
public:
    explicit Scratch(size_t bytes);
    ~Scratch();
    Scratch(const Scratch &) = delete;
    Scratch & operator=(const Scratch &) = delete;

    void * data() const { return data_; }
    float * floats() const { return static_cast<float *>(data_); }

private:
    void * data_;
    size_t bytes_;
};

}  // namespace imageforge::kernels
