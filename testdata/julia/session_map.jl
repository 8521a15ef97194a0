# Writes what the variables of a natively compiled object stand for, as JSON that `relocfix -s` reads: the form that
# begins with "julia_relocations". To be called in the process that compiles, with the `native_code` that
# `jl_emit_native` or `jl_create_native` returned, before its module is optimized, which may delete variables:
#
#     include("session_map.jl")
#     SessionMap.write("in.session.json", native_code)
#
# A third argument maps the compiler's name of a variable to the one it has in the object, if that is another one.
# What cannot be said is listed and left out; `relocfix check` then names it, too. Julia 1.13, with LLVM.jl.
module SessionMap

using Base64, LLVM

# Before, `jl_get_llvm_gvs` told the values, or took other arguments.
VERSION >= v"1.13.0-DEV.623" || error("session_map.jl needs Julia 1.13")

struct Unsayable <: Exception
    why::String
end

object(pairs...) = Pair{String,Any}[pairs...]

# JSON is written by hand: only objects, lists, strings and integers occur.
json(out, x::Integer) = print(out, x)
function json(out, x::String)
    print(out, '"')
    for unit in transcode(UInt16, x)
        if unit == UInt16('"') || unit == UInt16('\\')
            print(out, '\\', Char(unit))
        elseif 0x20 <= unit < 0x7f
            print(out, Char(unit))
        else
            print(out, "\\u", string(unit; base = 16, pad = 4))
        end
    end
    print(out, '"')
end
function json(out, x::Vector{Pair{String,Any}})
    print(out, '{')
    for (i, (key, value)) in enumerate(x)
        i > 1 && print(out, ", ")
        json(out, key)
        print(out, ": ")
        json(out, value)
    end
    print(out, '}')
end
function json(out, x::Vector)
    print(out, '[')
    for (i, value) in enumerate(x)
        i > 1 && print(out, ", ")
        json(out, value)
    end
    print(out, ']')
end

# The names that lead to a module from one that libjulia has a variable for.
function path(m::Module)
    names = String[text(name) for name in fullname(m)]
    at = names[1] == "Main" ? Main : names[1] == "Core" ? Core : names[1] == "Base" ? Base : nothing
    for name in names[2:end]
        at = at isa Module && isdefined(at, Symbol(name)) ? getglobal(at, Symbol(name)) : nothing
    end
    # A module may have been replaced by another one of its name.
    at === m || throw(Unsayable("module $m is not what its name means within Main, Core or Base"))
    return names
end

# The same for what a module's constant holds, if it is that very thing.
function constant(m::Module, name::Symbol, x)
    if !(isdefined(m, name) && isconst(m, name) && getglobal(m, name) === x)
        throw(Unsayable("$m.$name is another thing, or none"))
    end
    return object("path" => [path(m); text(name)])
end

# JSON is Unicode; Julia's texts may be any bytes.
text(x) = isvalid(String(x)) ? String(x) : throw(Unsayable("a $(typeof(x)) that is not UTF-8"))

target(x::Symbol) = object("symbol" => text(x))
target(x::Module) = object("path" => path(x))
target(x::Core.Binding) = object("binding" => [path(x.globalref.mod); text(x.globalref.name)])
# There is one of each in a process, and code compares their addresses.
target(x::Bool) = object("cglobal" => x ? "jl_true" : "jl_false")
function target(x::String)
    '\0' in x && throw(Unsayable("a String with a NUL in it"))
    return object("string" => text(x))
end

function target(x::DataType)
    if x.name === Tuple.name
        any(p -> p isa Core.TypeofVararg, x.parameters) && throw(Unsayable("$x has no fixed length"))
        return object("tuple" => Any[target(p) for p in x.parameters])
    end
    isempty(x.parameters) && return constant(x.name.module, x.name.name, x)
    return object("apply" => target(x.name.wrapper), "parameters" => Any[target(p) for p in x.parameters])
end
function target(x::UnionAll)
    body = Base.unwrap_unionall(x)
    if !(body isa DataType && body.name.wrapper === x)
        throw(Unsayable("$x is a type with a free parameter"))
    end
    return constant(body.name.module, body.name.name, x)
end

target(x::Function) = constant(parentmodule(x), nameof(x), x)
# Bits that mean nothing in another process.
has_address(T) = T <: Union{Ptr,Core.LLVMPtr,Cstring,Cwstring} || any(has_address, fieldtypes(T))

function target(x)
    T = typeof(x)
    Base.issingletontype(T) && return object("instance" => target(T))
    isbitstype(T) || throw(Unsayable("a $T: it may be written to, or refers to something"))
    has_address(T) && throw(Unsayable("a $T: it holds an address"))
    return object("bits" => base64encode(store!(zeros(UInt8, sizeof(T)), 0, x)), "of" => target(T))
end

# A value's bytes. Between its fields there may be any, which here are zero.
function store!(bytes, at, x)
    T = typeof(x)
    for i in 1:fieldcount(T)
        store!(bytes, at + Int(fieldoffset(T, i)), getfield(x, i))
    end
    if isprimitivetype(T)
        copy = [x]
        GC.@preserve copy for i in 1:sizeof(T)
            bytes[at + i] = unsafe_load(Ptr{UInt8}(pointer(copy)), i)
        end
    end
    return bytes
end

function variables(native_code::Ptr{Cvoid})
    count = Ref{Csize_t}(0)
    @ccall jl_get_llvm_gvs(native_code::Ptr{Cvoid}, count::Ptr{Csize_t}, C_NULL::Ptr{Cvoid})::Nothing
    globals = Vector{LLVM.API.LLVMValueRef}(undef, count[])
    @ccall jl_get_llvm_gvs(native_code::Ptr{Cvoid}, count::Ptr{Csize_t}, globals::Ptr{Cvoid})::Nothing
    # There are fewer of these: the last variables may be for functions of other images.
    @ccall jl_get_llvm_gv_inits(native_code::Ptr{Cvoid}, count::Ptr{Csize_t}, C_NULL::Ptr{Cvoid})::Nothing
    values = fill(C_NULL, length(globals))
    @ccall jl_get_llvm_gv_inits(native_code::Ptr{Cvoid}, count::Ptr{Csize_t}, values::Ptr{Cvoid})::Nothing
    return zip(globals, values)
end

function write(file, native_code, rename = identity)
    sites = Any[]
    for (global_, value) in variables(native_code)
        name = String(rename(unsafe_string(LLVM.API.LLVMGetValueName(global_))))
        try
            value == C_NULL && throw(Unsayable("no value"))
            push!(sites, object("global" => name, "target" => target(unsafe_pointer_to_objref(value))))
        catch error
            error isa Unsayable || rethrow()
            println(stderr, "session_map.jl: ", name, ": cannot be said: ", error.why)
        end
    end
    open(file, "w") do out
        json(out, object("julia_relocations" => 1, "sites" => sites))
        println(out)
    end
end

end
