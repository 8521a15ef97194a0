# Nothing can be made before itself.
#: map {"values": [{"name": "one", "init": {"load": {"value": "two"}}}, {"name": "two", "init": {"load": {"value": "one"}}}],
#: map  "globals": [{"symbol": "g", "init": {"value": "one"}}]}
#: rejected one
        .data
        .globl  g
g:      .quad   0
