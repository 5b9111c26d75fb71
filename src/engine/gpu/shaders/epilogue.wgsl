// How every convolution and linear layer ends: bias, residual, activation, and zeros in the padding. `at` is the place within
// the output, `c4` the group of channels.
override RESIDUAL: bool = false;

fn finish(sum: vec4<f32>, bias: vec4<f32>, at: u32, c4: u32) {
  var v = sum + bias;
  if (RESIDUAL) { v += arena[p.end.residual + at]; }
  arena[p.end.y + at] = keep_channels(activate(v, p.end.a, p.end.b), c4, p.end.channels);
}
