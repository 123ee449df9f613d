// Checks the tensor table against the mapped files, hands out declared tensors and gives them their data.
#include "core/weights.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "core/device.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "core/storage_type.h"

namespace imageforge {

std::string to_string(const Shape & shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

namespace {

constexpr size_t max_tensors = 1 << 20;

struct Piece {
    uint32_t file;
    uint64_t offset;
    uint64_t bytes;
    float scale;
};

struct Row {
    StorageType storage;
    Shape shape;                // of the whole tensor
    std::vector<Piece> pieces;  // its bytes, one place behind the other
    bool composed;
    bool taps_first;
    Tensor declared = nullptr;
};

/// Shapes that differ in dimensions of 1 only describe the same bytes: a 1x1 convolution is a linear layer.
Shape without_ones(const Shape & shape) {
    Shape result;
    std::copy_if(shape.begin(), shape.end(), std::back_inserter(result), [](int64_t n) { return n != 1; });
    return result;
}

/// The shape as it lies in the file.
Shape stored_shape(const TensorEntry & entry) {
    if (!entry.taps_first) return entry.shape;
    int64_t taps;
    if (entry.shape.size() != 4 || __builtin_mul_overflow(entry.shape[0], entry.shape[1], &taps))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" with the shape %s can't be a convolution's kernel.", entry.name.c_str(),
             to_string(entry.shape).c_str());
    return {entry.shape[2], taps, entry.shape[3]};
}

/// The row's size in bytes; every product is checked before it is taken.
uint64_t checked_bytes(const TensorEntry & entry, const StorageType & storage) {
    const char * name = entry.name.c_str();
    if (entry.shape.size() > GGML_MAX_DIMS)
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has %zu dimensions, at most %d are possible.",
             name, entry.shape.size(), GGML_MAX_DIMS);
    uint64_t values = 1;
    for (const int64_t n : entry.shape) {
        if (n <= 0)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has a dimension of %lld in %s.", name,
                 static_cast<long long>(n), to_string(entry.shape).c_str());
        if (__builtin_mul_overflow(values, static_cast<uint64_t>(n), &values) || values > INT64_MAX / 16)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large: %s.", name,
                 to_string(entry.shape).c_str());
    }
    const uint64_t row = entry.shape.empty() ? 1 : static_cast<uint64_t>(stored_shape(entry).front());
    if (row % storage.block_values != 0)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of type %s has rows of %llu values, which are not whole blocks of %llu.",
             name, entry.type.c_str(), static_cast<unsigned long long>(row),
             static_cast<unsigned long long>(storage.block_values));
    uint64_t bytes;
    if (__builtin_mul_overflow(values / storage.block_values, storage.block_bytes, &bytes))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large: %s.", name,
             to_string(entry.shape).c_str());
    return bytes;
}

/// Adds the rows of `next` behind those of `whole`; a part that doesn't follow or doesn't fit is refused.
void append_rows(Row & whole, const Row & next, const TensorEntry & entry) {
    Shape expected = next.shape;
    if (!expected.empty() && !whole.shape.empty()) expected.back() = whole.shape.back();
    if (expected.empty() || expected != whole.shape || entry.first_row != whole.shape.back() ||
        next.storage.type != whole.storage.type || next.storage.conversion != whole.storage.conversion)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\": the part %s of type %s at row %lld doesn't continue %s.", entry.name.c_str(),
             to_string(next.shape).c_str(), entry.type.c_str(), static_cast<long long>(entry.first_row),
             to_string(whole.shape).c_str());
    if (__builtin_add_overflow(whole.shape.back(), next.shape.back(), &whole.shape.back()))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large.", entry.name.c_str());
    whole.pieces.push_back(next.pieces.front());
}

/// Multiplies `count` values of a floating-point type in place.
void apply_scale(ggml_type type, void * values, uint64_t count, float scale) {
    for (uint64_t i = 0; i < count; ++i) {
        switch (type) {
            case GGML_TYPE_F16: {
                ggml_fp16_t & value = static_cast<ggml_fp16_t *>(values)[i];
                value = ggml_fp32_to_fp16(ggml_fp16_to_fp32(value) * scale);
                break;
            }
            case GGML_TYPE_BF16: {
                ggml_bf16_t & value = static_cast<ggml_bf16_t *>(values)[i];
                value = ggml_fp32_to_bf16(ggml_bf16_to_fp32(value) * scale);
                break;
            }
            default:
                static_cast<float *>(values)[i] *= scale;
        }
    }
}

/// What a processor needs to read the type where it lies.
uint64_t alignment_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
            return 2;
        default:
            return 4;  // F32, and the scales inside of quantised blocks
    }
}

struct FreeContext {
    void operator()(ggml_context * context) const { ggml_free(context); }
};
struct FreeBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

}  // namespace

struct WeightStore::Impl {
    explicit Impl(Device & d) : device(d) {}

    Device & device;
    std::vector<std::unique_ptr<MappedFile>> files;
    std::unordered_map<std::string, Row> rows;
    std::unique_ptr<ggml_context, FreeContext> context;
    // Buffers over the mapped files come before our own, and both go before the files.
    std::vector<std::unique_ptr<ggml_backend_buffer, FreeBuffer>> buffers;
    uint64_t mapped = 0, allocated = 0;
    bool loaded = false;

    Tensor declare(const std::string & name, const Shape & shape);
    bool usable_in_place(const Row & row) const;
    void place_mapped();
    void place_rest();
    void upload(const Row & row) const;
    const MappedFile * file_of(const ggml_tensor * tensor) const;
    void advise(const ggml_tensor * tensor, PageAdvice advice) const;
};

WeightStore::WeightStore(Device & device, WeightTable table) : impl_(std::make_unique<Impl>(device)) {
    if (table.tensors.size() > max_tensors)
        fail(ErrorCode::WeightsInvalid, "The tensor table has %zu rows, at most %zu are possible.",
             table.tensors.size(), max_tensors);
    for (const std::string & file : table.files) impl_->files.push_back(std::make_unique<MappedFile>(file));
    for (const TensorEntry & entry : table.tensors) {
        const char * name = entry.name.c_str();
        if (entry.file >= impl_->files.size())
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is said to lie in file %u of %zu.", name,
                 entry.file, impl_->files.size());
        const StorageType storage = storage_type(entry.type, entry.name);
        const uint64_t bytes = checked_bytes(entry, storage);
        const MappedFile & file = *impl_->files[entry.file];
        uint64_t end;
        if (__builtin_add_overflow(entry.offset, bytes, &end) || end > file.size())
            fail(ErrorCode::WeightsInvalid,
                 "Tensor \"%.200s\" of %llu bytes at offset %llu lies outside of %s, which has %llu bytes. "
                 "The file is damaged or was not downloaded completely.",
                 name, static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(entry.offset),
                 file.path().c_str(), static_cast<unsigned long long>(file.size()));
        if (entry.scale != 1 && (!std::isfinite(entry.scale) || storage.block_values > 1))
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" of type %s has the scale %g.", name,
                 entry.type.c_str(), static_cast<double>(entry.scale));
        if (entry.taps_first && storage.block_values == 1)
            fail(ErrorCode::WeightsInvalid,
                 "Tensor \"%.200s\" of type %s is said to have its taps first; only quantised kernels have.",
                 name, entry.type.c_str());
        const Row row = {storage,
                         stored_shape(entry),
                         {{entry.file, entry.offset, bytes, entry.scale}},
                         entry.first_row >= 0,
                         entry.taps_first};
        const auto [place, is_new] = impl_->rows.emplace(entry.name, row);
        if (is_new && entry.first_row <= 0) continue;
        if (is_new || !row.composed || !place->second.composed)
            fail(ErrorCode::WeightsInvalid,
                 "Tensor \"%.200s\" is in the table twice, or begins with its row %lld.", name,
                 static_cast<long long>(entry.first_row));
        append_rows(place->second, row, entry);
    }
    ggml_init_params params = {};
    params.mem_size = (table.tensors.size() + 1) * ggml_tensor_overhead();
    params.no_alloc = true;
    impl_->context.reset(ggml_init(params));
    if (!impl_->context) fail(ErrorCode::OutOfMemory, "Not enough memory for the tensor table.");
}

WeightStore::~WeightStore() = default;

Tensor WeightStore::Impl::declare(const std::string & name, const Shape & shape) {
    const auto found = rows.find(name);
    if (found == rows.end()) return nullptr;
    Row & row = found->second;
    if (without_ones(row.shape) != without_ones(shape))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has the shape %s, the network needs %s.",
             name.c_str(), to_string(row.shape).c_str(), to_string(shape).c_str());
    if (!row.storage.weights || (row.storage.block_values > 1 && shape.front() != row.shape.front()))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" is stored as %s with the shape %s, which can't be a weight %s.", name.c_str(),
             ggml_type_name(row.storage.type), to_string(row.shape).c_str(), to_string(shape).c_str());
    if (row.declared) {
        if (Shape(row.declared->ne, row.declared->ne + shape.size()) != shape)
            fail(ErrorCode::Internal, "Tensor \"%.200s\" is declared with two shapes.", name.c_str());
        return row.declared;
    }
    if (loaded) fail(ErrorCode::Internal, "Tensor \"%.200s\" is declared after loading.", name.c_str());
    const ggml_type type = shape.size() <= 1 ? GGML_TYPE_F32 : row.storage.type;
    row.declared = ggml_new_tensor(context.get(), type, static_cast<int>(shape.size()), shape.data());
    ggml_set_name(row.declared, name.c_str());
    return row.declared;
}

bool WeightStore::Impl::usable_in_place(const Row & row) const {
    const Piece & first = row.pieces.front();
    return device.is_cpu() && row.pieces.size() == 1 && first.scale == 1 &&
           row.storage.conversion == Conversion::None && row.declared->type == row.storage.type &&
           first.offset % alignment_of(row.storage.type) == 0;
}

void WeightStore::Impl::place_mapped() {
    const ggml_backend_dev_t dev = ggml_backend_get_device(device.backend());
    std::vector<ggml_backend_buffer_t> over(files.size(), nullptr);
    for (auto & [name, row] : rows) {
        if (!row.declared || !usable_in_place(row)) continue;
        const Piece & place = row.pieces.front();
        const MappedFile & file = *files[place.file];
        uint8_t * data = const_cast<uint8_t *>(file.data());
        if (!over[place.file]) {
            over[place.file] = ggml_backend_dev_buffer_from_host_ptr(dev, data, file.size(), file.size());
            if (!over[place.file]) fail(ErrorCode::Internal, "The CPU backend doesn't take mapped files.");
            ggml_backend_buffer_set_usage(over[place.file], GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
            buffers.emplace_back(over[place.file]);
        }
        ggml_backend_tensor_alloc(over[place.file], row.declared, data + place.offset);
        mapped += place.bytes;
    }
}

void WeightStore::Impl::place_rest() {
    const size_t needed = ggml_backend_alloc_ctx_tensors_from_buft_size(context.get(), device.buffer_type());
    if (needed == 0) return;
    device.require_memory(needed, "the weights");
    const ggml_backend_buffer_t buffer =
        ggml_backend_alloc_ctx_tensors_from_buft(context.get(), device.buffer_type());
    if (!buffer) device.refuse_memory(needed, "the weights");
    ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    allocated += ggml_backend_buffer_get_size(buffer);
    buffers.emplace_back(buffer);
}

/// Copies a row to its own buffer, through F32 where only the type changes (a bias in F16).
void WeightStore::Impl::upload(const Row & row) const {
    const Tensor tensor = row.declared;
    const StorageType & storage = row.storage;
    uint64_t done = 0;
    for (const Piece & piece : row.pieces) {
        const uint8_t * data = files[piece.file]->data() + piece.offset;
        if (storage.conversion == Conversion::None && tensor->type == storage.type && piece.scale == 1) {
            ggml_backend_tensor_set(tensor, data, done, piece.bytes);
            done += piece.bytes;
            continue;
        }
        const uint64_t count = piece.bytes / storage.block_bytes * storage.block_values;
        std::vector<uint8_t> values;
        if (storage.conversion == Conversion::None) {
            values.assign(data, data + piece.bytes);  // aligned now
        } else {
            values.resize(count * ggml_type_size(storage.type));
            convert(storage.conversion, data, values.data(), count);
        }
        if (piece.scale != 1) apply_scale(storage.type, values.data(), count, piece.scale);
        if (tensor->type != storage.type) {
            std::vector<uint8_t> floats(count * sizeof(float));
            ggml_get_type_traits(storage.type)
                ->to_float(values.data(), reinterpret_cast<float *>(floats.data()),
                           static_cast<int64_t>(count));
            values.swap(floats);
        }
        ggml_backend_tensor_set(tensor, values.data(), done, values.size());
        done += values.size();
    }
}

void WeightStore::load() {
    Impl & store = *impl_;
    if (store.loaded) fail(ErrorCode::Internal, "The weights are loaded already.");
    check_files();
    store.loaded = true;
    store.place_mapped();
    store.place_rest();
    for (const auto & [name, row] : store.rows) {
        if (store.device.abort_flag()) fail(ErrorCode::Aborted, "Aborted while loading weights.");
        if (row.declared && !store.file_of(row.declared)) store.upload(row);
    }
}

void WeightStore::check_files() const {
    for (const auto & file : impl_->files) file->check_unchanged();
}

/// The file that the tensor's bytes lie in, or nullptr.
const MappedFile * WeightStore::Impl::file_of(const ggml_tensor * tensor) const {
    const uint8_t * data = static_cast<const uint8_t *>(tensor->data);
    for (const auto & file : files)
        if (data >= file->data() && data < file->data() + file->size()) return file.get();
    return nullptr;
}

void WeightStore::Impl::advise(const ggml_tensor * tensor, PageAdvice advice) const {
    const MappedFile * file = file_of(tensor);
    if (!file) return;
    const uint64_t offset = static_cast<uint64_t>(static_cast<const uint8_t *>(tensor->data) - file->data());
    file->advise(offset, ggml_nbytes(tensor), advice);
}

bool WeightStore::is_mapped(const ggml_tensor * tensor) const { return impl_->file_of(tensor) != nullptr; }

void WeightStore::prefetch(const ggml_tensor * tensor) const { impl_->advise(tensor, PageAdvice::WillNeed); }

void WeightStore::give_back(const ggml_tensor * tensor) const { impl_->advise(tensor, PageAdvice::DontNeed); }

void WeightStore::drop(const ggml_tensor * tensor) const { impl_->advise(tensor, PageAdvice::Drop); }

void WeightStore::give_back() const {
    for (const auto & file : impl_->files) file->advise(0, file->size(), PageAdvice::DontNeed);
}

Shape WeightStore::shape(const std::string & name) const {
    const auto found = impl_->rows.find(name);
    if (found == impl_->rows.end())
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is missing.", name.c_str());
    return found->second.shape;
}

Tensor WeightStore::declared(const std::string & name) const {
    const auto found = impl_->rows.find(name);
    return found == impl_->rows.end() ? nullptr : found->second.declared;
}

uint64_t WeightStore::bytes_mapped() const { return impl_->mapped; }

uint64_t WeightStore::bytes_allocated() const { return impl_->allocated; }

// ---- places in the table

Weights Weights::operator/(const std::string & part) const {
    return Weights(store_, prefix_.empty() ? part : prefix_ + "." + part);
}

bool Weights::has(const std::string & name) const {
    return store_->impl_->rows.count((*this / name).prefix_) != 0;
}

bool Weights::taps_first(const std::string & name) const {
    const auto found = store_->impl_->rows.find((*this / name).prefix_);
    return found != store_->impl_->rows.end() && found->second.taps_first;
}

Tensor Weights::find(const std::string & name, const Shape & shape) const {
    return store_->impl_->declare((*this / name).prefix_, shape);
}

Tensor Weights::get(const std::string & name, const Shape & shape) const {
    const Tensor tensor = find(name, shape);
    if (!tensor)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" is missing; the network needs it with the shape %s.",
             (*this / name).prefix_.c_str(), to_string(shape).c_str());
    return tensor;
}

}  // namespace imageforge
