# A witness in which two values moved together does not show that code reaches one from the other: refused as without one.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"}],
#: map  "values": [{"name": "one", "address": "0x7f1234560010", "size": 32, "header": 8, "init": {"call": "make"}},
#: map             {"name": "two", "address": "0x7f1234564e10", "size": 32, "init": {"load": {"symbol": "two"}}}]}
#: witness
#: refused .text+0xe (pick): reaches two (0x7f1234564e10) from one (0x7f1234560010) by the distance that they had
#: oracle no
        .text
        .globl  pick
        .type   pick, @function
pick:   movabs  $SESSION(one), %rcx
        mov     16(%rcx), %rdx
        lea     0x4e00(%rcx), %rax
        ret
        .size   pick, . - pick
