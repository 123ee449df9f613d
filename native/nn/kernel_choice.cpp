#include "nn/kernel_choice.h"

#include <cstdlib>
#include <string>

#include "kernels/kernels.h"

namespace imageforge {

static const char * name_of(Kernel kernel) {
    switch (kernel) {
        case Kernel::Linear:
            return "linear";
        case Kernel::Conv2d:
            return "conv2d";
        case Kernel::Attention:
            return "attention";
        case Kernel::GroupNorm:
            return "group_norm";
        case Kernel::LayerNorm:
            return "layer_norm";
        case Kernel::Geglu:
            return "geglu";
        case Kernel::Activation:
            return "activation";
    }
    return "";
}

bool use_kernel(const Ctx & ctx, Kernel kernel) {
    if (!ctx.cpu || !ctx.env || !kernels::available()) return false;
    const char * setting = std::getenv("IMAGEFORGE_KERNELS");
    if (!setting || !*setting || std::string(setting) == "on") return true;
    return ("," + std::string(setting) + ",").find("," + std::string(name_of(kernel)) + ",") !=
           std::string::npos;
}

}  // namespace imageforge
