# The CPU backend of ggml, compiled once for each class of processors. All variants lie beside the addon; ggml asks each
# for its score at run time and loads the best that runs here. Few variants, since every one costs build time: our own
# kernels (native/kernels) do the heavy work and choose by themselves.
set(cpu_root "${IMAGEFORGE_GGML_SOURCE}/src/ggml-cpu")
set(cpu_sources
    ggml-cpu.c ggml-cpu.cpp repack.cpp iqp.cpp hbm.cpp quants.c traits.cpp amx/amx.cpp amx/mmq.cpp binary-ops.cpp
    unary-ops.cpp vec.cpp ops.cpp llamafile/sgemm.cpp)

if(UNIX AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$" AND NOT CMAKE_OSX_ARCHITECTURES STREQUAL "arm64")
    set_source_files_properties("${cpu_root}/ggml-cpu.c" PROPERTIES
        COMPILE_OPTIONS "-include;${CMAKE_CURRENT_LIST_DIR}/yield-while-waiting.h"
        OBJECT_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/yield-while-waiting.h")
endif()

function(add_cpu_variant name arch)
    cmake_parse_arguments(variant "" "" "FLAGS;FEATURES" ${ARGN})
    set(target ggml-cpu-${name})
    add_library(${target} MODULE)
    foreach(source ${cpu_sources})
        target_sources(${target} PRIVATE "${cpu_root}/${source}")
    endforeach()
    if(EXISTS "${cpu_root}/arch/${arch}/quants.c")
        target_sources(${target} PRIVATE "${cpu_root}/arch/${arch}/quants.c")
    endif()
    if(EXISTS "${cpu_root}/arch/${arch}/repack.cpp")
        target_sources(${target} PRIVATE "${cpu_root}/arch/${arch}/repack.cpp")
    endif()
    target_compile_definitions(${target} PRIVATE
        GGML_BACKEND_DL GGML_BACKEND_BUILD GGML_BACKEND_SHARED GGML_USE_LLAMAFILE GGML_USE_CPU_REPACK ${variant_FEATURES})
    target_compile_options(${target} PRIVATE ${variant_FLAGS})
    target_compile_features(${target} PRIVATE c_std_11 cxx_std_17)
    target_include_directories(${target} PRIVATE "${cpu_root}/.." "${cpu_root}")
    target_link_libraries(${target} PRIVATE ggml-base Threads::Threads)
    set_target_properties(${target} PROPERTIES PREFIX lib SUFFIX .so)  # what ggml's loader looks for
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE _XOPEN_SOURCE=600)
        target_link_libraries(${target} PRIVATE m)
    elseif(APPLE)
        target_compile_definitions(${target} PRIVATE _DARWIN_C_SOURCE)
    endif()

    # The score function runs on processors that lack the variant's instructions, so it is compiled without them.
    if(EXISTS "${cpu_root}/arch/${arch}/cpu-feats.cpp")
        add_library(${target}-feats OBJECT "${cpu_root}/arch/${arch}/cpu-feats.cpp")
        target_include_directories(${target}-feats PRIVATE "${cpu_root}/.." "${cpu_root}/../../include")
        target_compile_definitions(${target}-feats PRIVATE
            GGML_BACKEND_DL GGML_BACKEND_BUILD GGML_BACKEND_SHARED ${variant_FEATURES})
        target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}-feats>)
    endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64|i686)$" AND NOT CMAKE_OSX_ARCHITECTURES STREQUAL "arm64")
    add_cpu_variant(x64 x86)
    add_cpu_variant(haswell x86
        FLAGS -msse4.2 -mf16c -mfma -mbmi2 -mavx -mavx2
        FEATURES GGML_SSE42 GGML_F16C GGML_FMA GGML_BMI2 GGML_AVX GGML_AVX2)
    add_cpu_variant(cascadelake x86
        FLAGS -msse4.2 -mf16c -mfma -mbmi2 -mavx -mavx2 -mavx512f -mavx512cd -mavx512vl -mavx512dq -mavx512bw -mavx512vnni
        FEATURES GGML_SSE42 GGML_F16C GGML_FMA GGML_BMI2 GGML_AVX GGML_AVX2 GGML_AVX512 GGML_AVX512_VNNI)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    add_cpu_variant(armv8.0 arm FLAGS -march=armv8-a)
    add_cpu_variant(armv8.2 arm FLAGS -march=armv8.2-a+dotprod+fp16
        FEATURES GGML_USE_DOTPROD GGML_USE_FP16_VECTOR_ARITHMETIC)
    add_cpu_variant(armv8.6 arm FLAGS -march=armv8.6-a+dotprod+fp16+i8mm
        FEATURES GGML_USE_DOTPROD GGML_USE_FP16_VECTOR_ARITHMETIC GGML_USE_MATMUL_INT8)
else()
    add_cpu_variant(generic none FEATURES GGML_CPU_GENERIC)  # no score: ggml would skip it, so it loses its suffix
    set_target_properties(ggml-cpu-generic PROPERTIES OUTPUT_NAME ggml-cpu)
endif()
