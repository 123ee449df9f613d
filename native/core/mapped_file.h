// A weight file mapped read-only into memory: its pages are shared with the page cache and cost nothing until
// read.
#pragma once
#include <cstdint>
#include <string>

namespace imageforge {

/// What becomes of pages: read ahead while something else computes, or given back to the system, which reads
/// them again when they are touched: from its cache of the file while there is room for that, or, when they
/// are dropped, from the disk.
enum class PageAdvice { WillNeed, DontNeed, Drop };

class MappedFile {
public:
    /// Throws WEIGHTS_UNREADABLE with the system's reason.
    explicit MappedFile(const std::string & path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;

    const std::string & path() const { return path_; }
    const uint8_t * data() const { return data_; }
    uint64_t size() const { return size_; }

    /// Throws WEIGHTS_UNREADABLE when the file is shorter than when it was mapped: reading the missing pages
    /// would end the process with a bus error. (A file that is replaced by a rename keeps its old bytes
    /// here.)
    void check_unchanged() const;

    /// For the pages that hold these bytes. Advice only: what the system makes of it is no error.
    void advise(uint64_t offset, uint64_t bytes, PageAdvice advice) const;

private:
    std::string path_;
    int file_ = -1;
    const uint8_t * data_ = nullptr;
    uint64_t size_ = 0;
};

}  // namespace imageforge
