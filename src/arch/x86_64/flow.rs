//! Where control goes: what runs after an instruction, within the code that the object has there.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

use super::super::{CodeView, Lead};

/// What runs after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    Following,
    /// The one there.
    Jump(u64),
    /// The next one or the one there.
    Branch(u64),
    /// A function, then the next one.
    Call,
    /// Another function, in place of this one.
    Leave,
    /// The next one or another function.
    LeaveOrFollowing,
    /// Its caller.
    Return,
    /// Wherever a register or a word in memory says.
    Indirect,
    /// Nothing.
    Stop,
}

/// The instruction there; `None`: there is none.
pub(super) fn decode_at(code: &dyn CodeView, at: u64) -> Option<Instruction> {
    let instruction = Decoder::with_ip(64, code.bytes(at)?, at, DecoderOptions::MPX).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// What runs after an instruction that was decoded at its place.
pub(super) fn next_of(code: &dyn CodeView, instruction: &Instruction) -> Next {
    let target = || {
        let (at, length) = (instruction.ip(), instruction.len() as u64);
        // A branch that a relocation applies to leads where that says.
        let lead = code.lead(at, length).unwrap_or(Lead::Code(instruction.near_branch_target()));
        match lead {
            Lead::Code(target) if code.bytes(target).is_some() => Some(target),
            Lead::Code(_) | Lead::Away => None,
        }
    };
    match instruction.flow_control() {
        // The kernel comes back, and keeps all but three registers.
        _ if instruction.mnemonic() == Mnemonic::Syscall => Next::Following,
        FlowControl::Next => match instruction.code() {
            Code::Hlt => Next::Stop,
            _ => Next::Following,
        },
        // An abort is as a jump to there.
        FlowControl::XbeginXabortXend => match instruction.code() {
            Code::Xbegin_rel16 | Code::Xbegin_rel32 => target().map_or(Next::Following, Next::Branch),
            _ => Next::Following,
        },
        FlowControl::UnconditionalBranch => target().map_or(Next::Leave, Next::Jump),
        FlowControl::ConditionalBranch => target().map_or(Next::LeaveOrFollowing, Next::Branch),
        FlowControl::Call | FlowControl::IndirectCall => Next::Call,
        FlowControl::Return => Next::Return,
        FlowControl::IndirectBranch => Next::Indirect,
        FlowControl::Exception => Next::Stop,
        // A debugger comes back, and so does the kernel.
        FlowControl::Interrupt => Next::Following,
    }
}

#[cfg(test)]
pub(super) mod snippet {
    use std::ops::Range;

    use super::super::super::{CodeView, Lead};

    /// Code of one function, which begins at address 0, unless `functions` are others.
    #[derive(Default)]
    pub(in super::super) struct Snippet {
        bytes: Vec<u8>,
        pub(in super::super) functions: Vec<Range<u64>>,
        /// Instructions that lead to other functions.
        pub(in super::super) away: Vec<u64>,
        pub(in super::super) dead_ends: Vec<u64>,
        pub(in super::super) tables: Vec<u64>,
        /// Where each starts, whether it has distances, and its parts.
        pub(in super::super) exact_tables: Vec<(u64, bool, Vec<Vec<u64>>)>,
        pub(in super::super) landing_pads: Vec<u64>,
        /// Fields, and what they refer to.
        pub(in super::super) referents: Vec<(u64, u64)>,
    }

    impl Snippet {
        pub(in super::super) fn new(bytes: Vec<u8>) -> Self {
            Snippet { bytes, ..Snippet::default() }
        }
    }

    impl CodeView for Snippet {
        fn bytes(&self, at: u64) -> Option<&[u8]> {
            self.bytes.get(at as usize..).filter(|bytes| !bytes.is_empty())
        }

        fn lead(&self, at: u64, _: u64) -> Option<Lead> {
            self.away.contains(&at).then_some(Lead::Away)
        }

        fn symbol(&self, _: u64, _: u64) -> Option<u32> {
            None
        }

        fn never_returns(&self, call: u64) -> bool {
            self.dead_ends.contains(&call)
        }

        fn referent(&self, field: u64, _: u64) -> Option<u64> {
            self.referents.iter().find(|(at, _)| *at == field).map(|(_, referent)| *referent)
        }

        fn section(&self, at: u64) -> Range<u64> {
            let start = at & !0xffff;
            start..start + 0x10000
        }

        fn function(&self, at: u64) -> Range<u64> {
            let around = self.functions.iter().find(|function| function.contains(&at));
            around.cloned().unwrap_or(0..self.bytes.len() as u64)
        }

        fn tables(&self, _: &Range<u64>) -> Vec<u64> {
            self.tables.clone()
        }

        fn table(&self, start: u64, distances: bool) -> Option<Vec<Vec<u64>>> {
            let mut known = self.exact_tables.iter();
            known.find(|(at, kind, _)| (*at, *kind) == (start, distances)).map(|(.., parts)| parts.clone())
        }

        fn landing_pads(&self, _: &Range<u64>) -> Option<Vec<u64>> {
            Some(self.landing_pads.clone())
        }
    }
}
