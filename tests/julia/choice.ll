; A function that other objects have as well, of which the linker keeps one; and a variable of each object's own,
; whose address is in a list of the link.
source_filename = "choice_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

$julia_choice_VARIANT = comdat any
define weak_odr ptr @julia_choice_VARIANT() comdat {
top:
  ret ptr inttoptr (i64 CHOICE to ptr)
}

@"jl_sym#each#VARIANT1" = internal global ptr null
@listed = internal global ptr @"jl_sym#each#VARIANT1", section "julia_each"
@llvm.used = appending global [1 x ptr] [ptr @listed], section "llvm.metadata"
