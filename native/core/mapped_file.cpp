// POSIX mapping; the descriptor stays open so that the file's length can be looked at before each job.
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace imageforge {

MappedFile::MappedFile(const std::string & path) : path_(path) {
    // Not blocking: opening a named pipe would wait for a writer.
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file_ < 0)
        fail(ErrorCode::WeightsUnreadable, "Can't open the weight file %s: %s.", path.c_str(),
             std::strerror(errno));
    struct stat status;
    const char * reason = nullptr;
    if (fstat(file_, &status) != 0)
        reason = std::strerror(errno);
    else if (!S_ISREG(status.st_mode))
        reason = "it is not a regular file";
    else if (status.st_size <= 0)
        reason = "it is empty";
    void * data = MAP_FAILED;
    if (!reason) {
        size_ = static_cast<uint64_t>(status.st_size);
        data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_, 0);
        if (data == MAP_FAILED) reason = std::strerror(errno);
    }
    if (reason) {
        const std::string text = reason;
        close(file_);
        fail(ErrorCode::WeightsUnreadable, "Can't map the weight file %s: %s.", path.c_str(), text.c_str());
    }
    data_ = static_cast<const uint8_t *>(data);
}

MappedFile::~MappedFile() {
    munmap(const_cast<uint8_t *>(data_), size_);
    close(file_);
}

void MappedFile::check_unchanged() const {
    struct stat status;
    if (fstat(file_, &status) != 0)
        fail(ErrorCode::WeightsUnreadable, "Can't read the weight file %s: %s.", path_.c_str(),
             std::strerror(errno));
    if (static_cast<uint64_t>(status.st_size) < size_)
        fail(ErrorCode::WeightsUnreadable,
             "The weight file %s has shrunk since it was loaded, from %llu to %llu bytes. Restore it and "
             "load again.",
             path_.c_str(), static_cast<unsigned long long>(size_),
             static_cast<unsigned long long>(status.st_size));
}

void MappedFile::advise(uint64_t offset, uint64_t bytes, PageAdvice advice) const {
    if (bytes == 0 || offset >= size_) return;
    const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t begin = offset / page * page, end = std::min(size_, offset + bytes);
    madvise(const_cast<uint8_t *>(data_) + begin, end - begin,
            advice == PageAdvice::WillNeed ? MADV_WILLNEED : MADV_DONTNEED);
#ifdef POSIX_FADV_DONTNEED
    if (advice == PageAdvice::Drop)
        posix_fadvise(file_, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_DONTNEED);
#endif
}

}  // namespace imageforge
