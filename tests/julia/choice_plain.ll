; The same function as an ordinary compiler has it.
source_filename = "choice_plain_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

@name = private constant [7 x i8] c"choice\00"

$julia_choice_VARIANT = comdat any
define weak_odr ptr @julia_choice_VARIANT() comdat {
top:
  %0 = call ptr @jl_symbol(ptr @name)
  ret ptr %0
}
declare ptr @jl_symbol(ptr)
