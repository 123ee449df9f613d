// Reads tensor tables: where the tensors of a network lie, and in which form.
#include <algorithm>

#include "addon/convert.h"

namespace imageforge::addon {

namespace {

uint64_t read_count(const Napi::Object & object, const char * field, const std::string & what) {
    return static_cast<uint64_t>(
        read_integer(object.Get(field), what + "." + field, 0, static_cast<int64_t>(max_safe_integer)));
}

ScaleEntry read_scales(const Napi::Value & value, const std::string & what) {
    const Napi::Object object = read_object(value, what);
    ScaleEntry scales;
    scales.file = static_cast<uint32_t>(read_integer(object.Get("file"), what + ".file", 0, UINT32_MAX));
    scales.offset = read_count(object, "offset", what);
    scales.type = read_text(object.Get("type"), what + ".type");
    scales.rows = read_count(object, "rows", what);
    scales.columns = read_count(object, "columns", what);
    scales.block_rows = read_count(object, "blockRows", what);
    scales.block_columns = read_count(object, "blockColumns", what);
    const Napi::Value tiled = object.Get("tiled"), first = object.Get("firstRow");
    if (!tiled.IsUndefined()) scales.tiled = read_flag(tiled, what + ".tiled");
    if (!first.IsUndefined()) scales.first_row = read_count(object, "firstRow", what);
    return scales;
}

}  // namespace

WeightTable read_weights(const Napi::Value & value) {
    const Napi::Object object = read_object(value, "weights");
    const Napi::Array files = read_array(object.Get("files"), "weights.files");
    const Napi::Array tensors = read_array(object.Get("tensors"), "weights.tensors");
    WeightTable table;
    for (uint32_t i = 0; i < files.Length(); ++i) {
        table.files.push_back(read_text(files.Get(i), "weights.files[" + std::to_string(i) + "]"));
        if (table.files.back().find('\0') != std::string::npos)
            refuse("weights.files[" + std::to_string(i) + "]", "a path without a zero byte");
    }
    table.tensors.reserve(std::min<uint32_t>(tensors.Length(), 1 << 16));
    for (uint32_t i = 0; i < tensors.Length(); ++i) {
        const Napi::HandleScope scope(value.Env());
        const std::string what = "weights.tensors[" + std::to_string(i) + "]";
        const Napi::Object row = read_object(tensors.Get(i), what);
        TensorEntry entry;
        entry.name = read_text(row.Get("name"), what + ".name");
        entry.file = static_cast<uint32_t>(read_integer(row.Get("file"), what + ".file", 0, UINT32_MAX));
        entry.offset = static_cast<uint64_t>(
            read_integer(row.Get("offset"), what + ".offset", 0, static_cast<int64_t>(max_safe_integer)));
        entry.type = read_text(row.Get("type"), what + ".type");
        const Napi::Array dims = read_array(row.Get("shape"), what + ".shape");
        if (dims.Length() > 16) refuse(what + ".shape", "a list of at most 4 dimensions");
        // The tensor table checks the dimensions themselves: its errors name the tensor.
        for (uint32_t d = dims.Length(); d-- > 0;)
            entry.shape.push_back(read_integer(dims.Get(d), what + ".shape",
                                               -static_cast<int64_t>(max_safe_integer),
                                               static_cast<int64_t>(max_safe_integer)));
        const Napi::Value scale = row.Get("scale");
        if (!scale.IsUndefined()) entry.scale = static_cast<float>(read_number(scale, what + ".scale"));
        const Napi::Value scales = row.Get("scales");
        if (!scales.IsUndefined()) entry.scales = read_scales(scales, what + ".scales");
        const Napi::Value rotation = row.Get("rotation"), skip = row.Get("skip");
        if (!rotation.IsUndefined())
            entry.rotation = static_cast<uint64_t>(read_integer(rotation, what + ".rotation", 1, 1 << 16));
        entry.flat = !skip.IsUndefined();
        if (entry.flat) entry.skip = static_cast<uint64_t>(read_integer(skip, what + ".skip", 0, 1 << 16));
        const Napi::Value first = row.Get("row");
        if (!first.IsUndefined()) entry.first_row = read_integer(first, what + ".row", 0, max_safe_integer);
        const Napi::Value taps_first = row.Get("tapsFirst");
        if (!taps_first.IsUndefined()) entry.taps_first = read_flag(taps_first, what + ".tapsFirst");
        table.tensors.push_back(std::move(entry));
    }
    return table;
}

}  // namespace imageforge::addon
