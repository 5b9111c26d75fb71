// Grouped convolution whose groups are not whole channel fours: one invocation per output value, weights as floats in
// the order [output, input of its group, ky, kx].

override RESIDUAL: bool = false;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let o = t % p.padded;
  if (o >= p.end.channels) {
    arena[p.end.y + t] = 0.0;
    return;
  }
  let pixel = t / p.padded;
  let top = i32(pixel / p.window.out_w) * p.window.stride_h - p.window.pad_top;
  let left = i32(pixel % p.window.out_w) * p.window.stride_w - p.window.pad_left;
  let first_in = p.x + o / p.out_per_group * p.in_per_group;
  let taps = u32(p.window.kernel_h * p.window.kernel_w);
  var sum = 0.0;
  for (var ky = 0; ky < p.window.kernel_h; ky++) {
    let iy = top + ky * p.window.dilation_h;
    if (iy < 0 || iy >= p.window.in_h) { continue; }
    for (var kx = 0; kx < p.window.kernel_w; kx++) {
      let ix = left + kx * p.window.dilation_w;
      if (ix < 0 || ix >= p.window.in_w) { continue; }
      let x = first_in + u32(iy * p.window.in_w + ix) * p.in_padded;
      var w = p.weights + o * p.in_per_group * taps + u32(ky * p.window.kernel_w + kx);
      for (var k = 0u; k < p.in_per_group; k++) {
        sum += arena[x + k] * bitcast<f32>(weights[w]);
        w += taps;
      }
    }
  }
  sum += bitcast<f32>(weights[p.end.bias + o]);
  if (RESIDUAL) { sum += arena[p.end.residual + t]; }
  arena[p.end.y + t] = activate(vec4<f32>(sum), p.end.a, p.end.b).x;
}
