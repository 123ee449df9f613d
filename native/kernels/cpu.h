// Which kernels this processor runs.
#pragma once
#include "table.h"

namespace imageforge::kernels {

/// The best table for this processor, or nullptr. The environment's IMAGEFORGE_ISA (a table's name, or
/// "none") asks for a lesser one; what the processor lacks is never chosen.
const KernelTable * table();

}  // namespace imageforge::kernels
