//! Which memory operands fault unless they are aligned, and what vector instructions make of words that are addresses.

use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind};

/// What alignment of its memory operand an instruction asks for, in bytes; 1: none.
///
/// Intel SDM volume 1, 14.9: with a VEX or EVEX prefix the explicitly aligned moves alone, and without one every memory
/// operand of 16 bytes but those of the moves that say that they are unaligned and of the string comparisons.
pub(super) fn alignment(instruction: &Instruction) -> u64 {
    use Mnemonic::*;
    let size = instruction.memory_size().size() as u64;
    let in_memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    if !in_memory {
        return 1;
    }
    match instruction.mnemonic() {
        Movaps | Movapd | Movdqa | Movntps | Movntpd | Movntdq | Movntdqa | Vmovaps | Vmovapd | Vmovdqa
        | Vmovdqa32 | Vmovdqa64 | Vmovntps | Vmovntpd | Vmovntdq | Vmovntdqa => size.max(1),
        Cmpxchg16b | Fxsave | Fxsave64 | Fxrstor | Fxrstor64 => 16,
        Xsave | Xsave64 | Xsavec | Xsavec64 | Xsaveopt | Xsaveopt64 | Xsaves | Xsaves64 | Xrstor
        | Xrstor64 | Xrstors | Xrstors64 => 64,
        Movups | Movupd | Movdqu | Lddqu | Pcmpistri | Pcmpistrm | Pcmpestri | Pcmpestrm | Pcmpestri64
        | Pcmpestrm64 => 1,
        _ if instruction.code().encoding() == EncodingKind::Legacy && size == 16 => {
            let vector = (0..instruction.op_count()).any(|i| {
                instruction.op_kind(i) == OpKind::Register && instruction.op_register(i).is_vector_register()
            });
            if vector { 16 } else { 1 }
        }
        _ => 1,
    }
}

/// What a vector instruction makes of words that are addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorUse {
    /// Zeros, whatever it reads.
    Zero,
    /// The one word that it reads, as it is.
    MoveWord,
    /// Words, as they are.
    Move,
    /// Parts of words, in another order.
    Shuffle,
    /// Sums of whole words.
    Words,
    /// Other sums.
    Arithmetic,
    /// Whether they are equal or greater.
    Compare,
    /// Each bit by itself.
    Bitwise,
}

/// What it does; `None`: that is not known here.
pub(super) fn use_of(instruction: &Instruction) -> Option<VectorUse> {
    use Mnemonic::*;
    let operand = |i: u32| {
        let register = i < instruction.op_count() && instruction.op_kind(i) == OpKind::Register;
        register.then(|| instruction.op_register(i))
    };
    let last = instruction.op_count().wrapping_sub(1);
    let same = operand(last).is_some() && operand(last) == operand(last.wrapping_sub(1));
    let words = instruction.op_count() > 0
        && matches!(instruction.try_immediate(instruction.op_count() - 1), Ok(0x44 | 0x4e | 0xe4 | 0xee));
    Some(match instruction.mnemonic() {
        Pxor | Vpxor | Vpxord | Vpxorq | Xorps | Xorpd | Vxorps | Vxorpd if same => VectorUse::Zero,
        Movq | Movd | Vmovq | Vmovd => VectorUse::MoveWord,
        Movaps | Movapd | Movups | Movupd | Movdqa | Movdqu | Lddqu | Movntdqa | Movntdq | Movntps
        | Movntpd | Vmovaps | Vmovapd | Vmovups | Vmovupd | Vmovdqa | Vmovdqa32 | Vmovdqa64 | Vmovdqu
        | Vmovdqu8 | Vmovdqu16 | Vmovdqu32 | Vmovdqu64 | Vlddqu | Vmovntdqa | Vmovntdq | Vmovntps
        | Vmovntpd | Movlps | Movhps | Movlpd | Movhpd | Movlhps | Movhlps | Movddup | Vmovlps | Vmovhps
        | Vmovlpd | Vmovhpd | Vmovlhps | Vmovhlps | Vmovddup | Punpcklqdq | Punpckhqdq | Vpunpcklqdq
        | Vpunpckhqdq | Unpcklpd | Unpckhpd | Vunpcklpd | Vunpckhpd | Shufpd | Vshufpd | Vpbroadcastq
        | Vbroadcastsd | Vbroadcastf128 | Vbroadcasti128 | Vbroadcastf32x4 | Vbroadcastf64x2
        | Vbroadcastf64x4 | Vbroadcasti32x4 | Vbroadcasti64x2 | Vbroadcasti64x4 | Vinsertf128
        | Vinserti128 | Vinsertf32x4 | Vinsertf64x2 | Vinsertf64x4 | Vinserti32x4 | Vinserti64x2
        | Vinserti64x4 | Vextractf128 | Vextracti128 | Vextractf32x4 | Vextractf64x2 | Vextractf64x4
        | Vextracti32x4 | Vextracti64x2 | Vextracti64x4 | Vperm2f128 | Vperm2i128 | Vpermq | Vpermpd
        | Vpermt2q | Vpermi2q | Vpermt2pd | Vpermi2pd | Vshuff64x2 | Vshufi64x2 | Vshuff32x4 | Vshufi32x4
        | Vpermilpd | Blendpd | Vblendpd | Pinsrq | Vpinsrq | Pextrq | Vpextrq | Valignq | Vblendmpd
        | Vpblendmq | Vpcompressq | Vpexpandq => VectorUse::Move,
        Movsd | Vmovsd => VectorUse::Move,
        Pshufd | Vpshufd if words => VectorUse::Move,
        Pshufd | Pshufhw | Pshuflw | Pshufb | Vpshufd | Vpshufhw | Vpshuflw | Vpshufb | Shufps | Vshufps
        | Movss | Vmovss | Movshdup | Movsldup | Vmovshdup | Vmovsldup | Punpcklbw | Punpcklwd
        | Punpckldq | Punpckhbw | Punpckhwd | Punpckhdq | Vpunpcklbw | Vpunpcklwd | Vpunpckldq
        | Vpunpckhbw | Vpunpckhwd | Vpunpckhdq | Unpcklps | Unpckhps | Vunpcklps | Vunpckhps | Palignr
        | Vpalignr | Pslldq | Psrldq | Vpslldq | Vpsrldq | Pblendw | Vpblendw | Blendps | Vblendps
        | Vpblendd | Pblendvb | Vpblendvb | Blendvps | Blendvpd | Vblendvps | Vblendvpd | Insertps
        | Vinsertps | Extractps | Vextractps | Pinsrb | Pinsrw | Pinsrd | Vpinsrb | Vpinsrw | Vpinsrd
        | Pextrb | Pextrw | Pextrd | Vpextrb | Vpextrw | Vpextrd | Vpermd | Vpermps | Vpermilps | Valignd
        | Vpbroadcastd | Vpbroadcastw | Vpbroadcastb | Vbroadcastss | Vpblendmd | Vblendmps => {
            VectorUse::Shuffle
        }
        Paddq | Psubq | Vpaddq | Vpsubq | Vpmullq => VectorUse::Words,
        Psllq | Vpsllq if instruction.try_immediate(last).is_ok() => VectorUse::Words,
        Paddb | Paddw | Paddd | Psubb | Psubw | Psubd | Vpaddb | Vpaddw | Vpaddd | Vpsubb | Vpsubw
        | Vpsubd | Pmuludq | Pmuldq | Pmulld | Pmullw | Vpmuludq | Vpmuldq | Vpmulld | Vpmullw | Psllq
        | Psrlq | Pslld | Psrld | Psrad | Psllw | Psrlw | Psraw | Vpsllq | Vpsrlq | Vpslld | Vpsrld
        | Vpsrad | Vpsraq | Vpsllw | Vpsrlw | Vpsraw | Vpsllvq | Vpsrlvq | Vpsllvd | Vpsrlvd => {
            VectorUse::Arithmetic
        }
        Pcmpeqb | Pcmpeqw | Pcmpeqd | Pcmpeqq | Pcmpgtb | Pcmpgtw | Pcmpgtd | Pcmpgtq | Vpcmpeqb
        | Vpcmpeqw | Vpcmpeqd | Vpcmpeqq | Vpcmpgtb | Vpcmpgtw | Vpcmpgtd | Vpcmpgtq | Vpcmpq | Vpcmpuq => {
            VectorUse::Compare
        }
        // Addresses of words; what is read there is no place.
        Vpgatherdd | Vpgatherdq | Vpgatherqd | Vpgatherqq | Vgatherdps | Vgatherdpd | Vgatherqps
        | Vgatherqpd => VectorUse::Compare,
        Cvtsi2sd | Cvtsi2ss | Vcvtsi2sd | Vcvtsi2ss => VectorUse::Compare,
        Pand | Pandn | Por | Pxor | Vpand | Vpandn | Vpor | Vpxor | Vpandd | Vpandq | Vpandnd | Vpandnq
        | Vpord | Vporq | Vpxord | Vpxorq | Andps | Andpd | Andnps | Andnpd | Orps | Orpd | Xorps | Xorpd
        | Vandps | Vandpd | Vandnps | Vandnpd | Vorps | Vorpd | Vxorps | Vxorpd => VectorUse::Bitwise,
        _ => return None,
    })
}
