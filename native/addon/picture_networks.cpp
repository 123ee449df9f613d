// Autoencoder and Upscaler: the networks that read and make pictures.
#include "addon/module_wrap.h"

namespace imageforge::addon {

namespace {

/// 8-bit RGB.
struct Picture {
    std::vector<uint8_t> rgb;
    int64_t width, height;
};

Picture to_picture(const HostTensor & image) {
    return {to_pixels(image), image.shape.at(0), image.shape.at(1)};
}

Napi::Value to_js(Napi::Env env, const Picture & picture) {
    Napi::Object result = Napi::Object::New(env);
    Napi::Uint8Array rgb = Napi::Uint8Array::New(env, picture.rgb.size());
    std::copy(picture.rgb.begin(), picture.rgb.end(), rgb.Data());
    result.Set("rgb", rgb);
    result.Set("width", static_cast<double>(picture.width));
    result.Set("height", static_cast<double>(picture.height));
    return result;
}

/// Work whose float result is clamped to an 8-bit picture.
template <typename Work>
auto with_pixels(Work work) {
    return [work](auto & network, Runner & runner) { return to_picture(work(network, runner)); };
}

class AutoencoderWrap : public ModuleWrap<AutoencoderWrap, AutoencoderNetwork> {
    static auto decoding(const Napi::CallbackInfo & info) {
        return [latent = read_tensor(info[0], "latent")](AutoencoderNetwork & network, Runner & runner) {
            return network.decode(runner, latent);
        };
    }

public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return define_with(env, "Autoencoder",
                           {InstanceMethod("encode", &AutoencoderWrap::encode),
                            InstanceMethod("decode", &AutoencoderWrap::decode),
                            InstanceMethod("decodeFloat", &AutoencoderWrap::decode_float)});
    }

    Napi::Value encode(const Napi::CallbackInfo & info) {
        return compute(info, [&] {
            return [image = read_image(info[0])](AutoencoderNetwork & network, Runner & runner) {
                return network.encode(runner, image);
            };
        });
    }

    Napi::Value decode(const Napi::CallbackInfo & info) {
        return compute(info, [&] { return with_pixels(decoding(info)); });
    }

    Napi::Value decode_float(const Napi::CallbackInfo & info) {
        return compute(info, [&] { return decoding(info); });
    }
};

class UpscalerWrap : public ModuleWrap<UpscalerWrap, UpscalerNetwork> {
    static auto upscaling(const Napi::CallbackInfo & info) {
        return [image = read_image(info[0])](UpscalerNetwork & network, Runner & runner) {
            return network.upscale(runner, image);
        };
    }

public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return define_with(env, "Upscaler",
                           {InstanceMethod("upscale", &UpscalerWrap::upscale),
                            InstanceMethod("upscaleFloat", &UpscalerWrap::upscale_float)});
    }

    Napi::Value upscale(const Napi::CallbackInfo & info) {
        return compute(info, [&] { return with_pixels(upscaling(info)); });
    }

    Napi::Value upscale_float(const Napi::CallbackInfo & info) {
        return compute(info, [&] { return upscaling(info); });
    }
};

}  // namespace

void define_picture_networks(Napi::Env env, Classes & list) {
    list.autoencoder = Napi::Persistent(AutoencoderWrap::define(env));
    list.upscaler = Napi::Persistent(UpscalerWrap::define(env));
}

}  // namespace imageforge::addon
