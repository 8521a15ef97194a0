#!/usr/bin/env python3
"""Measures relocfix beside the tools that copy and link objects, in one run, and prints ratios.

    cargo build --release && python3 benches/compare.py

Every row of the table alternates between relocfix and its peer and compares medians: absolute times say more about the
machine than about the programs. Beside the table, in --folder, is a chart of time against size (speed.svg).
"""
import argparse
import datetime
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

BASE = 0x7F3A10000000
DATA_STEP, CODE_STEP = 1 << 16, 64  # one named object per 64 KiB, one named function per 64 bytes


def assembly(count, fraction):
    """Functions of some 460 bytes, each with twelve places for a 10-byte movabs, of which a fraction hold an address."""
    addresses, chosen = random.Random(1), random.Random(2)

    def place(value, register):
        if chosen.random() < fraction:
            return f"movabs ${value:#x},%{register}\n"
        return f"mov {0x100 + 8 * (value >> 6 & 63):#x}(%rbx),%{register}\nnopl (%rax)\n"

    yield ".text\n"
    for i in range(count):
        yield (
            f".globl f{i}\n.type f{i},@function\n.p2align 4\nf{i}:\n.cfi_startproc\n"
            "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp,-16\nmov %rsp,%rbp\n.cfi_def_cfa_register %rbp\n"
            "push %rbx\npush %rax\nmov %rdi,%rbx\n"
        )
        for _ in range(6):
            data = BASE + (1 << 20) + addresses.randrange(0, 1 << 16) * 4096
            code = BASE + addresses.randrange(0, 1 << 12) * CODE_STEP
            yield (
                place(data, "rdi")
                + f"mov 8(%rbx),%rsi\ncmp ${addresses.randrange(1, 100)},%rsi\njle 1f\n"
                + "lea (%rsi,%rsi,4),%rdx\nadd %rdx,%rsi\n"
                + place(code, "rax")
                + "call *%rax\nmov %rax,16(%rbx)\n1: vmovsd 24(%rbx),%xmm0\nvaddsd 32(%rbx),%xmm0,%xmm0\n"
                + "vmovsd %xmm0,24(%rbx)\ntest %rax,%rax\nje 2f\nmov (%rax),%rcx\nadd $1,%rcx\nmov %rcx,(%rax)\n2:\n"
            )
        yield (
            f"call f{(i + 1) % count}\nadd $8,%rsp\npop %rbx\npop %rbp\nret\n.cfi_endproc\n.size f{i},.-f{i}\n"
        )
    yield '.section .note.GNU-stack,"",@progbits\n'


def session_map():
    symbols = [
        {"address": hex(BASE + k * CODE_STEP), "name": f"fn_{k}", "size": CODE_STEP} for k in range(1 << 12)
    ] + [
        {"address": hex(BASE + (1 << 20) + k * DATA_STEP), "name": f"obj_{k}", "size": DATA_STEP}
        for k in range((1 << 28) // DATA_STEP)
    ]
    mappings = [{"start": hex(BASE), "end": hex(BASE + (1 << 28) + (1 << 20)), "perms": "rwxp"}]
    return {"relocfix": 1, "machine": "x86_64", "mappings": mappings, "symbols": symbols}


def must(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def measured(command):
    """Seconds of one run."""
    command = [str(word) for word in command]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return seconds


def peak(command):
    """Kilobytes that one run held at most. Started from here it would begin with as many as this program has."""
    started = "import os, sys; p = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ); print(os.wait4(p, 0)[2].ru_maxrss)"
    return int(must(sys.executable, "-S", "-c", started, *command).split()[-1])


def alternating(commands, runs):
    """The median of each command's seconds."""
    samples = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            samples[name].append(measured(command))
    return {name: statistics.median(taken) for name, taken in samples.items()}


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows = []

    def path(self, name):
        return self.folder / name

    def made(self, name, count, fraction):
        """An object of the generator, with its map beside it."""
        source, target = self.path(f"{name}.s"), self.path(f"{name}.o")
        with open(source, "w") as out:
            out.writelines(assembly(count, fraction))
        must("as", source, "-o", target)
        source.unlink()
        self.path(f"{name}.session.json").write_text(json.dumps(session_map()))
        return target

    def relocfix(self, target, *words):
        return [self.options.relocfix, target, "-o", self.path("out.o"), "--quiet", *words]

    def row(self, what, goal, ratio, text=None):
        self.rows.append((what, goal, text or f"{ratio:.2f}"))
        print(f"{what}: {self.rows[-1][2]} (goal {goal})", flush=True)

    def copies(self):
        """The tools that read and write a whole object."""
        copies = {"objcopy": ["objcopy"], "llvm-objcopy": ["llvm-objcopy"], "ld -r": ["ld", "-r"], "mold -r": ["mold", "-r"]}
        found = {name: words for name, words in copies.items() if shutil.which(words[0])}
        newest = sorted(Path("/usr/lib").glob("llvm-*/bin/llvm-objcopy"))
        if newest and "llvm-objcopy" not in found:
            found["llvm-objcopy"] = [newest[-1]]
        return found

    def command(self, name, words, target):
        output = self.path("copy.o")
        return [*words, target, output] if "objcopy" in name else [*words, target, "-o", output]

    def objects(self):
        options = self.options
        dense = self.made("dense", options.functions, 1)
        sparse = self.made("sparse", options.functions, 0.01)
        small = self.made("small", 50, 1)
        for name, target, goals in [
            ("dense", dense, ("≤ 0.80", "≤ 1.05")),
            ("sparse", sparse, ("≤ 0.45", "≤ 0.65")),
            ("small", small, ("≤ 1.0", None)),
        ]:
            runs = options.runs * (10 if name == "small" else 1)
            commands = {"two": self.relocfix(target, "--threads", "2"), "one": self.relocfix(target, "--threads", "1")}
            peers = self.copies()
            commands |= {peer: self.command(peer, words, target) for peer, words in peers.items()}
            commands["cat"] = ["cat", target]
            medians = alternating(commands, runs)
            base = medians["objcopy"]
            size = target.stat().st_size / 1e6
            what = f"{name} ({size:.1f} MB)"
            self.row(f"{what}, two threads : objcopy", goals[0], medians["two"] / base)
            if goals[1]:
                self.row(f"{what}, one thread : objcopy", goals[1], medians["one"] / base)
            others = ", ".join(
                f"{peer} {medians[peer] / base:.1f}" for peer in commands if peer not in ("two", "one", "objcopy")
            )
            self.row(f"{what}, the others : objcopy", "", 0, others)
            if name == "dense":
                self.row("dense, peak memory : objcopy", "≤ 1.0", peak(commands["two"]) / peak(commands["objcopy"]))
        tenth = self.made("tenth", max(options.functions // 10, 1), 1)
        both = alternating({"tenth": self.relocfix(tenth), "dense": self.relocfix(dense)}, options.runs)
        self.row("dense, ten times the input : one time", "≤ 10.5", both["dense"] / both["tenth"])

    def big_map(self):
        count = self.options.entries
        entries = session_map()
        entries["symbols"] += [
            {"address": hex(0x7E0000000000 + k * 64), "name": f"a_symbol_of_the_session_{k}", "size": 64}
            for k in range(count)
        ]
        path = self.path("big.json")
        path.write_text(json.dumps(entries))
        small, plain = self.path("small.o"), self.path("small.session.json")
        commands = {"big": self.relocfix(small, "-s", path), "plain": self.relocfix(small, "-s", plain)}
        medians = alternating(commands, self.options.runs)
        megabytes = (path.stat().st_size - plain.stat().st_size) / 1e6
        rate = megabytes / max(medians["big"] - medians["plain"], 1e-6)
        self.row(f"a session map of {count:,} entries ({megabytes:.0f} MB)", "≥ 200 MB/s", 0, f"{rate:.0f} MB/s")

    def loading(self):
        for count in self.options.slots:
            self.pointer_slots(count)
            self.filled_slots(count)

    def loader(self):
        source = self.path("loader.c")
        source.write_text(
            "#include <dlfcn.h>\n#include <stdio.h>\n"
            "int main(int n, char **v) { void *p = dlopen(v[1], RTLD_NOW); if (!p) { puts(dlerror()); return 1; }\n"
            "  return 0; }\n"
        )
        must("gcc", "-O2", source, "-o", self.path("loader"), "-ldl")
        return self.path("loader")

    def compared(self, what, goal, ours, theirs, size):
        loader = self.loader()
        empty = self.path("empty.so")
        self.path("empty.c").write_text("")
        must("gcc", "-shared", self.path("empty.c"), f"-Wl,-rpath,{self.folder}", "-o", empty)
        commands = {"ours": [loader, ours], "theirs": [loader, theirs], "empty": [loader, empty]}
        medians = alternating(commands, self.options.runs)
        rest = medians["empty"]
        ratio = (medians["ours"] - rest) / max(medians["theirs"] - rest, 1e-9)
        self.row(what, goal, 0, f"{ratio:.2f}" + (f" (size {size:.2f})" if size else ""))

    def linked(self, target, *more):
        library = target.with_suffix(".so")
        must("gcc", "-shared", "-s", target, *more, f"-Wl,-rpath,{self.folder}", "-o", library)
        return library

    def written(self, name, before, lines, after=""):
        """Assembly in a file."""
        source = self.path(f"{name}.s")
        with open(source, "w") as out:
            out.write(before + "\n")
            out.writelines(lines)
            out.write(after + '.section .note.GNU-stack,"",@progbits\n')
        return source

    def function(self, name, lines):
        """A function of these instructions."""
        return self.written(
            name, f".text\n.globl {name}\n.type {name},@function\n{name}:", lines, f"ret\n.size {name},.-{name}\n"
        )

    def fixed_library(self, name, lines, entries, *more):
        """A library of one function that holds the addresses, fixed, and by how many bytes fixing it made it larger."""
        source, target, fixed = self.function(name, lines), self.path(f"{name}.o"), self.path(f"{name}.fixed.o")
        must("as", source, "-o", target)
        mapped = self.path(f"{name}.json")
        mapped.write_text(json.dumps({"relocfix": 1, "machine": "x86_64", **entries}))
        must(self.options.relocfix, target, "-o", fixed, "-s", mapped, "--quiet")
        library = self.linked(fixed, *more)
        return library, library.stat().st_size - self.linked(target).stat().st_size

    def pointer_slots(self, count):
        names = self.written("names", ".data", (
            f".globl thing_{i}\n.type thing_{i},@object\n.size thing_{i},8\nthing_{i}: .quad {i}\n" for i in range(count)
        ))
        must("gcc", "-shared", names, "-o", self.path("libnames.so"))
        symbols = [{"address": hex(BASE + 8 * i), "name": f"thing_{i}", "size": 8} for i in range(count)]
        lines = [f"movabs ${BASE + 8 * i:#x},%rax\n" for i in range(count)]
        ours, grown = self.fixed_library("slots", lines, {"symbols": symbols}, self.path("libnames.so"))
        table = self.written(
            "table", '.section .data.rel.ro,"aw"\n.globl table\ntable:', (f".quad thing_{i}\n" for i in range(count))
        )
        theirs = self.linked(table, self.path("libnames.so"))
        size = grown / theirs.stat().st_size
        self.compared(f"loading {count:,} pointer slots : as many relocations", "≤ 1.0", ours, theirs, size)
        # The linker puts entries of the global offset table in an order of its own, whoever asks for them.
        code = self.function("pic", (f"mov thing_{i}@GOTPCREL(%rip),%rax\n" for i in range(count)))
        theirs = self.linked(code, self.path("libnames.so"))
        self.compared(f"loading {count:,} pointer slots : -fPIC", "≤ 1.0", ours, theirs, None)

    def filled_slots(self, count):
        intern = self.path("intern.c")
        intern.write_text(
            "static unsigned long sum; void *intern(const char *s)\n"
            "{ for (; *s; s++) sum = sum * 31 + (unsigned char)*s; return &sum; }\n"
        )
        must("gcc", "-O2", "-fPIC", "-shared", intern, "-o", self.path("libintern.so"))
        values = [
            {"name": f"v{i}", "address": hex(BASE + 16 * i), "size": 16,
             "init": {"call": "intern", "args": [{"string": f"name_{i}"}]}}
            for i in range(count)
        ]
        lines = [f"movabs ${BASE + 16 * i:#x},%rax\n" for i in range(count)]
        ours, grown = self.fixed_library("filled", lines, {"values": values}, self.path("libintern.so"))
        libraries = []
        for name, filled in [("unfilled", 0), ("constructor", count)]:
            source = self.path(f"{name}.c")
            with open(source, "w") as out:
                out.write("void *intern(const char *);\nstatic void *slots[%d];\n" % count)
                out.write("void **all(void) { return slots; }\n")
                # Of one function gcc makes the same code, in half an hour.
                for first in range(0, filled, 1000):
                    out.write("__attribute__((noinline)) static void fill_%d(void) {\n" % first)
                    out.writelines(f'slots[{i}] = intern("name_{i}");\n' for i in range(first, min(first + 1000, filled)))
                    out.write("}\n")
                out.write("__attribute__((constructor)) static void fill(void) {\n")
                out.writelines(f"fill_{i}();\n" for i in range(0, filled, 1000))
                out.write("}\n")
            must("gcc", "-O2", "-fPIC", "-c", source, "-o", source.with_suffix(".o"))
            libraries.append(self.linked(source.with_suffix(".o"), self.path("libintern.so")))
        bare, theirs = libraries
        size = grown / (theirs.stat().st_size - bare.stat().st_size)
        self.compared(f"loading {count:,} slots filled by a call : gcc -O2", "≤ 1.0, size ≤ 0.5", ours, theirs, size)

    def running(self):
        other = self.path("other.c")
        other.write_text("long counter; long hook(long x) { return x + counter; }\n")
        must("gcc", "-O2", "-fPIC", "-shared", other, "-o", self.path("libother.so"))
        loop = "long n = 200000000; for (long i = 0; i < n; i++) x = {call}; return x"
        self.path("hot.c").write_text("extern long counter; long hook(long);\n"
            "long work(long x) { " + loop.format(call="hook(x) ^ counter") + "; }\n")
        self.path("main.c").write_text(
            "long work(long); volatile long sink; int main(void) { sink = work(1); return 0; }\n")
        session = "#define counter (*(volatile long *)0x7f3a10000000)\n#define hook ((long (*)(long))0x7f3a20000000)\n"
        self.path("jit.c").write_text(session + "long work(long x) { " + loop.format(call="hook(x) ^ counter") + "; }\n")
        must("gcc", "-O2", "-fPIC", "-c", self.path("jit.c"), "-o", self.path("jit.o"))
        must("gcc", "-O2", "-fPIC", "-c", self.path("hot.c"), "-o", self.path("hot.o"))
        mapped = {"relocfix": 1, "machine": "x86_64", "symbols": [
            {"address": "0x7f3a10000000", "name": "counter", "size": 8},
            {"address": "0x7f3a20000000", "name": "hook", "size": 8}]}
        self.path("jit.json").write_text(json.dumps(mapped))
        must(self.options.relocfix, self.path("jit.o"), "-o", self.path("jit.fixed.o"), "-s", self.path("jit.json"), "--quiet")
        programs = {}
        for name, target in [("ours", "jit.fixed.o"), ("theirs", "hot.o")]:
            programs[name] = [self.path(name)]
            must("gcc", self.path("main.c"), self.path(target), self.path("libother.so"), f"-Wl,-rpath,{self.folder}",
                 "-o", self.path(name))
        medians = alternating(programs, self.options.runs) if not self.options.quick else None
        ratio = medians["ours"] / medians["theirs"] if medians else 0
        self.row("running: a hot call and load : -fPIC", "≤ 1.0", ratio, None if medians else "not measured")

    def chart(self):
        """Seconds against megabytes, both logarithmic."""
        import math
        points = {"relocfix": [], "objcopy": []}
        size = self.options.functions / 16
        while True:
            target = self.made("chart", max(int(size), 1), 1)
            megabytes = target.stat().st_size / 1e6
            medians = alternating({"relocfix": self.relocfix(target), "objcopy": ["objcopy", target, self.path("copy.o")]}, 3)
            for name in points:
                points[name].append((megabytes, medians[name]))
            if megabytes * 4 > self.options.largest:
                break
            size *= 4
        every = [point for line in points.values() for point in line]
        low, high = (math.floor(math.log10(min(p[0] for p in every))), math.ceil(math.log10(max(p[0] for p in every))))
        down, up = (math.floor(math.log10(min(p[1] for p in every))), math.ceil(math.log10(max(p[1] for p in every))))
        up, high = max(up, down + 1), max(high, low + 1)

        def at(point):
            x = 60 + 500 * (math.log10(point[0]) - low) / (high - low)
            return f"{x:.1f},{340 - 300 * (math.log10(point[1]) - down) / (up - down):.1f}"

        lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 400" font-family="sans-serif" font-size="12">',
                 '<rect width="640" height="400" fill="white"/>']
        for power in range(low, high + 1):
            x = 60 + 500 * (power - low) / (high - low)
            lines.append(f'<path d="M{x:.1f} 40V340" stroke="#ddd"/><text x="{x:.1f}" y="360" text-anchor="middle">{10.0 ** power:g} MB</text>')
        for power in range(down, up + 1):
            y = 340 - 300 * (power - down) / (up - down)
            lines.append(f'<path d="M60 {y:.1f}H560" stroke="#ddd"/><text x="54" y="{y + 4:.1f}" text-anchor="end">{10.0 ** power:g} s</text>')
        for (name, line), color in zip(points.items(), ("#c33", "#36c")):
            lines.append(f'<polyline points="{" ".join(map(at, line))}" fill="none" stroke="{color}" stroke-width="2"/>')
            x, y = at(line[-1]).split(",")
            lines.append(f'<text x="{float(x) + 6:.1f}" y="{y}" fill="{color}">{name}</text>')
        lines.append("</svg>")
        self.path("speed.svg").write_text("\n".join(lines) + "\n")

    def table(self):
        today = datetime.date.today().isoformat()
        version = must(self.options.relocfix, "--version").strip()
        lines = [f"{version}, {platform.machine()}, {os.cpu_count()} processors, {today}; ratios of medians.", "",
                 "| | goal | measured |", "|---|---|---|"]
        lines += [f"| {what} | {goal} | {text} |" for what, goal, text in self.rows]
        text = "\n".join(lines) + "\n"
        self.path("speed.md").write_text(text)
        print("\n" + text)


def main():
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relocfix", type=Path, default=root / "target/release/relocfix")
    parser.add_argument("--folder", type=Path, default=root / "target/speed", help="where everything is written")
    parser.add_argument("--functions", type=int, default=20000, help="of the large objects, 577 bytes of file each")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large session map")
    parser.add_argument("--slots", type=int, nargs="*", default=[100_000], help="to be filled when a library is loaded")
    parser.add_argument("--largest", type=float, default=100, help="megabytes of the largest object in the chart")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="everything once and small: whether it works")
    options = parser.parse_args()
    if options.quick:
        options.functions, options.entries, options.slots, options.largest, options.runs = 40, 1000, [100], 0.1, 1
    options.relocfix, options.folder = options.relocfix.resolve(), options.folder.resolve()
    bench = Bench(options)
    bench.objects()
    bench.big_map()
    bench.loading()
    bench.running()
    bench.chart()
    bench.table()


if __name__ == "__main__":
    main()
