// Grouped convolution whose groups are not whole channel fours: one invocation per output value, weights as floats in
// the order [output, input of its group, ky, kx].
struct Params {
  x: u32, y: u32, residual: u32, weights: u32,
  bias: u32, total: u32, row: u32, channels: u32,
  padded: u32, in_padded: u32, in_per_group: u32, out_per_group: u32,
  in_h: i32, in_w: i32, out_w: u32, kernel_h: i32,
  kernel_w: i32, stride_h: i32, stride_w: i32, dilation_h: i32,
  dilation_w: i32, pad_top: i32, pad_left: i32, a: f32,
  b: f32,
}

override RESIDUAL: bool = false;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let o = t % p.padded;
  if (o >= p.channels) {
    arena[p.y + t] = 0.0;
    return;
  }
  let pixel = t / p.padded;
  let top = i32(pixel / p.out_w) * p.stride_h - p.pad_top;
  let left = i32(pixel % p.out_w) * p.stride_w - p.pad_left;
  let first_in = p.x + o / p.out_per_group * p.in_per_group;
  let taps = u32(p.kernel_h * p.kernel_w);
  var sum = 0.0;
  for (var ky = 0; ky < p.kernel_h; ky++) {
    let iy = top + ky * p.dilation_h;
    if (iy < 0 || iy >= p.in_h) { continue; }
    for (var kx = 0; kx < p.kernel_w; kx++) {
      let ix = left + kx * p.dilation_w;
      if (ix < 0 || ix >= p.in_w) { continue; }
      let x = first_in + u32(iy * p.in_w + ix) * p.in_padded;
      var w = p.weights + o * p.in_per_group * taps + u32(ky * p.kernel_w + kx);
      for (var k = 0u; k < p.in_per_group; k++) {
        sum += arena[x + k] * bitcast<f32>(weights[w]);
        w += taps;
      }
    }
  }
  sum += bitcast<f32>(weights[p.bias + o]);
  if (RESIDUAL) { sum += arena[p.residual + t]; }
  arena[p.y + t] = activate(vec4<f32>(sum), p.a, p.b).x;
}
