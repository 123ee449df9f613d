// A weight file mapped read-only into memory: its pages belong to the page cache and cost nothing until
// they are read.
#pragma once
#include <cstdint>
#include <string>

namespace imageforge {

/// WillNeed: pages are read in the background. DontNeed: they leave resident memory, and the next access
/// finds them in the file cache while that has room. Drop: they leave the cache too, and the next access
/// reads the disk.
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

    /// Advises about the pages that hold these bytes. The system may ignore it; that is no error.
    void advise(uint64_t offset, uint64_t bytes, PageAdvice advice) const;

private:
    std::string path_;
    int file_ = -1;
    const uint8_t * data_ = nullptr;
    uint64_t size_ = 0;
};

}  // namespace imageforge
