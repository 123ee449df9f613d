# What ggml's GPU backends need of the machine that compiles them, looked for before ggml does: what is missing is named
# with what to do about it, where ggml would end in a target or a shader that nobody has heard of.

if(IMAGEFORGE_VULKAN)
    find_package(Vulkan QUIET COMPONENTS glslc)
    find_package(SPIRV-Headers CONFIG QUIET)
    if(NOT Vulkan_FOUND OR NOT SPIRV-Headers_FOUND)
        message(FATAL_ERROR "Vulkan's loader and headers, glslc and SPIR-V's headers are needed and not all here.\n"
            "Debian and Ubuntu: apt-get install libvulkan-dev glslc spirv-headers")
    endif()
    file(STRINGS "${Vulkan_INCLUDE_DIR}/vulkan/vulkan_core.h" layer_settings LIMIT_COUNT 1 REGEX "VK_EXT_layer_settings")
    if(NOT layer_settings)
        message(FATAL_ERROR "Vulkan's headers in ${Vulkan_INCLUDE_DIR} are too old: they lack VK_EXT_layer_settings, which came "
            "in 2023.\nInstall newer ones (Debian 13 has them, Debian 12 has not) and name them with "
            "CMAKE_ARGS=-DVulkan_INCLUDE_DIR=FOLDER.")
    endif()
    set(matrix_shader "${IMAGEFORGE_GGML_SOURCE}/src/ggml-vulkan/vulkan-shaders/feature-tests/coopmat.comp")
    execute_process(
        COMMAND "${Vulkan_GLSLC_EXECUTABLE}" -fshader-stage=compute --target-env=vulkan1.3 -o - "${matrix_shader}"
        OUTPUT_QUIET ERROR_VARIABLE glslc_error)
    if(glslc_error MATCHES "not supported")
        message(FATAL_ERROR "${Vulkan_GLSLC_EXECUTABLE} is too old: it doesn't know GL_KHR_cooperative_matrix, which came in 2023.\n"
            "Install a newer one (Debian 13 has it, Debian 12 has not) and name it with "
            "CMAKE_ARGS=-DVulkan_GLSLC_EXECUTABLE=FILE.")
    endif()
endif()

if(IMAGEFORGE_CUDA)
    find_package(CUDAToolkit QUIET)
    if(NOT CUDAToolkit_FOUND OR NOT CUDAToolkit_NVCC_EXECUTABLE)
        message(FATAL_ERROR "The CUDA toolkit is needed and not found: nvcc must be in PATH, or the environment variable "
            "CUDAToolkit_ROOT name the toolkit's folder (/usr/local/cuda).\n"
            "Get it from https://developer.nvidia.com/cuda-downloads or, on Debian and Ubuntu, with "
            "apt-get install nvidia-cuda-toolkit.")
    endif()
    set(missing "")
    foreach(part cudart cublas cuda_driver)
        if(NOT TARGET CUDA::${part})
            list(APPEND missing "${part}")
        endif()
    endforeach()
    if(missing)
        list(JOIN missing ", " missing)
        set(version "${CUDAToolkit_VERSION_MAJOR}-${CUDAToolkit_VERSION_MINOR}")
        message(FATAL_ERROR "CUDA ${CUDAToolkit_VERSION} (${CUDAToolkit_BIN_DIR}) lacks these libraries: ${missing}.\n"
            "NVIDIA's packages are libcublas-dev-${version} for cublas and cuda-driver-dev-${version} for cuda_driver (the driver's stub); "
            "the environment variable CUDAToolkit_ROOT=FOLDER names another toolkit.")
    endif()
    # CMake looks for the toolkit and for its compiler by different ways: here they are always of one folder.
    if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
        set(CMAKE_CUDA_COMPILER "${CUDAToolkit_NVCC_EXECUTABLE}")
    endif()
    include("${CMAKE_CURRENT_LIST_DIR}/cuda-architectures.cmake")
endif()
