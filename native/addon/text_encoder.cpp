// TextEncoder.
#include "addon/module_wrap.h"

namespace imageforge::addon {

namespace {

class TextEncoderWrap : public ModuleWrap<TextEncoderWrap, TextEncoderNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return define_with(env, "TextEncoder", {InstanceMethod("encode", &TextEncoderWrap::encode)});
    }

    Napi::Value encode(const Napi::CallbackInfo & info) {
        return compute(info, [&] {
            return [tokens = read_tokens(info[0]), options = read_encode_options(info[1])](
                       TextEncoderNetwork & network, Runner & runner) {
                return network.encode(runner, tokens, options);
            };
        });
    }
};

}  // namespace

void define_text_encoder(Napi::Env env, Classes & list) {
    list.text_encoder = Napi::Persistent(TextEncoderWrap::define(env));
}

}  // namespace imageforge::addon
