// Checks the tensor table against the mapped files, declares tensors and loads their data.
#include "core/weights.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>

#include <algorithm>
#include <unordered_map>

#include "core/device.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "core/stored_tensor.h"

namespace imageforge {

std::string to_string(const Shape & shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

namespace {

constexpr size_t max_tensors = 1 << 20;

/// Shapes that differ only in dimensions of 1 describe the same bytes: a 1 x 1 convolution is a linear layer.
Shape without_ones(const Shape & shape) {
    Shape result;
    std::copy_if(shape.begin(), shape.end(), std::back_inserter(result), [](int64_t n) { return n != 1; });
    return result;
}

/// Where a streamed tensor points while it is out of memory. ggml places no tensor that has data, and
/// computes with none that has no buffer.
void send_to_file(const StoredTensor & row) {
    row.declared->buffer = nullptr;
    row.declared->data = const_cast<uint8_t *>(row.pieces.front().data());
}

/// A tensor as it was before other values took its place.
struct Original {
    ggml_tensor tensor;
    Residence residence;
};

/// What makes up a tensor's values; its name and its place in the list of tensors stay.
void take_values(ggml_tensor & tensor, const ggml_tensor & from) {
    tensor.type = from.type;
    std::copy(std::begin(from.ne), std::end(from.ne), std::begin(tensor.ne));
    std::copy(std::begin(from.nb), std::end(from.nb), std::begin(tensor.nb));
    tensor.buffer = from.buffer;
    tensor.data = from.data;
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
    std::unordered_map<std::string, StoredTensor> rows;
    std::unordered_map<const ggml_tensor *, StoredTensor *> declared;
    std::unique_ptr<ggml_context, FreeContext> context;
    // Buffers over the mapped files come first, then our own. Declared after `files`, so that they go before
    // these.
    std::vector<std::unique_ptr<ggml_backend_buffer, FreeBuffer>> buffers;
    uint64_t mapped = 0, allocated = 0;
    bool loaded = false;
    std::unordered_map<Tensor, Original> originals;  // of the tensors that are replaced

    Tensor declare(const std::string & name, const Shape & shape);
    void place_mapped();
    void leave_in_files(double keep);
    void place_rest();
    bool resides(const ggml_tensor * tensor, Residence residence) const;
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
        if (entry.scales && entry.scales->file >= impl_->files.size())
            fail(ErrorCode::WeightsInvalid, "The scales of \"%.200s\" are said to lie in file %u of %zu.",
                 name, entry.scales->file, impl_->files.size());
        const StoredTensor row(entry, *impl_->files[entry.file],
                               entry.scales ? impl_->files[entry.scales->file].get() : nullptr);
        const auto [place, is_new] = impl_->rows.emplace(entry.name, row);
        if (is_new && entry.first_row <= 0) continue;
        if (is_new || !row.composed || !place->second.composed)
            fail(ErrorCode::WeightsInvalid,
                 "Tensor \"%.200s\" is in the table twice, or begins with its row %lld.", name,
                 static_cast<long long>(entry.first_row));
        place->second.append(row, entry);
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
    StoredTensor & row = found->second;
    if (without_ones(row.shape) != without_ones(shape))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has the shape %s, the network needs %s.",
             name.c_str(), to_string(row.shape).c_str(), to_string(shape).c_str());
    if (!row.weights || (ggml_blck_size(row.memory) > 1 && shape.front() != row.shape.front()))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" is stored as %s with the shape %s, which can't be a weight %s.", name.c_str(),
             row.type.c_str(), to_string(row.shape).c_str(), to_string(shape).c_str());
    if (row.declared) {
        if (Shape(row.declared->ne, row.declared->ne + shape.size()) != shape)
            fail(ErrorCode::Internal, "Tensor \"%.200s\" is declared with two shapes.", name.c_str());
        return row.declared;
    }
    if (loaded) fail(ErrorCode::Internal, "Tensor \"%.200s\" is declared after loading.", name.c_str());
    const ggml_type type = shape.size() <= 1 ? GGML_TYPE_F32 : row.memory;
    row.declared = ggml_new_tensor(context.get(), type, static_cast<int>(shape.size()), shape.data());
    ggml_set_name(row.declared, name.c_str());
    declared[row.declared] = &row;
    return row.declared;
}

void WeightStore::Impl::place_mapped() {
    if (!device.is_cpu()) return;
    const ggml_backend_dev_t dev = ggml_backend_get_device(device.backend());
    std::unordered_map<const MappedFile *, ggml_backend_buffer_t> over;
    for (auto & [tensor, row] : declared) {
        if (!row->usable_in_place()) continue;
        const Piece & place = row->pieces.front();
        const uint64_t size = place.file->size();
        ggml_backend_buffer_t & buffer = over[place.file];
        if (!buffer) {
            uint8_t * data = const_cast<uint8_t *>(place.file->data());
            buffer = ggml_backend_dev_buffer_from_host_ptr(dev, data, size, size);
            if (!buffer) fail(ErrorCode::Internal, "The CPU backend doesn't take mapped files.");
            ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
            buffers.emplace_back(buffer);
        }
        ggml_backend_tensor_alloc(buffer, row->declared, const_cast<uint8_t *>(place.data()));
        row->residence = Residence::Mapped;
        mapped += place.bytes;
    }
}

/// Picks among the matrices that need memory of their own. Vectors are small, and every graph needs them.
void WeightStore::Impl::leave_in_files(double keep) {
    EvenShare kept(keep);
    for (Tensor t = ggml_get_first_tensor(context.get()); t; t = ggml_get_next_tensor(context.get(), t)) {
        StoredTensor & row = *declared.at(t);
        if (row.residence != Residence::Own || ggml_n_dims(t) < 2 || kept.takes(ggml_nbytes(t))) continue;
        row.residence = Residence::Streamed;
        send_to_file(row);
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

void WeightStore::load(std::optional<double> keep) {
    Impl & store = *impl_;
    if (store.loaded) fail(ErrorCode::Internal, "The weights are loaded already.");
    check_files();
    store.loaded = true;
    store.place_mapped();
    if (keep) store.leave_in_files(*keep);
    store.place_rest();
    for (const auto & [tensor, row] : store.declared) {
        if (store.device.abort_flag()) fail(ErrorCode::Aborted, "Aborted while loading weights.");
        if (row->residence == Residence::Own) row->upload(store.device.threads());
    }
}

void WeightStore::check_files() const {
    for (const auto & file : impl_->files) file->check_unchanged();
}

bool WeightStore::Impl::resides(const ggml_tensor * tensor, Residence residence) const {
    const auto found = declared.find(tensor);
    return found != declared.end() && found->second->residence == residence;
}

bool WeightStore::is_mapped(const ggml_tensor * tensor) const {
    return impl_->resides(tensor, Residence::Mapped);
}

bool WeightStore::is_streamed(const ggml_tensor * tensor) const {
    return impl_->resides(tensor, Residence::Streamed);
}

void WeightStore::bring(Tensor tensor, ggml_tallocr & place) const {
    tensor->buffer = nullptr;
    tensor->data = nullptr;
    ggml_tallocr_alloc(&place, tensor);
    // The other half of the threads computes meanwhile.
    impl_->declared.at(tensor)->upload(std::max(1, impl_->device.threads() / 2));
}

void WeightStore::send_back(Tensor tensor) const {
    const StoredTensor & row = *impl_->declared.at(tensor);
    if (row.residence == Residence::Streamed) send_to_file(row);
}

std::vector<float> WeightStore::read_row(const ggml_tensor * table, int64_t row) const {
    return impl_->declared.at(table)->read_row(static_cast<uint64_t>(row));
}

void WeightStore::Impl::advise(const ggml_tensor * tensor, PageAdvice advice) const {
    const auto found = declared.find(tensor);
    if (found == declared.end()) return;
    const Residence residence = found->second->residence;
    if (residence != Residence::Mapped && residence != Residence::Streamed) return;
    for (const Piece & piece : found->second->pieces) piece.file->advise(piece.offset, piece.bytes, advice);
}

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

bool WeightStore::is_updatable(const ggml_tensor * tensor) const {
    const auto found = impl_->declared.find(tensor);
    return found != impl_->declared.end() && found->second->updatable;
}

std::vector<float> WeightStore::read(const std::string & name) const {
    return impl_->rows.at(name).read_all(impl_->device.threads());
}

const std::string & WeightStore::file_of(const std::string & name) const {
    return impl_->rows.at(name).pieces.front().file->path();
}

bool WeightStore::taps_first(const std::string & name) const { return impl_->rows.at(name).taps_first; }

void WeightStore::replace(Tensor tensor, const ggml_tensor * by) const {
    StoredTensor & row = *impl_->declared.at(tensor);
    impl_->originals.emplace(tensor, Original{*tensor, row.residence});
    row.residence = Residence::Replaced;
    take_values(*tensor, *by);
}

void WeightStore::restore() const {
    for (const auto & [tensor, original] : impl_->originals) {
        StoredTensor & row = *impl_->declared.at(tensor);
        take_values(*tensor, original.tensor);
        row.residence = original.residence;
        // A slot that it was brought to has had other guests since.
        if (row.residence == Residence::Streamed) send_to_file(row);
    }
    impl_->originals.clear();
}

uint64_t WeightStore::bytes_mapped() const { return impl_->mapped; }

uint64_t WeightStore::bytes_allocated() const { return impl_->allocated; }

// ---- looking up the table

Weights Weights::operator/(const std::string & part) const {
    return Weights(store_, prefix_.empty() ? part : prefix_ + "." + part);
}

bool Weights::has(const std::string & name) const {
    return store_->impl_->rows.count((*this / name).prefix_) != 0;
}

bool Weights::taps_first(const std::string & name) const {
    return has(name) && store_->taps_first((*this / name).prefix_);
}

Tensor Weights::get_updatable(const std::string & name, const Shape & shape) const {
    const Tensor tensor = get(name, shape);
    store_->impl_->declared.at(tensor)->updatable = true;
    return tensor;
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
