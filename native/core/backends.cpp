// Loads the backends and finds out why one stays silent: ggml skips a module that fails to load without
// saying so.
#include "core/backends.h"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "core/log.h"

namespace imageforge {

namespace {

constexpr const char * gpu_kinds[] = {"cuda", "metal", "vulkan"};

/// Libraries that a backend needs from the system, and the package that installs them.
constexpr struct {
    const char *library, *origin;
} origins[] = {
    {"libcuda.so", "NVIDIA's driver"},
    {"libcudart.so", "the CUDA toolkit"},
    {"libcublas", "the CUDA toolkit"},
    {"libvulkan.so", "Vulkan's loader, the package libvulkan1"},
};

/// The folder of the addon or program that this code is linked into.
std::string own_folder() {
    Dl_info info;
    char path[PATH_MAX];
    if (!dladdr(reinterpret_cast<void *>(&load_backends), &info) || !realpath(info.dli_fname, path))
        if (!realpath("/proc/self/exe", path)) return ".";
    const std::string file = path;
    return file.substr(0, file.rfind('/'));
}

/// The folder that load_backends searched.
std::string & backend_folder() {
    static std::string folder;
    return folder;
}

std::string library_name(const std::string & kind) { return "libggml-" + kind + ".so"; }

bool has_devices(const std::string & kind) {
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i)
        if (backend_kind(ggml_backend_dev_get(i)) == kind) return true;
    return false;
}

bool is_compiled(const std::string & kind) {
    return std::filesystem::exists(backend_folder() + "/" + library_name(kind));
}

std::string why_silent(const std::string & kind) {
    const std::string library = library_name(kind);
    void * handle = dlopen((backend_folder() + "/" + library).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) {
        dlclose(handle);
        return library + " finds no device" +
               (kind == "vulkan" ? " (one in software is used only where GGML_VK_VISIBLE_DEVICES names it)"
                                 : "");
    }
    const std::string error = dlerror();
    for (const auto & [missing, origin] : origins)
        if (error.compare(0, std::string(missing).size(), missing) == 0)
            return library + " doesn't load: " + error + " (it comes with " + origin + ")";
    return library + " doesn't load: " + error;
}

}  // namespace

void load_backends(const std::string & folder) {
    static std::once_flag once;
    std::call_once(once, [&] {
        backend_folder() = folder.empty() ? own_folder() : folder;
        capture_ggml_log();
        ggml_backend_load_all_from_path(backend_folder().c_str());
        if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == nullptr)
            log_line(LogLevel::Error,
                     "No CPU backend (libggml-cpu-*) beside the addon in " + backend_folder() + ".");
    });
}

std::string backend_kind(ggml_backend_dev_t dev) {
    std::string name = ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name == "mtl" ? "metal" : name;
}

std::vector<SilentBackend> list_silent_backends() {
    load_backends();
    std::vector<SilentBackend> silent;
    for (const std::string kind : gpu_kinds)
        if (is_compiled(kind) && !has_devices(kind)) silent.push_back({kind, why_silent(kind)});
    return silent;
}

std::string explain_missing(const std::string & kind) {
    const bool known = std::find(std::begin(gpu_kinds), std::end(gpu_kinds), kind) != std::end(gpu_kinds);
    if (!known || has_devices(kind)) return "";
    if (is_compiled(kind)) return why_silent(kind) + ".";
    if (kind == "metal") return "Metal is macOS's.";
    std::string variable = "IMAGEFORGE_" + kind + "=1";
    std::transform(variable.begin(), variable.end(), variable.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    return "This addon was compiled without that backend; " + variable + " compiles it in.";
}

}  // namespace imageforge
