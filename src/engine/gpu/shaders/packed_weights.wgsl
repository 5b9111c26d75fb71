// Weights as floats or as int8 with one scale per output channel.
override INT8: bool = true;

// Whether integers become floats cheaply, as on a processor. A GPU converts at a quarter of its speed or less, and there
// the bits of a float are put together instead.
override CONVERT: bool = false;

// The four weights of a word, lowest byte first, each times the number in weight_lanes(). The lowest three bytes are
// stored with 128 added, the highest as a signed byte.
fn int8_weights(word: u32) -> vec4<f32> {
  if (CONVERT) {
    // Bytes stay where they are in the word, which multiplies them by a power of 256: no shifts.
    let i = i32(word);
    return vec4<f32>(
      f32(i & 0xff) - 128.0,
      f32(i & 0xff00) - 32768.0,
      f32(i & 0xff0000) - 8388608.0,
      f32(i & -16777216));
  }
  // 0x4b000000 are the bits of 2^23, whose lowest mantissa bit is worth one.
  let bytes = vec4<u32>(word, word >> 8u, word >> 16u, (word >> 24u) ^ 0x80u) & vec4<u32>(0xffu);
  return bitcast<vec4<f32>>(bytes | vec4<u32>(0x4b000000u)) - vec4<f32>(8388736.0);
}

// What each lane of a sum over int8_weights() is to be multiplied with.
fn weight_lanes() -> vec4<f32> {
  if (CONVERT) { return vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 5.9604644775390625e-8); }
  return vec4<f32>(1.0);
}
