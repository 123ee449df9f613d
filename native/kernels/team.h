// The threads that compute one graph node together. ggml calls the operation once on each of them; they share
// out the work by claiming items, so that a thread the system has descheduled costs only the item it holds.
#pragma once
#include <atomic>
#include <cstdint>

namespace imageforge::kernels {

/// Lives in the node's own op_params: all zero between runs, and reset by the last thread that leaves.
struct TeamState {
    int32_t next;       // next unclaimed item
    int32_t arrived;    // threads waiting in barrier()
    int32_t phase;      // barriers passed
    int32_t finished;   // threads that have left
    int32_t shared[2];  // a pointer's bytes: op_params is aligned to 4 only
};

class Team {
public:
    Team(TeamState * state, int index, int size, const std::atomic<bool> * abort)
        : index(index), size(size), state_(state), abort_(abort) {}
    ~Team();
    Team(const Team &) = delete;
    Team & operator=(const Team &) = delete;

    const int index, size;

    /// Claims the next item; the caller stops at its own count of items.
    int64_t claim();
    /// Waits for all threads of the team; items are counted from 0 again after it.
    void barrier();
    /// True once the job was aborted. A thread that stops early still passes every barrier of the operation.
    bool stopped() const;
    /// Makes the pointer that thread 0 passes known to all. Contains a barrier.
    void * share(void * mine);

private:
    TeamState * state_;
    const std::atomic<bool> * abort_;
};

}  // namespace imageforge::kernels
