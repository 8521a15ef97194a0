//! Random functions, compiled by Cranelift in this process: twice the same, with a session's addresses as numbers and with
//! symbols in their places.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlags, Signature, TrapCode, Type, Value, types};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataId, FuncId, Linkage, Module};
use cranelift_object::{ObjectBuilder, ObjectModule};

use crate::support::random::Random;

/// Variables of the session, of as many words each.
pub(crate) const VARIABLES: usize = 5;
pub(crate) const WORDS: u64 = 16;
/// Functions of the session.
pub(crate) const HOSTS: usize = 3;

/// Where the session's variables and functions are.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) variables: [u64; VARIABLES],
    pub(crate) hosts: [u64; HOSTS],
}

/// How code gets an address.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As a number of the session.
    Number(Layout),
    /// By a symbol.
    Symbol,
}

const POINTER: Type = types::I64;

/// The functions of a seed, as an object; their names begin with `prefix`.
pub(crate) fn object(seed: u64, prefix: &str, form: Form, count: usize) -> Result<Vec<u8>, String> {
    let mut random = Random::new(seed);
    let flags = [("is_pic", "true"), ("opt_level", random.one_of(&["none", "speed", "speed_and_size"]))];
    let isa = machine(&flags)?;
    let builder = ObjectBuilder::new(isa, "generated", cranelift_module::default_libcall_names());
    let mut module = ObjectModule::new(builder.map_err(|error| error.to_string())?);
    let signature = signature();
    let wrong = |error: cranelift_module::ModuleError| format!("{error:?}");
    let mut variables = Vec::new();
    let mut hosts = Vec::new();
    for number in 0..VARIABLES {
        let name = format!("s{number}");
        variables.push(module.declare_data(&name, Linkage::Import, true, false).map_err(wrong)?);
    }
    for number in 0..HOSTS {
        hosts.push(
            module.declare_function(&format!("h{number}"), Linkage::Import, &signature).map_err(wrong)?,
        );
    }
    let mut shared = FunctionBuilderContext::new();
    for number in 0..count {
        let id = module
            .declare_function(&format!("{prefix}{number}"), Linkage::Export, &signature)
            .map_err(wrong)?;
        let mut context = module.make_context();
        context.func.signature = signature.clone();
        let builder = FunctionBuilder::new(&mut context.func, &mut shared);
        let mut generator = Generator {
            random: random.clone(),
            form,
            variables: &variables,
            hosts: &hosts,
            module: &mut module,
            builder,
        };
        generator.function();
        random = generator.random.clone();
        generator.builder.finalize();
        module.define_function(id, &mut context).map_err(wrong)?;
    }
    module.finish().emit().map_err(|error| error.to_string())
}

fn machine(flags: &[(&str, &str)]) -> Result<OwnedTargetIsa, String> {
    let mut builder = settings::builder();
    for (name, value) in flags {
        builder.set(name, value).map_err(|error| error.to_string())?;
    }
    let isa = isa::lookup_by_name("x86_64-unknown-linux-gnu").map_err(|error| error.to_string())?;
    isa.finish(settings::Flags::new(builder)).map_err(|error| error.to_string())
}

/// Two numbers in, one out.
fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(types::I64), AbiParam::new(types::I64)]);
    signature.returns.push(AbiParam::new(types::I64));
    signature
}

struct Generator<'a> {
    random: Random,
    form: Form,
    variables: &'a [DataId],
    hosts: &'a [FuncId],
    module: &'a mut ObjectModule,
    builder: FunctionBuilder<'a>,
}

impl Generator<'_> {
    fn function(&mut self) {
        let block = self.builder.create_block();
        self.builder.append_block_params_for_function_params(block);
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
        let mut values = self.builder.block_params(block).to_vec();
        for _ in 0..4 + self.random.below(10) {
            let value = self.step(&values);
            values.push(value);
        }
        let result = values.iter().skip(1).fold(values[0], |sum, &value| {
            let turned = self.builder.ins().rotl_imm(sum, 9);
            self.builder.ins().iadd(turned, value)
        });
        self.builder.ins().return_(&[result]);
    }

    fn one_of(&mut self, values: &[Value]) -> Value {
        self.random.one_of(values)
    }

    /// The address of a word of a variable, of which `room` words are left.
    fn address(&mut self, room: u64) -> Value {
        let variable = self.random.index(VARIABLES);
        let offset = self.random.below(2) * self.random.below(WORDS - room + 1) * 8;
        match self.form {
            Form::Number(layout) => {
                self.builder.ins().iconst(POINTER, (layout.variables[variable] + offset) as i64)
            }
            Form::Symbol => {
                let global = self.module.declare_data_in_func(self.variables[variable], self.builder.func);
                let base = self.builder.ins().global_value(POINTER, global);
                self.builder.ins().iadd_imm(base, offset as i64)
            }
        }
    }

    fn host(&mut self) -> Value {
        let host = self.random.index(HOSTS);
        match self.form {
            Form::Number(layout) => self.builder.ins().iconst(POINTER, layout.hosts[host] as i64),
            Form::Symbol => {
                let function = self.module.declare_func_in_func(self.hosts[host], self.builder.func);
                self.builder.ins().func_addr(POINTER, function)
            }
        }
    }

    fn step(&mut self, values: &[Value]) -> Value {
        let flags = MemFlags::trusted();
        let (one, other) = (self.one_of(values), self.one_of(values));
        match self.random.below(11) {
            0 => {
                let address = self.address(1);
                self.builder.ins().load(types::I64, flags, address, 0)
            }
            1 => {
                let address = self.address(4);
                self.builder.ins().load(types::I64, flags, address, 24)
            }
            2 => {
                let address = self.address(1);
                self.builder.ins().store(flags, one, address, 0);
                other
            }
            3 => {
                let address = self.address(1);
                let same = self.builder.ins().icmp(IntCC::Equal, one, address);
                self.builder.ins().select(same, one, other)
            }
            4 => {
                let (address, second) = (self.address(1), self.address(1));
                let less = self.builder.ins().icmp(IntCC::SignedLessThan, one, other);
                let chosen = self.builder.ins().select(less, address, second);
                self.builder.ins().load(types::I64, flags, chosen, 0)
            }
            5 => {
                let host = self.host();
                let signature = self.builder.import_signature(signature());
                let call = self.builder.ins().call_indirect(signature, host, &[one, other]);
                self.builder.inst_results(call)[0]
            }
            6 => {
                // An address goes through memory, and is compared with another: which comes first would be the session's own.
                let (address, place, second) = (self.address(1), self.address(1), self.address(1));
                self.builder.ins().store(flags, address, place, 0);
                let loaded = self.builder.ins().load(types::I64, flags, place, 0);
                let same = self.builder.ins().icmp(IntCC::Equal, loaded, second);
                self.builder.ins().select(same, one, other)
            }
            7 => {
                let (index, address) = (self.builder.ins().band_imm(one, 7), self.address(8));
                let scaled = self.builder.ins().ishl_imm(index, 3);
                let sum = self.builder.ins().iadd(address, scaled);
                self.builder.ins().load(types::I64, flags, sum, 0)
            }
            8 => self.sum_in_a_loop(one),
            9 => {
                let address = self.address(1);
                self.builder.ins().trapz(address, TrapCode::unwrap_user(1));
                self.builder.ins().iadd(one, other)
            }
            _ => {
                let number = self.random.bits() as i64 >> 20;
                let product = self.builder.ins().imul_imm(one, number);
                self.builder.ins().bxor(product, other)
            }
        }
    }

    /// Adds up to four words of a variable.
    fn sum_in_a_loop(&mut self, count: Value) -> Value {
        let [head, body, end] = [(); 3].map(|()| self.builder.create_block());
        for (block, parameters) in [(head, 2), (body, 0), (end, 0)] {
            for _ in 0..parameters {
                self.builder.append_block_param(block, types::I64);
            }
        }
        let zero = self.builder.ins().iconst(types::I64, 0);
        let count = self.builder.ins().band_imm(count, 3);
        self.builder.ins().jump(head, &[zero.into(), zero.into()]);
        self.builder.switch_to_block(head);
        let (number, sum) = (self.builder.block_params(head)[0], self.builder.block_params(head)[1]);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, number, count);
        self.builder.ins().brif(more, body, &[], end, &[]);
        self.builder.switch_to_block(body);
        let address = self.address(4);
        let scaled = self.builder.ins().ishl_imm(number, 3);
        let place = self.builder.ins().iadd(address, scaled);
        let word = self.builder.ins().load(types::I64, MemFlags::trusted(), place, 0);
        let sum_after = self.builder.ins().iadd(sum, word);
        let next = self.builder.ins().iadd_imm(number, 1);
        self.builder.ins().jump(head, &[next.into(), sum_after.into()]);
        self.builder.switch_to_block(end);
        for block in [head, body, end] {
            self.builder.seal_block(block);
        }
        sum
    }
}
