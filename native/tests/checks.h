// Shared by the C++ test programs: counted checks, and weight files.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"

inline int failures = 0;

inline void check(bool right, const char * what) {
    std::printf("%s %s\n", right ? "ok  " : "FAIL", what);
    if (!right) ++failures;
}

/// The program's exit status.
inline int report() {
    std::printf("%d failed\n", failures);
    return failures ? 1 : 0;
}

/// Whether the body throws an error of this kind whose message contains `words`.
template <typename Body>
bool throws(imageforge::ErrorCode code, Body body, const char * words = "") {
    try {
        body();
    } catch (const imageforge::Error & error) {
        std::printf("     %s: %s\n", to_string(error.code()), error.what());
        return error.code() == code && std::string(error.what()).find(words) != std::string::npos;
    }
    return false;
}

/// Writes a new file in the system's temporary folder, and returns its path.
inline std::string write_file(const void * bytes, size_t count) {
    std::string path = std::filesystem::temp_directory_path() / "imageforge-core-XXXXXX";
    std::FILE * file = fdopen(mkstemp(path.data()), "wb");
    std::fwrite(bytes, 1, count, file);
    std::fclose(file);
    return path;
}

/// Writes the values 0, 1, 2, … as F32 to a new file.
inline std::string write_values(size_t count) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
    return write_file(values.data(), count * sizeof(float));
}
