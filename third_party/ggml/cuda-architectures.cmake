# The GPUs that CUDA code is compiled for. The addon is compiled where it runs: for the cards of this machine alone, a
# small part of the time and size that every generation since 2018 would take. Without a card, or to carry the build to
# other machines, CMAKE_CUDA_ARCHITECTURES says which; ggml's own list holds where nothing does.
if(DEFINED CMAKE_CUDA_ARCHITECTURES)
    return()
endif()
execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE capabilities ERROR_QUIET RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
if(failed OR NOT capabilities MATCHES "^[0-9]+\\.[0-9]")
    message(NOTICE "ImageForge: no NVIDIA card answers here: compiling for all generations of cards, which takes hours on "
        "few processors; CMAKE_ARGS=-DCMAKE_CUDA_ARCHITECTURES=89 compiles for compute capability 8.9 alone")
    return()
endif()
execute_process(COMMAND "${CUDAToolkit_NVCC_EXECUTABLE}" --list-gpu-arch
    OUTPUT_VARIABLE known ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX MATCHALL "[0-9]+\\.[0-9]" capabilities "${capabilities}")
list(REMOVE_DUPLICATES capabilities)
foreach(capability ${capabilities})
    string(REPLACE "." "" number "${capability}")
    if(known AND NOT known MATCHES "compute_${number}(\n|$)")
        string(REGEX REPLACE "compute_([0-9]+)([0-9])" "\\1.\\2" known "${known}")
        string(REPLACE "\n" ", " known "${known}")
        message(FATAL_ERROR "This machine's card has compute capability ${capability}; CUDA ${CUDAToolkit_VERSION} compiles for "
            "${known}.\nInstall a toolkit that knows the card: CUDA 13 begins at 7.5, a card that is newer than the "
            "toolkit needs a newer toolkit.")
    endif()
    list(APPEND CMAKE_CUDA_ARCHITECTURES "${number}-real")
endforeach()
