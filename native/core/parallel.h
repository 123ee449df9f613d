// Work on threads of its own, for what is done once and not inside of a graph.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace imageforge {

/// Calls body(i) for each i < count on up to `threads` threads; the first exception is thrown again here.
template <typename Body>
void for_each_in_parallel(uint64_t count, int threads, const Body & body) {
    std::atomic<uint64_t> next{0};
    std::mutex guard;
    std::exception_ptr error;
    const auto work = [&] {
        for (uint64_t i = next++; i < count; i = next++) {
            try {
                body(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(guard);
                if (!error) error = std::current_exception();
                next = count;
            }
        }
    };
    std::vector<std::thread> helpers;
    for (uint64_t i = 1; i < count && i < static_cast<uint64_t>(threads); ++i) helpers.emplace_back(work);
    work();
    for (std::thread & helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace imageforge
