// Checks values and copies them: a job owns what it works on, whatever JavaScript does to its arrays
// meanwhile.
#include "addon/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace imageforge::addon {

namespace {

/// JavaScript order (slowest first) in, ggml order (fastest first) out.
Shape read_shape(const Napi::Value & value, const std::string & what, uint32_t max_dims, int64_t low) {
    const Napi::Array dims = read_array(value, what);
    if (dims.Length() > max_dims)
        fail(ErrorCode::InvalidArgument, "%s has %u dimensions, at most %u are possible.", what.c_str(),
             dims.Length(), max_dims);
    Shape shape;
    for (uint32_t i = dims.Length(); i-- > 0;)
        shape.push_back(read_integer(dims.Get(i), what + "[" + std::to_string(i) + "]", low, max_dimension));
    return shape;
}

template <typename Array>
Array read_typed_array(const Napi::Value & value, napi_typedarray_type type, const std::string & what,
                       const char * expected) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
        refuse(what, expected);
    return value.As<Array>();
}

}  // namespace

[[noreturn]] void refuse(const std::string & what, const char * expected) {
    fail(ErrorCode::InvalidArgument, "%s must be %s.", what.c_str(), expected);
}

bool is_missing(const Napi::Value & value) { return value.IsUndefined() || value.IsNull(); }

Napi::Array read_array(const Napi::Value & value, const std::string & what) {
    if (!value.IsArray()) refuse(what, "an array");
    return value.As<Napi::Array>();
}

Napi::Error to_js_error(Napi::Env env, const Error & error) {
    Napi::Error js = Napi::Error::New(env, error.what());
    js.Set("code", Napi::String::New(env, to_string(error.code())));
    return js;
}

Napi::Value to_js(Napi::Env env, const HostTensor & tensor) {
    Napi::Object object = Napi::Object::New(env);
    Napi::Float32Array data = Napi::Float32Array::New(env, tensor.data.size());
    if (!tensor.data.empty())
        std::memcpy(data.Data(), tensor.data.data(), tensor.data.size() * sizeof(float));
    Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
    for (size_t i = 0; i < tensor.shape.size(); ++i)
        shape.Set(static_cast<uint32_t>(tensor.shape.size() - 1 - i),
                  Napi::Number::New(env, static_cast<double>(tensor.shape[i])));
    object.Set("data", data);
    object.Set("shape", shape);
    return object;
}

Napi::Value to_js(Napi::Env env, const std::vector<HostTensor> & tensors) {
    Napi::Array result = Napi::Array::New(env, tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) result.Set(static_cast<uint32_t>(i), to_js(env, tensors[i]));
    return result;
}

Napi::Value to_js(Napi::Env env, const Encoding & encoding) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("hidden", to_js(env, encoding.hidden));
    if (encoding.pooled) result.Set("pooled", to_js(env, *encoding.pooled));
    return result;
}

Napi::Value to_js(Napi::Env env, const Posterior & posterior) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("mean", to_js(env, posterior.mean));
    if (posterior.std) result.Set("std", to_js(env, *posterior.std));
    return result;
}

Napi::Value to_js(Napi::Env env, const DeviceInfo & info) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("id", info.id);
    object.Set("kind", info.kind);
    object.Set("name", info.name);
    object.Set("memoryTotal", static_cast<double>(info.memory_total));
    object.Set("memoryFree", static_cast<double>(info.memory_free));
    return object;
}

Napi::Object read_object(const Napi::Value & value, const std::string & what) {
    if (!value.IsObject()) refuse(what, "an object");
    return value.As<Napi::Object>();
}

std::string read_text(const Napi::Value & value, const std::string & what) {
    if (!value.IsString()) refuse(what, "a string");
    return value.As<Napi::String>().Utf8Value();
}

double read_number(const Napi::Value & value, const std::string & what) {
    if (!value.IsNumber()) refuse(what, "a number");
    const double number = value.As<Napi::Number>().DoubleValue();
    if (!std::isfinite(number)) refuse(what, "a finite number");
    return number;
}

int64_t read_integer(const Napi::Value & value, const std::string & what, int64_t low, int64_t high) {
    const double number = read_number(value, what);
    if (number != std::floor(number) || number < static_cast<double>(low) ||
        number > static_cast<double>(high))
        fail(ErrorCode::InvalidArgument, "%s must be a whole number from %lld to %lld, found %g.",
             what.c_str(), static_cast<long long>(low), static_cast<long long>(high), number);
    return static_cast<int64_t>(number);
}

bool read_flag(const Napi::Value & value, const std::string & what) {
    if (!value.IsBoolean()) refuse(what, "true or false");
    return value.As<Napi::Boolean>().Value();
}

HostTensor read_tensor(const Napi::Value & value, const std::string & what) {
    const Napi::Object object = read_object(value, what);
    const auto data = read_typed_array<Napi::Float32Array>(object.Get("data"), napi_float32_array,
                                                           what + ".data", "a Float32Array");
    HostTensor tensor;
    tensor.shape = read_shape(object.Get("shape"), what + ".shape", GGML_MAX_DIMS, 1);
    uint64_t count = 1;
    for (const int64_t n : tensor.shape)
        if (__builtin_mul_overflow(count, static_cast<uint64_t>(n), &count)) count = UINT64_MAX;
    if (tensor.shape.empty() || count != data.ElementLength())
        fail(ErrorCode::InvalidArgument, "%s has %zu values, which don't make its shape (fastest first) %s.",
             what.c_str(), data.ElementLength(), to_string(tensor.shape).c_str());
    tensor.data.assign(data.Data(), data.Data() + data.ElementLength());
    return tensor;
}

std::vector<int32_t> read_tokens(const Napi::Value & value) {
    const auto array = read_typed_array<Napi::Int32Array>(value, napi_int32_array, "tokens", "an Int32Array");
    return std::vector<int32_t>(array.Data(), array.Data() + array.ElementLength());
}

EncodeOptions read_encode_options(const Napi::Value & value) {
    EncodeOptions options;
    if (is_missing(value)) return options;
    const Napi::Object object = read_object(value, "options");
    const Napi::Value layers = object.Get("layers"), norm = object.Get("norm"),
                      project = object.Get("project"), mask = object.Get("mask"),
                      embeddings = object.Get("embeddings");
    if (!is_missing(layers)) {
        const Napi::Array list = read_array(layers, "options.layers");
        for (uint32_t i = 0; i < list.Length(); ++i)
            options.layers.push_back(static_cast<int>(
                read_integer(list.Get(i), "options.layers[" + std::to_string(i) + "]", 0, 1 << 16)));
    }
    if (!is_missing(norm)) options.norm = read_flag(norm, "options.norm");
    if (!is_missing(project)) options.project = read_flag(project, "options.project");
    if (!is_missing(mask)) {
        const auto array =
            read_typed_array<Napi::Uint8Array>(mask, napi_uint8_array, "options.mask", "a Uint8Array");
        options.mask.assign(array.Data(), array.Data() + array.ElementLength());
    }
    if (!is_missing(embeddings)) options.embeddings = read_tensor(embeddings, "options.embeddings");
    return options;
}

ConditioningInputs read_conditioning_inputs(const Napi::Value & value, const std::string & what) {
    const Napi::Object object = read_object(value, what);
    ConditioningInputs inputs;
    inputs.context = read_tensor(object.Get("context"), what + ".context");
    const Napi::Value vector = object.Get("vector"), guidance = object.Get("guidance"),
                      concat = object.Get("concat"), references = object.Get("references");
    if (!is_missing(vector)) inputs.vector = read_tensor(vector, what + ".vector");
    if (!is_missing(guidance))
        inputs.guidance = static_cast<float>(read_number(guidance, what + ".guidance"));
    if (!is_missing(concat)) inputs.concat = read_tensor(concat, what + ".concat");
    if (!is_missing(references)) {
        const Napi::Array list = read_array(references, what + ".references");
        for (uint32_t i = 0; i < list.Length(); ++i)
            inputs.references.push_back(
                read_tensor(list.Get(i), what + ".references[" + std::to_string(i) + "]"));
    }
    return inputs;
}

HostTensor read_image(const Napi::Value & value) {
    const Napi::Object object = read_object(value, "image");
    if (!object.Has("rgb")) return read_tensor(value, "image");
    const auto rgb =
        read_typed_array<Napi::Uint8Array>(object.Get("rgb"), napi_uint8_array, "image.rgb", "a Uint8Array");
    const int64_t width = read_integer(object.Get("width"), "image.width", 1, 1 << 16);
    const int64_t height = read_integer(object.Get("height"), "image.height", 1, 1 << 16);
    if (static_cast<uint64_t>(width * height * 3) != rgb.ElementLength())
        fail(ErrorCode::InvalidArgument, "image.rgb has %zu bytes, a picture of %lld x %lld has %lld.",
             rgb.ElementLength(), static_cast<long long>(width), static_cast<long long>(height),
             static_cast<long long>(width * height * 3));
    HostTensor tensor = {{width, height, 3}, std::vector<float>(rgb.ElementLength())};
    const uint8_t * from = rgb.Data();
    const size_t plane = static_cast<size_t>(width * height);
    for (size_t i = 0; i < plane; ++i)
        for (size_t c = 0; c < 3; ++c)
            tensor.data[c * plane + i] = static_cast<float>(from[3 * i + c]) / 127.5f - 1.0f;
    return tensor;
}

Config read_config(const Napi::Value & value) {
    const Napi::Object object = read_object(value, "config");
    const Napi::Array keys = object.GetPropertyNames();
    Config config;
    for (uint32_t i = 0; i < keys.Length(); ++i) {
        const std::string key = keys.Get(i).ToString().Utf8Value();
        const Napi::Value entry = object.Get(key);
        if (entry.IsUndefined()) continue;
        if (entry.IsNumber()) {
            config.set(key, entry.As<Napi::Number>().DoubleValue());
        } else if (entry.IsBoolean()) {
            config.set(key, entry.As<Napi::Boolean>().Value());
        } else if (entry.IsString()) {
            config.set(key, entry.As<Napi::String>().Utf8Value());
        } else if (entry.IsArray()) {
            const Napi::Array list = entry.As<Napi::Array>();
            std::vector<double> numbers;
            for (uint32_t j = 0; j < list.Length(); ++j)
                numbers.push_back(read_number(list.Get(j), "config." + key + "[" + std::to_string(j) + "]"));
            config.set(key, std::move(numbers));
        } else {
            refuse("config." + key, "a number, true or false, a string or an array of numbers");
        }
    }
    return config;
}

std::vector<uint8_t> to_pixels(const HostTensor & image) {
    const size_t plane = image.data.size() / 3;
    std::vector<uint8_t> rgb(plane * 3);
    for (size_t c = 0; c < 3; ++c)
        for (size_t i = 0; i < plane; ++i) {
            const float value = (image.data[c * plane + i] + 1.0f) * 127.5f;
            // Written so that NaN becomes 0.
            rgb[3 * i + c] = value > 0.0f ? static_cast<uint8_t>(std::min(value, 255.0f) + 0.5f) : 0;
        }
    return rgb;
}

}  // namespace imageforge::addon
