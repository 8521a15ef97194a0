; The variables that GPUCompiler 2.2 leaves for a loader to fill: words, and a box of which the header is to be filled.
; Every object that has one of them has the same, under the same name.
source_filename = "kept_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

@_Z4kept_jl_sym_choice_5f3a90b1c2d3e4f5 = weak_odr protected externally_initialized global ptr null
@_Z4kept_gpu_jl_nothing_0 = weak_odr protected externally_initialized global i64 0
@_Z4kept_jl_global_c2d3e4f55f3a90b1_box = weak_odr protected externally_initialized global { i64, [8 x i8] } { i64 0, [8 x i8] c"\2A\00\00\00\00\00\00\00" }, align 16
@llvm.used = appending global [3 x ptr] [ptr @_Z4kept_jl_sym_choice_5f3a90b1c2d3e4f5, ptr @_Z4kept_gpu_jl_nothing_0, ptr @_Z4kept_jl_global_c2d3e4f55f3a90b1_box], section "llvm.metadata"

define ptr @julia_choice_VARIANT() {
  %1 = load ptr, ptr @_Z4kept_jl_sym_choice_5f3a90b1c2d3e4f5, align 8
  ret ptr %1
}

; nothing
define i64 @julia_word_VARIANT() {
  %1 = load i64, ptr @_Z4kept_gpu_jl_nothing_0, align 8
  ret i64 %1
}

; a Ptr{Cvoid} of 42
define ptr @julia_pointer_VARIANT() {
  ret ptr getelementptr inbounds ({ i64, [8 x i8] }, ptr @_Z4kept_jl_global_c2d3e4f55f3a90b1_box, i32 0, i32 1)
}
