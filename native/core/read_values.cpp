#include "core/read_values.h"

#include <memory>
#include <optional>

#include "core/device.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "core/stored_tensor.h"

namespace imageforge {

std::vector<float> read_values(const WeightTable & table, uint64_t first, uint64_t count) {
    std::vector<std::unique_ptr<MappedFile>> files;
    for (const std::string & file : table.files) files.push_back(std::make_unique<MappedFile>(file));
    const auto file_of = [&](uint32_t number) -> const MappedFile & {
        if (number >= files.size())
            fail(ErrorCode::InvalidArgument, "There is no file %u among %zu.", number, files.size());
        return *files[number];
    };
    std::optional<StoredTensor> tensor;
    for (const TensorEntry & entry : table.tensors) {
        StoredTensor row(entry, file_of(entry.file), entry.scales ? &file_of(entry.scales->file) : nullptr);
        if (!row.weights)
            fail(ErrorCode::InvalidArgument, "Tensor \"%.200s\" of type %s holds no weights.",
                 entry.name.c_str(), entry.type.c_str());
        if (tensor)
            tensor->append(row, entry);
        else
            tensor.emplace(std::move(row));
    }
    if (!tensor || count > tensor->rows() || first > tensor->rows() - count)
        fail(ErrorCode::InvalidArgument, "There are no %llu rows from row %llu on.",
             static_cast<unsigned long long>(count), static_cast<unsigned long long>(first));
    return tensor->read_rows(first, count, default_threads());
}

}  // namespace imageforge
