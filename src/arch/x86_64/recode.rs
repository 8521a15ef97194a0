//! An instruction that holds an absolute address, with that address in a register or pc-relative instead. All
//! else about it stays: operands, sizes, prefixes, and what it does to the flags.

use iced_x86::{
    Code, ConstantOffsets, Decoder, DecoderOptions, Encoder, FlowControl, Instruction,
    InstructionInfoFactory, MemoryOperand, Mnemonic, OpAccess, OpKind, Register,
};

use super::decode::has_address_size_prefix;

/// Which constant of an instruction is the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant {
    /// The immediate.
    Immediate,
    /// The displacement of a memory operand.
    Displacement,
    /// That of `movabs`: 64 bits, or 32 with an address size prefix.
    FullDisplacement,
    /// The displacement that counts from the end of the instruction.
    PcRelative,
}

/// An instruction, taken apart.
pub(super) struct Recoder {
    /// As it was.
    pub(super) old: Instruction,
    /// Which of its constants is the address.
    pub(super) constant: Constant,
    /// The offset of its displacement.
    displacement: usize,
    /// The offset of its immediate.
    immediate: usize,
}

/// A new instruction.
pub(super) struct Recoded {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Where in them the displacement of its memory operand is, and how wide; (0, 0): it has none.
    pub(super) displacement: (usize, usize),
    /// The same of its immediate.
    immediate: (usize, usize),
}

impl Recoded {
    /// The offset of what was the constant at `field` of `old`; `None`: there are no 32 bits for it.
    pub(super) fn field(&self, old: &Recoder, field: usize) -> Option<usize> {
        let (at, size) = if field == old.displacement { self.displacement } else { self.immediate };
        (size == 4).then_some(at)
    }
}

impl Recoder {
    /// Takes `bytes`, one whole instruction, apart; the address is its constant at byte `field`.
    ///
    /// # Errors
    /// What has no such constant, or truncates addresses.
    pub(super) fn new(bytes: &[u8], field: usize) -> Result<Self, String> {
        let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
        let old = decoder.decode();
        if old.is_invalid() || old.len() != bytes.len() {
            return Err("is not one whole instruction".to_owned());
        }
        let offsets: ConstantOffsets = decoder.get_constant_offsets(&old);
        let constant = if offsets.immediate_size() == 4 && offsets.immediate_offset() == field {
            Constant::Immediate
        } else if offsets.displacement_size() >= 4 && offsets.displacement_offset() == field {
            match offsets.displacement_size() {
                _ if is_full_displacement(old.code()) => Constant::FullDisplacement,
                _ if old.is_ip_rel_memory_operand() => Constant::PcRelative,
                _ => Constant::Displacement,
            }
        } else {
            return Err("has no constant at the place in question".to_owned());
        };
        // What is no sum has 32 bits and no more: the address.
        let plain = old.memory_base() == Register::None && old.memory_index() == Register::None;
        if has_address_size_prefix(bytes) && (!plain || constant == Constant::Immediate) {
            return Err("computes addresses in 32 bits".to_owned());
        }
        let of_thread = matches!(old.segment_prefix(), Register::FS | Register::GS);
        if of_thread && constant != Constant::Immediate {
            return Err("counts from the thread's block".to_owned());
        }
        let (displacement, immediate) = (offsets.displacement_offset(), offsets.immediate_offset());
        Ok(Recoder { old, constant, displacement, immediate })
    }

    /// Whether it extends the sign of the constant to 64 bits; otherwise it takes 32 bits of it.
    pub(super) fn extends_sign(&self) -> bool {
        match self.constant {
            Constant::Immediate => self.old.op_kinds().any(|kind| kind == OpKind::Immediate32to64),
            // With an address size prefix.
            Constant::Displacement => self.old.memory_displ_size() != 4,
            Constant::FullDisplacement | Constant::PcRelative => true,
        }
    }

    /// Whether a register is named or used by it in any part.
    pub(super) fn uses(&self, register: Register) -> bool {
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(&self.old);
        info.used_registers().iter().any(|used| used.register().full_register() == register)
            || info
                .used_memory()
                .iter()
                .any(|m| m.base().full_register() == register || m.index().full_register() == register)
    }

    /// Whether its memory operand counts from the stack pointer.
    pub(super) fn uses_stack_base(&self) -> bool {
        self.old.memory_base() == Register::RSP
    }

    /// Whether its memory operand counts from the end of the instruction, and is not the address.
    pub(super) fn is_pc_relative_besides(&self) -> bool {
        self.old.is_ip_rel_memory_operand() && self.constant != Constant::PcRelative
    }

    /// Whether one of its other constants is at `field`.
    pub(super) fn has_besides(&self, field: usize) -> bool {
        let immediate = self.constant != Constant::Immediate && field == self.immediate;
        field != 0 && (immediate || self.constant == Constant::Immediate && field == self.displacement)
    }

    /// Another operation with the same operands.
    pub(super) fn with_code(&self, code: Code) -> Recoder {
        let mut old = self.old;
        old.set_code(code);
        Recoder { old, ..*self }
    }

    /// A store of a register into its memory operand.
    pub(super) fn storing(&self, register: Register) -> Recoder {
        let mut storing = self.with_code(Code::Mov_rm64_r64);
        storing.old.set_op1_kind(OpKind::Register);
        storing.old.set_op1_register(register);
        storing
    }

    /// A load of its memory operand into a register.
    pub(super) fn loading_into(&self, register: Register) -> Recoder {
        let mut loading = self.with_code(Code::Mov_r64_rm64);
        // What would be a hint about the jump is nothing to a load.
        loading.old.set_segment_prefix(Register::None);
        loading.old.set_op0_kind(OpKind::Register);
        loading.old.set_op0_register(register);
        loading.old.set_op1_kind(OpKind::Memory);
        loading
    }

    /// Whether it goes on to the next instruction, and the stack pointer is no more to it than the base of a
    /// memory operand: then the stack may be lower while it runs.
    pub(super) fn may_run_elsewhere(&self) -> bool {
        self.old.flow_control() == FlowControl::Next
            && !self.old.is_stack_instruction()
            && self.stack_operand().is_none()
    }

    /// The operand that is the stack pointer itself, and whether the instruction writes it.
    fn stack_operand(&self) -> Option<(u32, bool)> {
        let is_stack = |operand: &u32| {
            self.old.op_kind(*operand) == OpKind::Register
                && self.old.op_register(*operand).full_register() == Register::RSP
        };
        let operand = (0..self.old.op_count()).find(is_stack)?;
        let access = InstructionInfoFactory::new().info(&self.old).op_access(operand);
        Some((operand, !matches!(access, OpAccess::Read | OpAccess::CondRead)))
    }

    /// With another register where the stack pointer is an operand; whether the instruction writes it. `None`: it is
    /// no operand.
    ///
    /// # Errors
    /// It is in less than 32 bits.
    pub(super) fn with_stack_pointer_in(&self, register: Register) -> Result<Option<(Self, bool)>, String> {
        let Some((operand, written)) = self.stack_operand() else { return Ok(None) };
        let register = match self.old.op_register(operand).size() {
            8 => register,
            4 => register.full_register32(),
            _ => return Err("uses a part of the stack pointer".to_owned()),
        };
        let mut old = self.old;
        old.set_op_register(operand, register);
        Ok(Some((Recoder { old, ..*self }, written)))
    }

    /// The instruction with the address in `scratch`, and before it, where an operand has a base register of its own
    /// too, what adds that one to `scratch`. `lowered`: the stack pointer is by so many bytes lower than it was.
    /// `half`: `scratch` has 32 bits of an address, and an instruction may take no more.
    ///
    /// # Errors
    /// What cannot be said with a register.
    pub(super) fn through_register(
        &self,
        scratch: Register,
        lowered: i64,
        half: bool,
    ) -> Result<Vec<Recoded>, String> {
        if matches!(self.old.mnemonic(), Mnemonic::Bndmk | Mnemonic::Bndldx | Mnemonic::Bndstx) {
            return Err("means something else with a base register".to_owned());
        }
        let mut new = self.old;
        let mut before = None;
        match self.constant {
            Constant::FullDisplacement => new = self.without_full_displacement(scratch)?,
            Constant::Immediate => {
                new = self.without_immediate(scratch, half)?;
                if self.old.is_ip_rel_memory_operand() {
                    new.set_memory_displacement64(0);
                }
                if self.old.memory_base() == Register::RSP {
                    let displacement = (self.old.memory_displacement64() as i64).checked_add(lowered);
                    let displacement = displacement
                        .filter(|&d| i32::try_from(d).is_ok())
                        .ok_or_else(|| "reaches too far from the stack pointer".to_owned())?;
                    new.set_memory_displacement64(displacement as u64);
                    new.set_memory_displ_size(if i8::try_from(displacement).is_ok() { 1 } else { 8 });
                }
            }
            Constant::PcRelative => {
                new.set_memory_base(scratch);
                new.set_memory_displacement64(0);
                new.set_memory_displ_size(0);
            }
            Constant::Displacement => {
                match (self.old.memory_base(), self.old.memory_index()) {
                    (Register::None, _) => new.set_memory_base(scratch),
                    (base, index) if base.full_register() == Register::RSP => {
                        if index != Register::None {
                            let scale = self.old.memory_index_scale();
                            let sum = MemoryOperand::with_base_index_scale(scratch, index, scale);
                            before = Some(lea(scratch, sum).map_err(|e| self.cannot(&e))?);
                        }
                        new.set_memory_index(scratch);
                        new.set_memory_index_scale(1);
                        new.set_memory_displacement64(lowered as u64);
                        new.set_memory_displ_size(8);
                        return before.iter().chain([&new]).map(|i| self.encode(i)).collect();
                    }
                    (base, Register::None) => {
                        new.set_memory_base(scratch);
                        new.set_memory_index(base);
                        new.set_memory_index_scale(1);
                    }
                    (base, _) => {
                        let sum = MemoryOperand::with_base_index(scratch, base);
                        before = Some(lea(scratch, sum).map_err(|e| self.cannot(&e))?);
                        new.set_memory_base(scratch);
                    }
                }
                new.set_memory_displacement64(0);
                new.set_memory_displ_size(0);
            }
        }
        before.iter().chain([&new]).map(|instruction| self.encode(instruction)).collect()
    }

    /// The instruction with a pc-relative operand in place of the absolute one.
    ///
    /// # Errors
    /// What has no such form.
    pub(super) fn pc_relative(&self) -> Result<Recoded, String> {
        let absolute = self.constant == Constant::Displacement
            && self.old.memory_base() == Register::None
            && self.old.memory_index() == Register::None;
        if !absolute {
            return Err("has no pc-relative form".to_owned());
        }
        let mut new = self.old;
        new.set_memory_base(Register::RIP);
        new.set_memory_displ_size(8);
        new.set_memory_displacement64(0);
        let recoded = self.encode(&new)?;
        if recoded.displacement.1 != 4 {
            return Err("has no pc-relative form".to_owned());
        }
        Ok(recoded)
    }

    /// With the immediate in `scratch`; what remains to be replaced is the other constant, at byte `field`.
    ///
    /// # Errors
    /// As [`Self::through_register`].
    pub(super) fn with_immediate_in(
        &self,
        scratch: Register,
        half: bool,
        other: &Self,
    ) -> Result<Self, String> {
        Ok(Recoder { old: self.without_immediate(scratch, half)?, ..*other })
    }

    fn without_immediate(&self, scratch: Register, half: bool) -> Result<Instruction, String> {
        let narrow = half && !self.extends_sign();
        let (code, register, bits) = match narrow {
            true => (with_narrow_register(self.old.code()), scratch.full_register32(), 32),
            false => (with_register(self.old.code()), scratch, 64),
        };
        let code =
            code.ok_or_else(|| format!("has no form with a {bits}-bit register in place of the immediate"))?;
        let mut new = self.old;
        new.set_code(code);
        new.set_op1_kind(OpKind::Register);
        new.set_op1_register(register);
        Ok(new)
    }

    /// `movabs` from and to memory in the form that takes a register.
    fn without_full_displacement(&self, scratch: Register) -> Result<Instruction, String> {
        let memory = MemoryOperand::with_base(scratch);
        let (code, register, load) = match self.old.code() {
            Code::Mov_AL_moffs8 => (Code::Mov_r8_rm8, Register::AL, true),
            Code::Mov_AX_moffs16 => (Code::Mov_r16_rm16, Register::AX, true),
            Code::Mov_EAX_moffs32 => (Code::Mov_r32_rm32, Register::EAX, true),
            Code::Mov_RAX_moffs64 => (Code::Mov_r64_rm64, Register::RAX, true),
            Code::Mov_moffs8_AL => (Code::Mov_rm8_r8, Register::AL, false),
            Code::Mov_moffs16_AX => (Code::Mov_rm16_r16, Register::AX, false),
            Code::Mov_moffs32_EAX => (Code::Mov_rm32_r32, Register::EAX, false),
            Code::Mov_moffs64_RAX => (Code::Mov_rm64_r64, Register::RAX, false),
            _ => return Err("is encoded in a way that is not known".to_owned()),
        };
        let new = if load {
            Instruction::with2(code, register, memory)
        } else {
            Instruction::with2(code, memory, register)
        };
        new.map_err(|error| self.cannot(&error))
    }

    fn encode(&self, instruction: &Instruction) -> Result<Recoded, String> {
        let mut encoder = Encoder::new(64);
        encoder.encode(instruction, 0).map_err(|error| self.cannot(&error))?;
        let offsets = encoder.get_constant_offsets();
        let displacement = (offsets.displacement_offset(), offsets.displacement_size());
        let immediate = (offsets.immediate_offset(), offsets.immediate_size());
        let mut bytes = encoder.take_buffer();
        if instruction.is_ip_rel_memory_operand() {
            // A relocation says what goes there.
            bytes.iter_mut().skip(displacement.0).take(displacement.1).for_each(|byte| *byte = 0);
        }
        Ok(Recoded { bytes, displacement, immediate })
    }

    fn cannot(&self, error: &iced_x86::IcedError) -> String {
        format!("cannot be written in another form: {error}")
    }
}

fn is_full_displacement(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Mov_AL_moffs8
            | Mov_AX_moffs16
            | Mov_EAX_moffs32
            | Mov_RAX_moffs64
            | Mov_moffs8_AL
            | Mov_moffs16_AX
            | Mov_moffs32_EAX
            | Mov_moffs64_RAX
    )
}

fn lea(register: Register, sum: MemoryOperand) -> Result<Instruction, iced_x86::IcedError> {
    Instruction::with2(Code::Lea_r64_m, register, sum)
}

/// The same operation with a 64-bit register for its second operand, where the 32-bit immediate is sign-extended to
/// 64 bits.
fn with_register(code: Code) -> Option<Code> {
    use Code::*;
    Some(match code {
        Mov_rm64_imm32 => Mov_rm64_r64,
        Add_rm64_imm32 | Add_RAX_imm32 => Add_rm64_r64,
        Or_rm64_imm32 | Or_RAX_imm32 => Or_rm64_r64,
        Adc_rm64_imm32 | Adc_RAX_imm32 => Adc_rm64_r64,
        Sbb_rm64_imm32 | Sbb_RAX_imm32 => Sbb_rm64_r64,
        And_rm64_imm32 | And_RAX_imm32 => And_rm64_r64,
        Sub_rm64_imm32 | Sub_RAX_imm32 => Sub_rm64_r64,
        Xor_rm64_imm32 | Xor_RAX_imm32 => Xor_rm64_r64,
        Cmp_rm64_imm32 | Cmp_RAX_imm32 => Cmp_rm64_r64,
        Test_rm64_imm32 | Test_RAX_imm32 => Test_rm64_r64,
        _ => return None,
    })
}

/// The same operation with a 32-bit register for its second operand.
fn with_narrow_register(code: Code) -> Option<Code> {
    use Code::*;
    Some(match code {
        Mov_rm32_imm32 => Mov_rm32_r32,
        Add_rm32_imm32 | Add_EAX_imm32 => Add_rm32_r32,
        Or_rm32_imm32 | Or_EAX_imm32 => Or_rm32_r32,
        Adc_rm32_imm32 | Adc_EAX_imm32 => Adc_rm32_r32,
        Sbb_rm32_imm32 | Sbb_EAX_imm32 => Sbb_rm32_r32,
        And_rm32_imm32 | And_EAX_imm32 => And_rm32_r32,
        Sub_rm32_imm32 | Sub_EAX_imm32 => Sub_rm32_r32,
        Xor_rm32_imm32 | Xor_EAX_imm32 => Xor_rm32_r32,
        Cmp_rm32_imm32 | Cmp_EAX_imm32 => Cmp_rm32_r32,
        Test_rm32_imm32 | Test_EAX_imm32 => Test_rm32_r32,
        _ => return None,
    })
}
