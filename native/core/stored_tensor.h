// One tensor as it lies in the mapped files: in one piece or several, perhaps in a type that is converted.
#pragma once
#include <cstdint>
#include <vector>

#include "core/mapped_file.h"
#include "core/storage_type.h"
#include "core/weights.h"

namespace imageforge {

/// Consecutive rows of a tensor.
struct Piece {
    const MappedFile * file;
    uint64_t offset;
    uint64_t bytes;
    float scale;

    const uint8_t * data() const { return file->data() + offset; }
};

/// Where a network's tensor has its bytes.
enum class Residence {
    Own,       // in a buffer of the store
    Mapped,    // in the file, where they are used
    Streamed,  // in the file, from where they are brought when they are needed
};

struct StoredTensor {
    StorageType storage;
    Shape shape;                // of the whole
    std::vector<Piece> pieces;  // one behind the other
    bool composed;
    bool taps_first;
    Tensor declared = nullptr;  // what the network sees of it
    Residence residence = Residence::Own;

    /// Throws WEIGHTS_INVALID where the entry contradicts itself or the file.
    StoredTensor(const TensorEntry & entry, const MappedFile & file);
    /// Adds the rows of `next` behind those that are there; a part that doesn't follow or doesn't fit is
    /// refused.
    void append(const StoredTensor & next, const TensorEntry & entry);

    /// True when the bytes of the file are what the declared tensor consists of.
    bool is_plain(const Piece & piece) const;
    /// True when they can also be used where they lie.
    bool usable_in_place() const;
    /// Copies all of it to where the declared tensor lies.
    void upload() const;
    /// One row, whatever its type.
    std::vector<float> read_row(int64_t row) const;

private:
    std::vector<uint8_t> read(const Piece & piece, uint64_t first_block, uint64_t blocks,
                              ggml_type type) const;
};

}  // namespace imageforge
