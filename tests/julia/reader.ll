; Another object of the session, which reads what the first one wrote.
source_filename = "reader_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

@"jl_global#VARIANT3" = internal global ptr null

; r[]
define ptr @julia_read_VARIANT() {
top:
  %0 = load ptr, ptr @"jl_global#VARIANT3", align 8
  %1 = load ptr, ptr %0, align 8
  ret ptr %1
}
