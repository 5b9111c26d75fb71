// Whether this browser has WebAssembly's relaxed SIMD, whose fused multiply-adds the CPU engine likes to have.

/** A function that returns `f32x4.relaxed_madd` of its argument, three times. */
const MODULE = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
  ...[1, 6, 1, 0x60, 1, 0x7b, 1, 0x7b], // one type: from v128 to v128
  ...[3, 2, 1, 0], // one function of that type
  ...[10, 13, 1, 11, 0, 0x20, 0, 0x20, 0, 0x20, 0, 0xfd, 0x85, 2, 0x0b], // local.get 0 three times, relaxed_madd, end
);

/** The browser's answer; it is the same in every thread. */
export const hasRelaxedSimd = () => WebAssembly.validate(MODULE);
