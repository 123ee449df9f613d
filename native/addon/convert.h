// Turns JavaScript values into the core's types and back. Everything from JavaScript is checked here: a wrong
// value throws an INVALID_ARGUMENT that names it.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "core/config.h"
#include "core/device.h"
#include "core/error.h"
#include "core/lora.h"
#include "core/network.h"
#include "core/weights.h"

namespace imageforge::addon {

/// A JavaScript Error with `.code`.
Napi::Error to_js_error(Napi::Env env, const Error & error);
/// [dims…] slowest first, as JavaScript has it.
Napi::Value to_js(Napi::Env env, const HostTensor & tensor);
Napi::Value to_js(Napi::Env env, const std::vector<HostTensor> & tensors);
Napi::Value to_js(Napi::Env env, const Encoding & encoding);
Napi::Value to_js(Napi::Env env, const Posterior & posterior);
Napi::Value to_js(Napi::Env env, const DeviceInfo & info);

/// Largest size of a dimension that JavaScript may name.
constexpr int64_t max_dimension = int64_t{1} << 31;
/// Largest whole number that JavaScript holds exactly.
constexpr double max_safe_integer = 9007199254740991.0;

/// Throws INVALID_ARGUMENT: `what` must be what was expected.
[[noreturn]] void refuse(const std::string & what, const char * expected);
bool is_missing(const Napi::Value & value);

Napi::Array read_array(const Napi::Value & value, const std::string & what);
Napi::Object read_object(const Napi::Value & value, const std::string & what);
std::string read_text(const Napi::Value & value, const std::string & what);
double read_number(const Napi::Value & value, const std::string & what);
int64_t read_integer(const Napi::Value & value, const std::string & what, int64_t low, int64_t high);
bool read_flag(const Napi::Value & value, const std::string & what);

HostTensor read_tensor(const Napi::Value & value, const std::string & what);
std::vector<int32_t> read_tokens(const Napi::Value & value);
EncodeOptions read_encode_options(const Napi::Value & value);
ConditioningInputs read_conditioning_inputs(const Napi::Value & value, const std::string & what);
/// { rgb, width, height } or a tensor [3, H, W] -> [W, H, 3] in [-1, 1]
HostTensor read_image(const Napi::Value & value);
Config read_config(const Napi::Value & value);
WeightTable read_weights(const Napi::Value & value);
std::vector<Lora> read_loras(const Napi::Value & value);

/// [W, H, 3] in [-1, 1] -> 8-bit RGB rows, clamped and rounded.
std::vector<uint8_t> to_pixels(const HostTensor & image);

/// Runs `body` and turns what it throws into a JavaScript exception.
template <typename Body>
auto throw_to_js(Napi::Env env, Body body) -> decltype(body()) {
    try {
        return body();
    } catch (const Error & error) {
        throw to_js_error(env, error);
    } catch (const Napi::Error &) {
        throw;
    } catch (const std::exception & error) {
        throw to_js_error(env, Error(ErrorCode::Internal, error.what()));
    }
}

/// Runs `body`, which returns a promise, and turns what it throws into a rejected one.
template <typename Body>
Napi::Value reject_to_js(Napi::Env env, Body body) {
    try {
        return throw_to_js(env, body);
    } catch (const Napi::Error & error) {
        const auto deferred = Napi::Promise::Deferred::New(env);
        deferred.Reject(error.Value());
        return deferred.Promise();
    }
}

}  // namespace imageforge::addon
