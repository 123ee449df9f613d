// Decides which operations of native/kernels a graph uses. ggml's own do the rest.
#pragma once
#include "core/graph.h"

namespace imageforge {

/// Operations that native/kernels has a faster version of.
enum class Kernel { Linear, Conv2d, Attention, GroupNorm, LayerNorm, Geglu, Activation };

/// True when the graph runs on a CPU that native/kernels supports. The environment variable
/// IMAGEFORGE_KERNELS restricts it, for tests and measurements: "off", or a list of operations such as
/// "linear,conv2d".
bool use_kernel(const Ctx & ctx, Kernel kernel);

}  // namespace imageforge
